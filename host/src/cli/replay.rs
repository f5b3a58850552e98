//! `verge replay`: a recorded call once more, on this machine, with the recording's answers instead
//! of everything outside. No network is used and no store is touched.
//!
//! Exits with 0 if the outcome is the recorded one, with 1 if it is another one, with 2 if the call
//! could not be made again.

mod find;
mod tell;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use verge_base::Clock;
use verge_runtime::record::{Recording, Replayed};
use verge_runtime::{Digest, Engine, EngineSettings};

use crate::files;

/// The exit code if a call could not be made again.
const NOT_REPLAYED: u8 = 2;
/// Slots of the engine: one call runs, and a function never gets all of them.
const INSTANCES: u32 = 8;
/// Most bytes of a recording: its limit is 64 MiB.
const RECORDING_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// The recording, as a function's `record` section makes it.
    #[arg(value_name = "FILE")]
    recording: PathBuf,
    /// The component to run, to see what another build makes of the same call.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// The configuration whose functions and deployed versions may have the component; without it,
    /// the component is looked for where it was when the call was recorded.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A call that was made again.
struct Done {
    recording: Recording,
    replayed: Replayed,
    component: PathBuf,
    digest: Digest,
}

/// Makes the call again that `arguments` name.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
pub(super) fn replay(arguments: &ReplayArguments) -> ExitCode {
    match run(arguments) {
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(NOT_REPLAYED)
        }
        Ok(done) => {
            print!("{}", tell::told(&done));
            if done.replayed.is_past_cut {
                eprintln!(
                    "the recording was cut off at its `max_bytes`, and the function went on from \
                     there: what it came to then is not known; expected a larger `max_bytes`"
                );
                return ExitCode::from(NOT_REPLAYED);
            }
            match done.replayed.differs_from(&done.recording) {
                None => ExitCode::SUCCESS,
                Some(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: &ReplayArguments) -> Result<Done, String> {
    let path = &arguments.recording;
    let bytes = files::read_bounded(path, RECORDING_BYTES_MAX)?;
    let recording =
        Recording::parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let found = find::component(&recording, arguments)?;
    let default = EngineSettings::default();
    let settings = EngineSettings {
        instances: INSTANCES,
        memory: recording.limits.memory.max(default.memory),
        ..default
    };
    let engine = Engine::new(settings, Clock::system()).map_err(|error| error.to_string())?;
    let failed = |what: String| format!("{}: {what}", found.path.display());
    let compiled = engine
        .compile(&found.bytes)
        .map_err(|error| failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let replayed = runtime
        .block_on(Box::pin(engine.replay(&compiled, recording.clone())))
        .map_err(|error| failed(error.to_string()))?;
    Ok(Done {
        recording,
        replayed,
        digest: compiled.digest(),
        component: found.path,
    })
}
