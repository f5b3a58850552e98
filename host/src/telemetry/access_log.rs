//! The access log: one JSON line for each request.
//!
//! A line is made on the request's own thread, in that thread's part of a
//! bounded buffer; one writer thread takes full buffers away and writes them
//! in batches. When the writer falls behind, lines are dropped and counted: a
//! slow disk or a stuck pipe never holds up a request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::access_line::{self, LineOptions};
use super::receipt::Receipt;
use super::sample::AccessLogSample;

/// Where lines go.
pub enum AccessLogOutput {
    /// The process's standard output.
    Stdout,
    /// A file, appended to and made if it is not there; opened anew by [`AccessLog::reopen`].
    File(PathBuf),
    /// Anything else that can be written to.
    Writer(Box<dyn Write + Send>),
}

/// How the access log is kept.
pub struct AccessLogConfig {
    /// Where lines go.
    pub output: AccessLogOutput,
    /// What of a request is written.
    pub line: LineOptions,
    /// Bytes that may wait for the writer; lines beyond are dropped. At least 64 KiB are used.
    pub queue_bytes: usize,
    /// How many threads write lines at the same time.
    pub workers: usize,
}

impl AccessLogConfig {
    /// Lines to `output`, with 4 MiB of room for them to wait.
    #[must_use]
    pub fn new(output: AccessLogOutput, workers: usize) -> Self {
        Self {
            output,
            line: LineOptions::default(),
            queue_bytes: 4 << 20,
            workers,
        }
    }
}

/// The access log; cheap to clone.
#[derive(Clone)]
pub struct AccessLog(Arc<Shared>);

struct Shared {
    options: LineOptions,
    parts: Box<[Mutex<Part>]>,
    part_bytes: usize,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Whether the writer sleeps until the next line.
    is_asleep: AtomicBool,
    signals: Mutex<Signals>,
    to_writer: Condvar,
    from_writer: Condvar,
}

/// Lines that wait for the writer.
#[derive(Default)]
struct Part {
    text: Vec<u8>,
    lines: u64,
}

#[derive(Default)]
struct Signals {
    wake: bool,
    reopen: bool,
    stop: bool,
    flushes_asked: u64,
    flushes_done: u64,
    has_ended: bool,
}

impl AccessLog {
    /// How long the writer gathers lines before it writes them.
    const GATHER: Duration = Duration::from_millis(20);
    const LEAST_PART_BYTES: usize = 64 << 10;

    /// Opens the output and starts the writer thread.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread can be started.
    pub fn start(config: AccessLogConfig) -> io::Result<Self> {
        let sink = Sink::open(config.output)?;
        let parts = config.workers.clamp(1, 256);
        let shared = Arc::new(Shared {
            options: config.line,
            parts: (0..parts).map(|_| Mutex::default()).collect(),
            part_bytes: (config.queue_bytes / parts).max(Self::LEAST_PART_BYTES),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            is_asleep: AtomicBool::new(false),
            signals: Mutex::default(),
            to_writer: Condvar::new(),
            from_writer: Condvar::new(),
        });
        let of_writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("verge-access-log".into())
            .spawn(move || Writer::new(of_writer, sink).run())?;
        Ok(Self(shared))
    }

    /// Appends the line of `receipt`, or drops and counts it when there is no room.
    pub fn write(&self, receipt: &Receipt) {
        let shared = &*self.0;
        let Some(part) = shared.parts.get(own_part(shared.parts.len())) else {
            return;
        };
        // The lock is held for making one line, or by the writer for taking the
        // whole text away; never while anything is written.
        let mut part = part.lock();
        let before = part.text.len();
        access_line::append(receipt, shared.options, &mut part.text);
        if part.text.len() > shared.part_bytes {
            part.text.truncate(before);
            drop(part);
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        part.lines += 1;
        let is_half_full =
            before < shared.part_bytes / 2 && part.text.len() >= shared.part_bytes / 2;
        drop(part);
        // The writer announces its sleep and then looks into every part once
        // more, each under its lock: it sees this line, or this sees that it sleeps.
        let is_asleep = shared.is_asleep.load(Ordering::Relaxed)
            && shared.is_asleep.swap(false, Ordering::Relaxed);
        if is_half_full || is_asleep {
            shared.signal(|signals| signals.wake = true);
        }
    }

    /// Opens the file anew before the next line is written, for log rotation.
    /// If that fails, the old file is written on and a warning says so.
    pub fn reopen(&self) {
        self.0.signal(|signals| signals.reopen = true);
    }

    /// Waits until every line of before this call is written, at most `patience`
    /// long; false if it took longer. Blocks: not for the request path.
    pub fn flush(&self, patience: Duration) -> bool {
        let mut signals = self.0.signals.lock();
        signals.flushes_asked += 1;
        let ticket = signals.flushes_asked;
        self.0.to_writer.notify_one();
        let is_waiting =
            |signals: &mut Signals| signals.flushes_done < ticket && !signals.has_ended;
        let waited = self
            .0
            .from_writer
            .wait_while_for(&mut signals, is_waiting, patience);
        !waited.timed_out()
    }

    /// Writes what waits and ends the writer thread, at most `patience` long;
    /// false if it took longer. Lines of after this call are lost. Blocks.
    pub fn stop(&self, patience: Duration) -> bool {
        let mut signals = self.0.signals.lock();
        signals.stop = true;
        self.0.to_writer.notify_one();
        let waited =
            self.0
                .from_writer
                .wait_while_for(&mut signals, |signals| !signals.has_ended, patience);
        !waited.timed_out()
    }

    /// Lines written and dropped since the start.
    #[must_use]
    pub fn sample(&self) -> AccessLogSample {
        AccessLogSample {
            written: self.0.written.load(Ordering::Relaxed),
            dropped: self.0.dropped.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AccessLog").field(&self.sample()).finish()
    }
}

impl Shared {
    fn signal(&self, change: impl FnOnce(&mut Signals)) {
        change(&mut self.signals.lock());
        self.to_writer.notify_one();
    }

    fn has_lines(&self) -> bool {
        self.parts.iter().any(|part| !part.lock().text.is_empty())
    }
}

/// This thread's part out of `parts`.
fn own_part(parts: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    THREAD.with(|thread| thread.checked_rem(parts).unwrap_or(0))
}

/// The writer thread.
struct Writer {
    shared: Arc<Shared>,
    sink: Sink,
    /// Changes places with a part's text, so that neither is allocated anew.
    batch: Part,
    /// Whether the last batch was cut off, maybe in the middle of a line.
    is_broken: bool,
}

/// What the writer does next.
struct Turn {
    reopen: bool,
    stop: bool,
    flushes: u64,
}

impl Writer {
    fn new(shared: Arc<Shared>, sink: Sink) -> Self {
        Self {
            shared,
            sink,
            batch: Part::default(),
            is_broken: false,
        }
    }

    fn run(mut self) {
        loop {
            let turn = self.await_turn();
            if turn.reopen {
                self.reopen();
            }
            self.write_all();
            let mut signals = self.shared.signals.lock();
            signals.flushes_done = signals.flushes_done.max(turn.flushes);
            signals.has_ended = turn.stop;
            drop(signals);
            self.shared.from_writer.notify_all();
            if turn.stop {
                return;
            }
        }
    }

    /// Sleeps until there are lines, then gathers more of them for a moment;
    /// a flush, a stop or a part that fills up cut the moment short.
    fn await_turn(&self) -> Turn {
        let shared = &*self.shared;
        shared.is_asleep.store(true, Ordering::Relaxed);
        if shared.has_lines() {
            shared.is_asleep.store(false, Ordering::Relaxed);
        }
        let mut signals = shared.signals.lock();
        let is_idle = |signals: &mut Signals| {
            !(signals.wake || signals.reopen || signals.stop)
                && signals.flushes_asked == signals.flushes_done
        };
        if shared.is_asleep.load(Ordering::Relaxed) {
            shared.to_writer.wait_while(&mut signals, is_idle);
            shared.is_asleep.store(false, Ordering::Relaxed);
            signals.wake = false;
        }
        let gather = AccessLog::GATHER;
        shared
            .to_writer
            .wait_while_for(&mut signals, is_idle, gather);
        signals.wake = false;
        Turn {
            reopen: std::mem::take(&mut signals.reopen),
            stop: signals.stop,
            flushes: signals.flushes_asked,
        }
    }

    fn write_all(&mut self) {
        for part in &self.shared.parts {
            std::mem::swap(&mut *part.lock(), &mut self.batch);
            if self.batch.text.is_empty() {
                continue;
            }
            let lines = std::mem::take(&mut self.batch.lines);
            match self.sink.write(&self.batch.text, self.is_broken) {
                Ok(()) => {
                    self.is_broken = false;
                    self.shared.written.fetch_add(lines, Ordering::Relaxed);
                }
                Err(error) => {
                    if !self.is_broken {
                        tracing::warn!(%error, "access log lines are lost: writing failed");
                    }
                    self.is_broken = true;
                    self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
                }
            }
            self.batch.text.clear();
        }
    }

    fn reopen(&mut self) {
        if let Err(error) = self.sink.reopen() {
            tracing::warn!(%error, "the access log goes on in its old file: opening it anew failed");
        }
    }
}

/// An open output.
enum Sink {
    Stdout,
    File { path: PathBuf, file: File },
    Writer(Box<dyn Write + Send>),
}

impl Sink {
    fn open(output: AccessLogOutput) -> io::Result<Self> {
        Ok(match output {
            AccessLogOutput::Stdout => Self::Stdout,
            AccessLogOutput::File(path) => {
                let file = open_to_append(&path)?;
                Self::File { path, file }
            }
            AccessLogOutput::Writer(writer) => Self::Writer(writer),
        })
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open_to_append(path)?;
        }
        Ok(())
    }

    /// Writes whole lines. After a failure a line feed goes first, so that
    /// half a line spoils no other.
    fn write(&mut self, text: &[u8], after_failure: bool) -> io::Result<()> {
        let output: &mut dyn Write = match self {
            Self::Stdout => &mut io::stdout().lock(),
            Self::File { file, .. } => file,
            Self::Writer(writer) => writer,
        };
        if after_failure {
            output.write_all(b"\n")?;
        }
        output.write_all(text)?;
        output.flush()
    }
}

fn open_to_append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests;
