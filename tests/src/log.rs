//! The node's log, as the tests of one process see it: every line as JSON.

use std::io;
use std::sync::OnceLock;

use parking_lot::Mutex;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

static TEXT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STARTED: OnceLock<()> = OnceLock::new();

/// Keeps the log of all nodes of this process from now on.
pub fn keep() {
    STARTED.get_or_init(|| {
        tracing_subscriber::fmt()
            .event_format(verge::telemetry::JsonLines)
            .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
            .with_writer(Kept)
            .init();
    });
}

/// The lines so far that contain `marker`, such as a request id: `level`, `target`, and all members
/// as `fields`.
pub fn lines_with(marker: &str) -> Vec<Value> {
    let text = String::from_utf8_lossy(&TEXT.lock()).into_owned();
    text.lines()
        .filter(|line| line.contains(marker))
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            serde_json::json!({ "level": line["level"], "target": line["target"], "fields": line })
        })
        .collect()
}

struct Kept;

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
