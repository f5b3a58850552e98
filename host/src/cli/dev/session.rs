//! One run of `verge dev` once it serves: saved files, what is typed, signals.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use verge_base::ClockJumps;
use verge_cache::{Hardness, PurgeScope};
use verge_config::show_duration;

use super::super::build::{Artifact, BuildError, Built, Children, Profile, build_folder};
use super::super::build::{short_path, show_size};
use super::super::folder::Folder;
use super::fault::Fault;
use super::lines::{Colour, Paint};
use super::live::Live;
use super::origins::{self, LocalOrigin};
use super::read_step;
use super::watch::Sources;
use crate::node::RunningNode;
use crate::reload::{ReloadCause, reload};

/// The exit code when it was told twice to stop.
const STOPPED_AT_ONCE: u8 = 130;
/// How often it is looked whether the configuration was reloaded.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a build that was told to end may take to do so.
const BUILD_END_TIME: Duration = Duration::from_secs(2);
/// Lines that may wait to be read; whoever types is slower.
const TYPED_MAX: usize = 16;

const HELP: &str = "\
type and press Enter:
  c 1h               jump an hour ahead, past what is fresh now
  f 503 for 10s      what origins do wrong: a status, `delay 2s`, `refuse`, `none`;
                     `f app: refuse` concerns one of them
  r                  build again
  q                  stop, as Ctrl-C does";

/// The signals that say stop, from the first moment on.
pub(super) struct Signals(watch::Receiver<u32>);

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // The terminal was closed: compilers stand in groups of their own and would go on.
        let mut hang_up = signal(SignalKind::hangup())?;
        let (count, counted) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(counted))
    }

    /// Waits for the first.
    pub(super) async fn stop(&self) {
        self.at_least(1).await;
    }

    /// Waits for the second.
    pub(super) async fn stop_at_once(&self) {
        self.at_least(2).await;
    }

    async fn at_least(&self, wanted: u32) {
        // The task that counts lasts as long as the runtime.
        let _ = self.0.clone().wait_for(|count| *count >= wanted).await;
    }
}

type Building = JoinHandle<Result<Built, BuildError>>;

/// Ends a build whose outcome does not matter any more: it is asked to, and then made to.
pub(super) async fn end_build(children: &Children, building: Building, signals: &Signals) {
    children.end();
    let obeyed = tokio::select! {
        _ = timeout(BUILD_END_TIME, building) => true,
        () = signals.stop_at_once() => false,
    };
    // Also when it obeyed: what it started may not have.
    children.kill();
    if !obeyed {
        tracing::debug!("the build was cut");
    }
}

/// A node, and the function that is written for it.
pub(super) struct Session {
    pub(super) folder: PathBuf,
    pub(super) node: RunningNode,
    pub(super) origins: Vec<LocalOrigin>,
    pub(super) artifacts: Arc<Mutex<Vec<Artifact>>>,
    /// Those that serve.
    pub(super) served: Vec<Artifact>,
    pub(super) live: Arc<Live>,
    pub(super) jumps: ClockJumps,
    pub(super) children: Children,
    pub(super) sources: Sources,
    pub(super) paint: Paint,
    pub(super) building: Option<Building>,
    /// The generation that browsers were told of last.
    pub(super) generation: u64,
    /// Where stores are that would be in Redis; it goes with the session.
    pub(super) _stores: Folder,
}

/// What a typed line, or a signal, asks for.
enum Next {
    GoOn,
    Stop,
}

#[expect(clippy::print_stdout, reason = "a command's own output")]
impl Session {
    /// Says what runs, and where.
    pub(super) fn welcome(&mut self, built: &Built) {
        let paint = self.paint;
        // Before anybody knows where to ask.
        self.tell_browsers();
        println!();
        for address in &self.node.addresses().http {
            let url = format!("http://{address}/");
            println!("  {}", paint.paint(Colour::Bold, &url));
        }
        for address in &self.node.addresses().https {
            println!(
                "  {}",
                paint.paint(Colour::Bold, &format!("https://{address}/"))
            );
        }
        for origin in &self.origins {
            println!("  origin {}: {}", origin.name, origin.source);
        }
        self.warn_of_unused(built);
        println!("  Ctrl-C stops, `h` and Enter helps\n");
        for artifact in &built.artifacts {
            self.say_live(artifact, built.took, None);
        }
    }

    /// A component that no function names is served by nobody.
    fn warn_of_unused(&self, built: &Built) {
        let generation = self.node.state().generation.load();
        for artifact in &built.artifacts {
            let mut functions = generation.config.functions.values();
            if functions.all(|function| function.component != artifact.component) {
                let file = short_path(&artifact.component).display();
                let text = format!("no function of the configuration is {file}");
                println!("  {}", self.paint.paint(Colour::Yellow, &text));
            }
        }
    }

    /// Serves until it is told to stop.
    pub(super) async fn serve(mut self, signals: Signals) -> ExitCode {
        let mut typed = read_typed();
        let mut is_typed = true;
        let mut look = interval(LOOK_EVERY);
        loop {
            let next = tokio::select! {
                () = signals.stop() => Next::Stop,
                () = self.sources.changed(), if self.building.is_none() => {
                    self.build();
                    Next::GoOn
                }
                built = finished(&mut self.building) => {
                    self.building = None;
                    // Compiling a large component takes seconds, in which it can be told to stop.
                    tokio::select! {
                        () = signals.stop() => Next::Stop,
                        () = self.swap(built) => Next::GoOn,
                    }
                }
                line = typed.recv(), if is_typed => match line {
                    Some(line) => self.obey(&line),
                    None => {
                        is_typed = false;
                        Next::GoOn
                    }
                },
                _ = look.tick() => {
                    self.tell_browsers();
                    Next::GoOn
                }
            };
            if matches!(next, Next::Stop) {
                return self.stop(&signals).await;
            }
        }
    }

    fn build(&mut self) {
        self.sources.take();
        let (folder, children) = (self.folder.clone(), self.children.clone());
        self.building = Some(tokio::task::spawn_blocking(move || {
            build_folder(&folder, Profile::Dev, true, &children)
        }));
    }

    /// Swaps in what was built; without success the version before serves on.
    async fn swap(&mut self, built: Result<Built, BuildError>) {
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                let text = format!("{error}; the version before serves on");
                println!("{}", self.paint.paint(Colour::Red, &text));
                return;
            }
        };
        self.sources.add(built.folders);
        self.artifacts.lock().clone_from(&built.artifacts);
        let digests = |artifacts: &[Artifact]| -> Vec<_> {
            artifacts.iter().map(|artifact| artifact.digest).collect()
        };
        // What serves, which is not what was built last when that was refused.
        if digests(&self.served) == digests(&built.artifacts) {
            println!(
                "{}",
                self.paint.paint(Colour::Dim, "built: the same component")
            );
            return;
        }
        let state = Arc::clone(self.node.state());
        let reloading = tokio::task::spawn_blocking(move || reload(&state, ReloadCause::File));
        let Ok(report) = reloading.await else {
            println!("the reload panicked; the version before serves on");
            return;
        };
        // Problems are in the log.
        if report.is_success() {
            let before = std::mem::replace(&mut self.served, built.artifacts.clone());
            let changed = built
                .artifacts
                .iter()
                .filter(|made| before.iter().all(|before| before.digest != made.digest));
            for artifact in changed {
                self.forget_made_by(artifact);
                self.say_live(artifact, built.took, Some(report.took));
            }
            self.tell_browsers();
        }
    }

    /// What the version before had a part in is stored, and would answer in place of the new one.
    fn forget_made_by(&self, artifact: &Artifact) {
        let state = self.node.state();
        let generation = state.generation.load();
        for (name, function) in &generation.config.functions {
            if function.component == artifact.component
                && let Ok(scope) = PurgeScope::function(name)
            {
                state.cache.purge(scope, Hardness::Hard);
            }
        }
    }

    fn say_live(&self, artifact: &Artifact, built: Duration, swapped: Option<Duration>) {
        let swapped = match swapped {
            Some(took) => format!(", swapped in {} ms", took.as_millis()),
            None => String::new(),
        };
        println!(
            "{} {} {}, {}, built in {} ms{swapped}",
            self.paint.paint(Colour::Green, "live"),
            self.paint.paint(Colour::Bold, &artifact.name),
            artifact.digest.short(),
            show_size(artifact.bytes),
            built.as_millis()
        );
    }

    /// Browsers load their page again after each reload, whoever asked for it.
    fn tell_browsers(&mut self) {
        let generation = self.node.state().generation.load().number;
        if generation != self.generation {
            self.generation = generation;
            // A page that was made by another process is as outdated.
            self.live
                .tell(format!("{}.{generation}", std::process::id()));
        }
    }

    fn obey(&mut self, line: &str) -> Next {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let done = match word {
            "" => Ok(String::new()),
            "c" => read_step(rest).map(|step| {
                let ahead = self.jumps.jump(step);
                format!("the clock is {} ahead", show_duration(ahead))
            }),
            "f" => rest.parse().and_then(|fault| self.fault(&fault)),
            "r" if self.building.is_none() => {
                self.build();
                Ok(String::new())
            }
            "r" => Ok("a build runs".to_owned()),
            "h" | "?" => Ok(HELP.to_owned()),
            "q" => return Next::Stop,
            other => Err(format!("`{other}` is no command\n{HELP}")),
        };
        match done {
            Ok(text) if text.is_empty() => {}
            Ok(text) => println!("{text}"),
            Err(problem) => println!("{}", self.paint.paint(Colour::Red, &problem)),
        }
        Next::GoOn
    }

    fn fault(&self, fault: &Fault) -> Result<String, String> {
        let told = origins::tell(&self.origins, fault)?;
        let time = match fault.lasts {
            Some(time) => format!(" for {}", show_duration(time)),
            None => String::new(),
        };
        Ok(format!("origin {}: {}{time}", told.join(", "), fault.kind))
    }

    async fn stop(mut self, signals: &Signals) -> ExitCode {
        if let Some(building) = self.building.take() {
            end_build(&self.children, building, signals).await;
        }
        self.live.end();
        let node = self.node;
        let stopped = tokio::task::spawn_blocking(move || node.stop());
        tokio::select! {
            _ = stopped => ExitCode::SUCCESS,
            () = signals.stop_at_once() => ExitCode::from(STOPPED_AT_ONCE),
        }
    }
}

/// Waits for a build; for ever if none runs.
async fn finished(building: &mut Option<Building>) -> Result<Built, BuildError> {
    match building {
        Some(building) => building
            .await
            .unwrap_or_else(|error| Err(BuildError::NotBegun(error.to_string()))),
        None => std::future::pending().await,
    }
}

/// The lines of standard input, until it ends.
fn read_typed() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(TYPED_MAX);
    // A thread of its own: reading cannot be called off, and ends with the process.
    let reading = std::thread::Builder::new().name("verge-typed".to_owned());
    let started = reading.spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if typed.blocking_send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    if let Err(error) = started {
        tracing::warn!("what is typed is not read: {error}");
    }
    lines
}
