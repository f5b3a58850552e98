//! `verge test`: scenarios against a real node in this process, with a clock
//! that moves when a scenario says so, and origins that answer as it says.

mod find;
mod judge;
mod origin;
mod outcome;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use parking_lot::Mutex;
use verge_config::{Config, Scenario};

use super::build::{Artifact, BuildError, Children, Profile, build_folder, is_function};
use super::dev::{Paint, log_to};
use super::report;
use find::Found;
use outcome::{Outcome, Report};

#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// Functions' folders, or scenario files.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    places: Vec<PathBuf>,
    /// Only scenarios whose file or name contains this.
    #[arg(long, short, value_name = "TEXT")]
    filter: Option<String>,
    /// Do not build the functions first.
    #[arg(long)]
    no_build: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// A scenario that can be run.
struct Ready {
    scenario: Scenario,
    config: PathBuf,
}

/// Runs the scenarios that `arguments` name; 0 if all pass.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
pub(super) fn test(arguments: &TestArguments) -> ExitCode {
    let ready = match read_all(arguments) {
        Ok(ready) => ready,
        Err(problem) => {
            if !problem.is_empty() {
                eprintln!("{problem}");
            }
            return ExitCode::FAILURE;
        }
    };
    let artifacts = if arguments.no_build {
        BTreeMap::new()
    } else {
        match build_all(&ready) {
            Ok(artifacts) => artifacts,
            Err(error) => {
                if let BuildError::NotBegun(problem) = &error {
                    eprintln!("{problem}");
                }
                return error.code();
            }
        }
    };
    let mut outcomes = Vec::new();
    let paint = Paint::of_output();
    // What functions log is shown where a step fails.
    let log: Log = Arc::default();
    log_to(&log);
    for each in &ready {
        log.lock().clear();
        let outcome = match Config::read(&each.config) {
            Ok(config) => {
                let made = artifacts.get(function_folder(&each.config));
                let made = made.map_or(&[][..], Vec::as_slice);
                match unused(&config, made) {
                    Some(problem) => Outcome::not_begun(&each.scenario, problem),
                    None => run::run(&each.scenario, config, made, &log),
                }
            }
            Err(errors) => Outcome::not_begun(&each.scenario, errors.to_string()),
        };
        if !arguments.json {
            print!("{}", outcome.shown(paint));
        }
        outcomes.push(outcome);
    }
    let report = Report(outcomes);
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        println!("{}", report.summary(paint));
    }
    if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What was logged since it was last cleared.
pub(super) type Log = Arc<Mutex<Vec<u8>>>;

/// Reads all files; every problem of each is told.
fn read_all(arguments: &TestArguments) -> Result<Vec<Ready>, String> {
    let mut ready = Vec::new();
    let mut is_good = true;
    for found in find::find(&arguments.places)? {
        let Found { file, config } = found;
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
        let scenario = match Scenario::from_toml(&text, &file) {
            Ok(scenario) => scenario,
            Err(errors) => {
                report(&file, errors.problems());
                is_good = false;
                continue;
            }
        };
        if !is_wanted(&scenario, arguments.filter.as_deref()) {
            continue;
        }
        let config = match scenario.config.clone().or(config) {
            Some(config) => config,
            None => {
                return Err(format!(
                    "{}: there is no verge.toml in its folder or above; `config = \"FILE\"` names another",
                    file.display()
                ));
            }
        };
        ready.push(Ready { scenario, config });
    }
    match (is_good, ready.is_empty()) {
        (false, _) => Err(String::new()),
        (true, true) => Err(match &arguments.filter {
            Some(filter) => format!("no scenario has `{filter}` in its file or name"),
            None => "no scenario; they are the *.toml files in `scenarios/`".to_owned(),
        }),
        (true, false) => Ok(ready),
    }
}

fn is_wanted(scenario: &Scenario, filter: Option<&str>) -> bool {
    let Some(text) = filter else { return true };
    let file = scenario.file.to_string_lossy();
    let name = scenario.name.as_deref().unwrap_or_default();
    file.contains(text) || name.contains(text)
}

/// What was built, by folder: two functions may have components of one name.
type Artifacts = BTreeMap<PathBuf, Vec<Artifact>>;

/// The folder of a configuration.
fn function_folder(config: &Path) -> &Path {
    match config.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Builds each function's folder once: that of the configuration, if there is code in it.
fn build_all(ready: &[Ready]) -> Result<Artifacts, BuildError> {
    let mut built = Artifacts::new();
    for each in ready {
        let folder = function_folder(&each.config);
        if built.contains_key(folder) || !is_function(folder) {
            continue;
        }
        let children = Children::together();
        let made = build_folder(folder, Profile::Release, true, &children)?;
        built.insert(folder.to_owned(), made.artifacts);
    }
    Ok(built)
}

/// Says so when nothing of what was built would run: something else, or something older, would be tested.
fn unused(config: &Config, made: &[Artifact]) -> Option<String> {
    let is_used = |artifact: &Artifact| {
        let mut functions = config.functions.values();
        functions.any(|function| artifact.is_named_by(&function.component))
    };
    if made.is_empty() || made.iter().any(is_used) {
        return None;
    }
    let names: Vec<&str> = made.iter().map(|artifact| &*artifact.name).collect();
    Some(format!(
        "no function of the configuration has what was built ({}) as its `component`; a release build is \
         `target/wasm32-wasip2/release/NAME.wasm`, and `--no-build` takes components as they are",
        names.join(", ")
    ))
}
