//! The log under load, under rotation, and in front of a writer that is stuck.

use std::fs;
use std::sync::mpsc;
use std::time::SystemTime;

use http::HeaderValue;
use verge_base::{Clock, Random};

use super::super::span::RequestId;
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn receipt() -> Receipt {
    let id = RequestId::new(&Random::system());
    Receipt::begin(id, Clock::system().now(), SystemTime::UNIX_EPOCH)
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says when a write begins, and lets it end when told.
struct Stuck {
    began: mpsc::Sender<()>,
    may_end: mpsc::Receiver<()>,
    memory: Memory,
}

impl Write for Stuck {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _gone = self.began.send(());
        let _gone = self.may_end.recv();
        self.memory.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start(output: AccessLogOutput, workers: usize) -> AccessLog {
    AccessLog::start(AccessLogConfig::new(output, workers)).unwrap()
}

#[test]
fn every_line_of_every_thread_is_written_whole() {
    let memory = Memory::default();
    let log = start(AccessLogOutput::Writer(Box::new(memory.clone())), 2);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let log = log.clone();
            thread::spawn(move || (0..500).for_each(|_| log.write(&receipt())))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(log.flush(PATIENCE));
    let text = memory.text();
    assert_eq!(text.lines().count(), 2000);
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!((log.sample().written, log.sample().dropped), (2000, 0));
}

#[test]
fn line_is_written_without_anyone_asking() {
    let (began, begun) = mpsc::channel();
    let (let_end, may_end) = mpsc::channel();
    let memory = Memory::default();
    let stuck = Stuck {
        began,
        may_end,
        memory,
    };
    let log = start(AccessLogOutput::Writer(Box::new(stuck)), 1);
    for _ in 0..3 {
        // Each time the writer has gone to sleep, or is about to.
        log.write(&receipt());
        begun.recv_timeout(PATIENCE).unwrap();
        let_end.send(()).unwrap();
    }
}

#[test]
fn lines_are_dropped_and_counted_while_the_writer_is_stuck() {
    let (began, begun) = mpsc::channel();
    let (let_end, may_end) = mpsc::channel();
    let memory = Memory::default();
    let stuck = Stuck {
        began,
        may_end,
        memory: memory.clone(),
    };
    let log = start(AccessLogOutput::Writer(Box::new(stuck)), 1);
    let log = AccessLog(Arc::clone(&log.0));
    log.write(&receipt());
    begun.recv_timeout(PATIENCE).unwrap();

    // The writer is in the middle of its first batch; far more lines than fit.
    let large = Receipt {
        user_agent: Some(HeaderValue::from_bytes(&[b'a'; 2000]).unwrap()),
        ..receipt()
    };
    for _ in 0..10_000 {
        log.write(&large);
    }
    assert!(log.sample().dropped > 0);
    assert!(!log.flush(Duration::from_millis(1)));

    drop(let_end);
    assert!(log.stop(PATIENCE));
    let sample = log.sample();
    assert_eq!(sample.written + sample.dropped, 10_001);
    assert_eq!(memory.text().lines().count() as u64, sample.written);
}

#[test]
fn rotated_file_is_left_alone_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (
        folder.path().join("access.log"),
        folder.path().join("access.1"),
    );
    let log = start(AccessLogOutput::File(path.clone()), 1);
    log.write(&receipt());
    assert!(log.flush(PATIENCE));
    fs::rename(&path, &rotated).unwrap();
    log.reopen();
    log.write(&receipt());
    log.write(&receipt());
    assert!(log.flush(PATIENCE));
    let lines = |path| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&rotated), lines(&path)), (1, 2));
}

#[test]
fn old_file_is_written_on_when_reopening_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("logs"), folder.path().join("moved"));
    fs::create_dir(&path).unwrap();
    let log = start(AccessLogOutput::File(path.join("access.log")), 1);
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    log.write(&receipt());
    assert!(log.flush(PATIENCE));
    let text = fs::read_to_string(moved.join("access.log")).unwrap();
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn file_that_cannot_be_opened_is_named() {
    let path = PathBuf::from("/nonexistent/access.log");
    let config = AccessLogConfig::new(AccessLogOutput::File(path), 1);
    let error = AccessLog::start(config).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/access.log"));
}

#[test]
fn half_a_line_spoils_no_other() {
    /// Takes ten bytes, then fails once, then takes all.
    struct Full {
        writes: u32,
        memory: Memory,
    }
    impl Write for Full {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            match self.writes {
                1 => self.memory.write(&text[..10]),
                2 => Err(io::Error::from(io::ErrorKind::StorageFull)),
                _ => self.memory.write(text),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let memory = Memory::default();
    let full = Full {
        writes: 0,
        memory: memory.clone(),
    };
    let log = start(AccessLogOutput::Writer(Box::new(full)), 1);
    log.write(&receipt());
    assert!(log.flush(PATIENCE));
    log.write(&receipt());
    assert!(log.stop(PATIENCE));
    assert_eq!((log.sample().written, log.sample().dropped), (1, 1));
    let text = memory.text();
    let last = text.lines().last().unwrap();
    serde_json::from_str::<serde_json::Value>(last).unwrap();
}

#[test]
fn stopped_log_still_takes_lines_and_loses_them() {
    let memory = Memory::default();
    let log = start(AccessLogOutput::Writer(Box::new(memory.clone())), 1);
    log.write(&receipt());
    assert!(log.stop(PATIENCE));
    log.write(&receipt());
    assert!(log.flush(PATIENCE));
    assert_eq!(memory.text().lines().count(), 1);
}
