//! `verge reuse-check`: whether functions can be reused. Each trigger is called with requests A, B
//! and A on one instance, and on fresh ones: what the second A is answered must be the same.
//!
//! Exits with 0 if nothing leaks, with 1 if something does, with 2 if a function could not be
//! checked.

mod answers;
mod subject;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use verge_runtime::{Function, StartClass, Trigger};

use self::answers::{Answer, Difference};
use self::subject::{Subject, request_of};
use super::count;

/// The exit code if a function could not be checked.
const NOT_CHECKED: u8 = 2;
/// Times that A, B, A is played: what only builds up is found too.
const ROUNDS: usize = 3;

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
    /// The second A is answered alike.
    Clean {
        /// Parts that differ between fresh instances, too.
        restless: Vec<String>,
    },
    /// It is not.
    Leaks(Vec<Difference>),
    /// The instance is not kept after such a request, so nothing can leak.
    NotKept,
    /// A call failed.
    Failed(String),
}

/// Checks what `arguments` name.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
pub(super) fn reuse_check(arguments: &ReuseCheckArguments) -> ExitCode {
    match run(arguments) {
        Ok(lines) => {
            let leaks = lines.iter().filter(|(leaks, _)| *leaks).count();
            for (_, line) in &lines {
                println!("{line}");
            }
            if leaks == 0 {
                return ExitCode::SUCCESS;
            }
            eprintln!(
                "{} kept something of one request for another: isolation \"fresh\" or \"prepared\" \
                 is right here",
                count(leaks, "trigger")
            );
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(NOT_CHECKED)
        }
    }
}

/// A line for each trigger, and whether it is about a leak.
fn run(arguments: &ReuseCheckArguments) -> Result<Vec<(bool, String)>, String> {
    let subjects = match &arguments.config {
        Some(path) => subject::of_config(path, &arguments.functions)?,
        None => subject::of_files(&arguments.functions)?,
    };
    // Refused before anything runs.
    for target in [&arguments.a, &arguments.b] {
        request_of(target)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let mut lines = Vec::new();
    for subject in &subjects {
        let triggers = subject.fresh.triggers();
        for trigger in triggers.filter(|trigger| *trigger != Trigger::Deferred) {
            let finding = runtime.block_on(check(subject, trigger, arguments))?;
            lines.push(told(&subject.name, trigger, &finding)?);
        }
    }
    Ok(lines)
}

async fn check(
    subject: &Subject,
    trigger: Trigger,
    arguments: &ReuseCheckArguments,
) -> Result<Finding, String> {
    let requests = [&arguments.a, &arguments.b, &arguments.a];
    let played = requests.map(String::as_str).repeat(ROUNDS);
    let fresh = play(&subject.fresh, trigger, &played).await?;
    let reused = play(&subject.reused, trigger, &played).await?;
    let failed = fresh.iter().chain(&reused).find_map(Answer::failure);
    if let Some(failure) = failed {
        return Ok(Finding::Failed(failure.to_owned()));
    }
    if reused
        .iter()
        .all(|answer| answer.start != StartClass::Reused)
    {
        return Ok(Finding::NotKept);
    }
    let (Some(first), Some(alone)) = (fresh.first(), fresh.get(2)) else {
        return Err("nothing was played".into());
    };
    let restless: Vec<String> = first
        .differences(alone, &[])
        .into_iter()
        .map(|d| d.part)
        .collect();
    // Each A but the first one has others behind it.
    let leaks = (0_usize..).zip(&reused).filter(|(place, _)| place % 3 != 1);
    let leak = leaks
        .map(|(_, answer)| alone.differences(answer, &restless))
        .find(|differences| !differences.is_empty());
    Ok(match leak {
        Some(differences) => Finding::Leaks(differences),
        None => Finding::Clean { restless },
    })
}

async fn play(
    function: &Function,
    trigger: Trigger,
    targets: &[&str],
) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    for target in targets {
        answers.push(Answer::to(function, trigger, target).await?);
    }
    Ok(answers)
}

fn told(name: &str, trigger: Trigger, finding: &Finding) -> Result<(bool, String), String> {
    let place = format!("{name}, {}", trigger.label());
    Ok(match finding {
        Finding::Clean { restless } if restless.is_empty() => (false, format!("{place}: no leak")),
        Finding::Clean { restless } => (
            false,
            format!(
                "{place}: no leak, apart from what differs between fresh instances too: {}",
                restless.join(", ")
            ),
        ),
        Finding::NotKept => (
            false,
            format!("{place}: no leak: its instance is not kept after these requests"),
        ),
        Finding::Leaks(differences) => {
            let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
            (true, format!("{place}: LEAKS: {}", shown.join("; ")))
        }
        Finding::Failed(failure) => return Err(format!("{place}: a call failed: {failure}")),
    })
}

/// A path for a message.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
