//! `verge reuse-check`: whether functions can be reused. Each trigger is called with requests A, B
//! and A on one instance, with B, A and B on another one, and with both on fresh ones: what each is
//! answered must be the same. Without content, and with.
//!
//! Exits with 0 if nothing leaks, with 1 if something does, with 2 if nothing does as far as could
//! be checked, and a function could not be.

mod answers;
mod subject;
mod watched;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use verge_runtime::{StartClass, Trigger};

use self::answers::{Answer, Difference};
use self::subject::{Sample, Subject};
use super::count;

/// The exit code if a function could not be checked.
const NOT_CHECKED: u8 = 2;
/// Times that each order is played: what only builds up is found too.
const ROUNDS: usize = 3;
/// Orders of A (0) and B (1), each on an instance of its own: what the first request leaves for
/// good shows in the other one's answers alone.
const ORDERS: [[usize; 3]; 2] = [[0, 1, 0], [1, 0, 1]];

#[derive(Debug, Args)]
pub(super) struct ReuseCheckArguments {
    /// The configuration that has the functions; without it, components are checked as they are,
    /// with no settings and nothing behind their imports.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Names of functions (default: all of the configuration), or component files.
    #[arg(value_name = "FUNCTION")]
    functions: Vec<String>,
    /// What request A asks for.
    #[arg(long, value_name = "TARGET", default_value = "/a?user=ada")]
    a: String,
    /// What request B asks for.
    #[arg(long, value_name = "TARGET", default_value = "/b?user=bob")]
    b: String,
}

/// What was found of one trigger.
enum Finding {
    /// Each request is answered alike.
    Clean {
        /// Parts that differ between fresh instances, too.
        restless: Vec<String>,
        /// Imports that it asked for and that had nothing behind them.
        missed: Vec<&'static str>,
    },
    /// One is not.
    Leaks(Vec<Difference>),
    /// The instance is not kept after such a request, so nothing can leak.
    NotKept,
    /// A call failed.
    Failed(String),
}

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Clean,
    Leak,
    NotChecked,
}

/// Checks what `arguments` name.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
pub(super) fn reuse_check(arguments: &ReuseCheckArguments) -> ExitCode {
    let lines = match run(arguments) {
        Ok(lines) => lines,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(NOT_CHECKED);
        }
    };
    for (told, line) in &lines {
        match told {
            Told::Clean | Told::Leak => println!("{line}"),
            Told::NotChecked => eprintln!("{line}"),
        }
    }
    let number = |wanted| lines.iter().filter(|(told, _)| *told == wanted).count();
    let leaks = number(Told::Leak);
    if leaks > 0 {
        eprintln!(
            "{} kept something of one request for another: isolation \"fresh\" or \"prepared\" \
             is right here",
            count(leaks, "trigger")
        );
        return ExitCode::FAILURE;
    }
    match number(Told::NotChecked) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_CHECKED),
    }
}

/// A line for each trigger, and for each function that has none to check.
fn run(arguments: &ReuseCheckArguments) -> Result<Vec<(Told, String)>, String> {
    // Refused before anything runs.
    let samples = Sample::all(&arguments.a, &arguments.b)?;
    let subjects = match &arguments.config {
        Some(path) => subject::of_config(path, &arguments.functions)?,
        None => subject::of_files(&arguments.functions)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let mut lines = Vec::new();
    for (name, subject) in subjects {
        let subject = match subject {
            Ok(subject) => subject,
            Err(problem) => {
                lines.push((Told::NotChecked, problem));
                continue;
            }
        };
        let triggers = subject.fresh.triggers();
        for trigger in triggers.filter(|trigger| *trigger != Trigger::Deferred) {
            let finding = runtime.block_on(check(&subject, trigger, &samples));
            let finding = finding.unwrap_or_else(Finding::Failed);
            lines.push(told(&name, trigger, &finding));
        }
    }
    Ok(lines)
}

/// Plays all samples on fresh instances, and in each order on one that stays.
async fn check(
    subject: &Subject,
    trigger: Trigger,
    samples: &[Sample<'_>],
) -> Result<Finding, String> {
    drop(subject.missed.take());
    let play = |function, sample| Answer::to(function, trigger, sample, &subject.missed);
    let mut fresh = Vec::new();
    for sample in samples {
        let mut alone = Vec::new();
        for _ in 0..ROUNDS {
            alone.push(play(&subject.fresh, sample).await?);
        }
        fresh.push(alone);
    }
    let mut reused = Vec::new();
    for (function, order) in subject.reused.iter().zip(ORDERS) {
        for _ in 0..ROUNDS {
            // Both without content, then both with.
            for (pair, alone) in samples.chunks(2).zip(fresh.chunks(2)) {
                for place in order {
                    if let (Some(sample), Some(alone)) = (pair.get(place), alone.get(place)) {
                        reused.push((alone, play(function, sample).await?));
                    }
                }
            }
        }
    }
    Ok(judge(&fresh, &reused, subject.missed.take()))
}

/// `fresh` are the answers of fresh instances to each sample; `reused` those of instances that
/// stay, each with what fresh ones answered.
fn judge(
    fresh: &[Vec<Answer>],
    reused: &[(&Vec<Answer>, Answer)],
    missed: Vec<&'static str>,
) -> Finding {
    let mut restless = Vec::new();
    for alone in fresh {
        for pair in alone.windows(2) {
            if let [one, other] = pair {
                restless.extend(one.differences(other, &[]).into_iter().map(|d| d.part));
            }
        }
    }
    restless.sort();
    restless.dedup();
    let has_answered = |answer: &&Answer| answer.failure().is_none();
    let mut leaks = reused.iter().filter_map(|(alone, answer)| {
        let alone = alone.iter().find(has_answered)?;
        let is_told = answer.start == StartClass::Reused && answer.failure().is_none();
        let differences = is_told.then(|| alone.differences(answer, &restless))?;
        (!differences.is_empty()).then_some(differences)
    });
    if let Some(differences) = leaks.next() {
        return Finding::Leaks(differences);
    }
    let answers = fresh
        .iter()
        .flatten()
        .chain(reused.iter().map(|(_, answer)| answer));
    if let Some(failure) = answers.into_iter().find_map(Answer::failure) {
        return Finding::Failed(failure.to_owned());
    }
    let is_kept = |(_, answer): &(_, Answer)| answer.start == StartClass::Reused;
    match reused.iter().any(is_kept) {
        true => Finding::Clean { restless, missed },
        false => Finding::NotKept,
    }
}

fn told(name: &str, trigger: Trigger, finding: &Finding) -> (Told, String) {
    let place = format!("{name}, {}", trigger.label());
    match finding {
        Finding::Clean { restless, missed } => {
            let mut line = format!("{place}: no leak");
            if !restless.is_empty() {
                line.push_str(", apart from what differs between fresh instances too: ");
                line.push_str(&restless.join(", "));
            }
            if !missed.is_empty() {
                line.push_str("; not fully checked, since it got nothing from: ");
                line.push_str(&missed.join(", "));
            }
            (Told::Clean, line)
        }
        Finding::NotKept => (
            Told::Clean,
            format!("{place}: no leak: its instance is not kept after these requests"),
        ),
        Finding::Leaks(differences) => {
            let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
            (Told::Leak, format!("{place}: LEAKS: {}", shown.join("; ")))
        }
        Finding::Failed(failure) => (
            Told::NotChecked,
            format!("{place}: not checked: a call failed: {failure}"),
        ),
    }
}

/// A path for a message.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
