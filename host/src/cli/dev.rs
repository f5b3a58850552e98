//! `verge dev`: a function while it is written. It builds, serves in a real
//! node with the limits of production, watches, builds again, and swaps the
//! new version in without dropping a request.

mod fault;
mod lines;
mod live;
mod origins;
mod session;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use verge_base::{Clock, ClockJumps};
use verge_config::{Config, Origin, RateScope, parse_duration};

use super::build::{
    Artifact, Built, Children, Profile, build_folder, put_artifacts, take_as_built,
};
use super::folder::Folder;
use super::report;
use crate::node::{Overlay, RunningNode, StartError, StartOptions, start_with};
use crate::telemetry::AccessLogOutput;
use fault::Fault;
use live::Live;
use origins::{LocalOrigin, Which};
use session::{Session, Signals};

pub(in crate::cli) use lines::{Colour, Paint, log_to, receipt_line};
pub(in crate::cli) use origins::put_date;

/// How long idle connections linger, and requests in flight last, when it is told to stop.
const LINGER: Duration = Duration::from_millis(200);
const STOP_TIME: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct DevArguments {
    /// The function's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    /// How it runs [default: `verge.toml` in DIR]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here, in place of the configured addresses.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Who answers in place of origins.
    #[arg(long, value_enum, default_value_t = Which::Auto, value_name = "WHICH")]
    origin: Which,
    /// Begin so far in the future, as `+1h`.
    #[arg(long, value_name = "TIME", value_parser = read_step)]
    clock: Option<Duration>,
    /// Use the configuration's Redis and disk cache, which other nodes may share.
    #[arg(long)]
    shared: bool,
    /// What origins do wrong: `503 for 10s`, `app: delay 2s`, `refuse`. Can be given again.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
}

impl DevArguments {
    fn file(&self) -> PathBuf {
        let beside = || self.folder.join("verge.toml");
        self.config.clone().unwrap_or_else(beside)
    }
}

/// Reads `+1h` or `1h`.
fn read_step(text: &str) -> Result<Duration, String> {
    parse_duration(text.trim_start_matches('+').trim())
}

/// Serves the function that `arguments` name until it is told to stop.
#[expect(clippy::print_stderr, reason = "a command's own output")]
pub(super) fn dev(arguments: &DevArguments) -> ExitCode {
    let file = arguments.file();
    if !file.is_file() {
        eprintln!(
            "`{}` is missing: it says how the function runs; `verge new NAME` makes one",
            file.display()
        );
        return ExitCode::FAILURE;
    }
    let outputs = match Config::read(&file) {
        Ok(config) => outputs(&config),
        Err(errors) => {
            report(&file, errors.problems());
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(arguments, &file, outputs));
    // Somebody may still read from a standard input that never ends.
    runtime.shutdown_background();
    code
}

#[expect(clippy::print_stderr, reason = "a command's own output")]
async fn run(arguments: &DevArguments, file: &Path, outputs: Vec<PathBuf>) -> ExitCode {
    let Ok(signals) = Signals::new() else {
        eprintln!("signals cannot be heard");
        return ExitCode::FAILURE;
    };
    let children = Children::apart();
    let mut sources = watch::Sources::new(&arguments.folder, outputs);
    let Some(built) = first_build(arguments, &children, &mut sources, &signals).await else {
        return ExitCode::SUCCESS;
    };
    let built = match built {
        Ok(built) => built,
        Err(code) => return code,
    };
    tokio::select! {
        biased;
        () = signals.stop() => ExitCode::SUCCESS,
        begun = begin(arguments, file, built, children, sources) => match begun {
            Ok(session) => session.serve(signals).await,
            Err(code) => code,
        },
    }
}

/// Starts origins and node for what was built, and says so.
#[expect(clippy::print_stderr, reason = "a command's own output")]
async fn begin(
    arguments: &DevArguments,
    file: &Path,
    built: Built,
    children: Children,
    sources: watch::Sources,
) -> Result<Session, ExitCode> {
    let paint = Paint::of_output();
    // It may have been saved while the build ran.
    let config = Config::read(file).map_err(|errors| {
        report(file, errors.problems());
        ExitCode::FAILURE
    })?;
    let (clock, jumps) = Clock::ahead();
    jumps.jump(arguments.clock.unwrap_or_default());
    let local = start_origins(arguments, &config, &clock, &jumps).await;
    let local = local.map_err(|problem| {
        eprintln!("{problem}");
        ExitCode::FAILURE
    })?;
    let artifacts = Arc::new(Mutex::new(built.artifacts.clone()));
    let places = local
        .iter()
        .map(|origin| (Arc::clone(&origin.name), origin.address));
    let folder = Folder::new("verge-dev").map_err(|error| {
        eprintln!("no folder for the node: {error}");
        ExitCode::FAILURE
    })?;
    let overlay = overlay(
        arguments,
        folder.path(),
        places.collect(),
        Arc::clone(&artifacts),
    );
    let live = Arc::new(Live::new());
    lines::start_log(paint);
    let options = StartOptions {
        clock,
        overlay: Some(overlay),
        access_log: Some(AccessLogOutput::Writer(Box::new(lines::ReceiptLines::new(
            paint,
        )))),
        front: Some(Arc::clone(&live) as _),
    };
    let node = start_node(file, config, options).await?;
    let mut session = Session {
        folder: arguments.folder.clone(),
        node,
        origins: local,
        artifacts,
        served: built.artifacts.clone(),
        live,
        jumps,
        children,
        sources,
        paint,
        building: None,
        generation: 0,
        _stores: folder,
    };
    session.welcome(&built);
    // Their times begin when somebody can ask.
    for fault in &arguments.fault {
        let told = origins::tell(&session.origins, fault);
        told.map_err(|problem| {
            eprintln!("--fault: {problem}");
            ExitCode::FAILURE
        })?;
    }
    Ok(session)
}

/// Where the node writes, should that be below the function's folder.
fn outputs(config: &Config) -> Vec<PathBuf> {
    let disk = config.disk.as_ref().map(|disk| disk.path.clone());
    let stores = config.kv.values().filter_map(|store| store.path.clone());
    let code = config.runtime.cache_dir.clone();
    disk.into_iter().chain(stores).chain(code).collect()
}

/// A server in the place of each origin.
async fn start_origins(
    arguments: &DevArguments,
    config: &Config,
    clock: &Clock,
    jumps: &ClockJumps,
) -> Result<Vec<LocalOrigin>, String> {
    let mut local = Vec::new();
    for settings in config.origins.values() {
        let origin = LocalOrigin::start(settings, arguments.origin, clock, jumps).await;
        local.push(origin.map_err(|problem| format!("origin `{}`: {problem}", settings.name))?);
    }
    Ok(local)
}

/// Starts the node; what is wrong is told.
#[expect(clippy::print_stderr, reason = "a command's own output")]
async fn start_node(
    file: &Path,
    config: Config,
    options: StartOptions,
) -> Result<RunningNode, ExitCode> {
    let starting = tokio::task::spawn_blocking(move || start_with(config, options)).await;
    match starting {
        Ok(Ok(node)) => return Ok(node),
        Ok(Err(StartError::Problems(problems))) => report(file, &problems),
        Ok(Err(error @ StartError::Bind { .. })) => {
            eprintln!("{error}; `--listen 127.0.0.1:0` takes any free port");
        }
        Ok(Err(error @ StartError::System { .. })) => eprintln!("{error}"),
        Err(error) => eprintln!("the node did not start: {error}"),
    }
    Err(ExitCode::FAILURE)
}

/// Builds until there is something to serve: an error in the code is the reason to be here. None
/// when it was told to stop.
#[expect(clippy::print_stderr, reason = "a command's own output")]
async fn first_build(
    arguments: &DevArguments,
    children: &Children,
    sources: &mut watch::Sources,
    signals: &Signals,
) -> Option<Result<Built, ExitCode>> {
    loop {
        sources.take();
        let (folder, own) = (arguments.folder.clone(), children.clone());
        let mut building =
            tokio::task::spawn_blocking(move || build_folder(&folder, Profile::Dev, false, &own));
        let built = tokio::select! {
            built = &mut building => built,
            () = signals.stop() => {
                session::end_build(children, building, signals).await;
                return None;
            }
        };
        match built {
            Ok(Ok(built)) => {
                sources.add(built.folders.clone());
                return Some(Ok(built));
            }
            Ok(Err(error @ super::build::BuildError::Failed { .. })) => {
                eprintln!("{error}; save a change and it is built again");
            }
            Ok(Err(error)) => {
                eprintln!("{error}");
                return Some(Err(error.code()));
            }
            Err(error) => {
                eprintln!("the build ended: {error}");
                return Some(Err(ExitCode::FAILURE));
            }
        }
        tokio::select! {
            () = sources.changed() => {}
            () = signals.stop() => return None,
        }
    }
}

/// What differs from production: the component that was just built, origins in this process, nothing
/// that other nodes share, and a stop that does not let a person wait. Limits and everything else stay.
fn overlay(
    arguments: &DevArguments,
    folder: &Path,
    origins: Vec<(Arc<str>, SocketAddr)>,
    artifacts: Arc<Mutex<Vec<Artifact>>>,
) -> Overlay {
    let (listen, is_shared, folder) = (arguments.listen, arguments.shared, folder.to_owned());
    Arc::new(move |config: &mut Config| {
        if !is_shared {
            keep_apart(config, &folder);
        }
        if let Some(address) = listen {
            config.listen.http = vec![address];
            config.listen.https.clear();
        }
        for (name, address) in &origins {
            let local = Origin::at(name, &address.to_string());
            if let (Some(settings), Some(local)) = (config.origins.get_mut(name), local) {
                settings.addresses = local.addresses;
                settings.tls = None;
            }
        }
        put_artifacts(config, &artifacts.lock());
        take_as_built(config);
        config.stop.ready_delay = Duration::ZERO;
        config.stop.linger = config.stop.linger.min(LINGER);
        config.stop.deadline = config.stop.deadline.min(STOP_TIME);
    })
}

/// A developer's node is none of a region: what an embedded origin answers, under a clock that is
/// ahead, must reach no other node, nor the disk of one. Stores in Redis are files in `folder` then.
fn keep_apart(config: &mut Config, folder: &Path) {
    config.redis = None;
    config.disk = None;
    for (name, store) in &mut config.kv {
        store
            .path
            .get_or_insert_with(|| folder.join(format!("{name}.kv")));
    }
    for function in config.functions.values_mut() {
        let rates = &mut function.grants.rate_limit;
        *rates = rates.map(|_| RateScope::Node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_the_clock_have_units() {
        assert_eq!(read_step("+1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(read_step("90s"), Ok(Duration::from_secs(90)));
        assert!(read_step("1").is_err());
    }
}
