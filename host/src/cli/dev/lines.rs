//! What a developer reads: each request's receipt as one line, and what
//! functions log. Receipts come as lines of the access log.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Colours, where there is a terminal that shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Paint(bool);

/// The colours that are used, as a terminal is told them.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Colour {
    Green,
    Yellow,
    Red,
    Cyan,
    Dim,
    Bold,
}

impl Paint {
    /// Colours if standard output is a terminal that has them, and `NO_COLOR` is not set.
    pub(in crate::cli) fn of_output() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        let unwanted = is_dumb || std::env::var_os("NO_COLOR").is_some();
        Self(io::stdout().is_terminal() && !unwanted)
    }

    /// No colours.
    pub(in crate::cli) const PLAIN: Self = Self(false);

    /// `text` in a colour.
    pub(in crate::cli) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.0 {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
            Colour::Cyan => 36,
            Colour::Dim => 2,
            Colour::Bold => 1,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Takes the access log and prints each receipt.
pub(super) struct ReceiptLines {
    paint: Paint,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

impl ReceiptLines {
    pub(super) fn new(paint: Paint) -> Self {
        Self {
            paint,
            rest: Vec::new(),
        }
    }
}

impl Write for ReceiptLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let mut text = String::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            if let Ok(receipt) = serde_json::from_slice(&line) {
                text.push_str(&receipt_line(&receipt, self.paint));
                text.push('\n');
            }
        }
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// One receipt, as `200 GET /hello?Ada  1.92 ms  miss, stored  greeter viewer-request fresh 0.31 ms`.
pub(in crate::cli) fn receipt_line(receipt: &Value, paint: Paint) -> String {
    let time = receipt["time"].as_str().unwrap_or_default();
    let time = time.get(11..19).unwrap_or_default();
    let mut line = paint.paint(Colour::Dim, time);
    let _ = write!(
        line,
        "  {} {} {}  {}",
        status(receipt, paint),
        text(&receipt["method"]),
        target(receipt),
        milliseconds(&receipt["total_us"])
    );
    if let Some(cache) = receipt.get("cache") {
        let word = cache_word(cache);
        let _ = write!(line, "  {}", paint.paint(Colour::Cyan, &word));
    }
    for function in receipt["functions"].as_array().into_iter().flatten() {
        let _ = write!(line, "  {}", function_word(function, paint));
    }
    if let Some(origin) = receipt.get("origin") {
        let _ = write!(line, "  {}", origin_word(origin, paint));
    }
    if let Some(failure) = receipt["failure"].as_str() {
        let _ = write!(line, "  {}", paint.paint(Colour::Red, failure));
    }
    if receipt["aborted"] == true {
        line.push_str("  the client went away");
    }
    line
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn status(receipt: &Value, paint: Paint) -> String {
    let Some(status) = receipt["status"].as_u64() else {
        return "---".to_owned();
    };
    let colour = match status {
        0..=399 => Colour::Green,
        400..=499 => Colour::Yellow,
        _ => Colour::Red,
    };
    paint.paint(colour, &status.to_string())
}

/// Path and query; what a client sent is escaped in the log, and here again.
fn target(receipt: &Value) -> String {
    let mut target = text(&receipt["path"]).to_owned();
    if let Some(query) = receipt["query"].as_str() {
        target.push('?');
        target.push_str(query);
    }
    shown(&target)
}

/// Without anything that a terminal would obey.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let is_plain = !character.is_control();
            let plain = is_plain.then_some(character);
            let escaped = (!is_plain).then(|| character.escape_default());
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

fn milliseconds(micros: &Value) -> String {
    format!("{:.2} ms", micros.as_f64().unwrap_or_default() / 1000.0)
}

fn cache_word(cache: &Value) -> String {
    let mut words = text(&cache["outcome"]).to_owned();
    if cache["stored"] == true {
        words.push_str(", stored");
    }
    if cache["collapsed"] == true {
        words.push_str(", collapsed");
    }
    if let Some(ttl) = cache["ttl"].as_i64() {
        let _ = write!(words, ", ttl {ttl} s");
    }
    words
}

fn function_word(function: &Value, paint: Paint) -> String {
    let outcome = text(&function["outcome"]);
    let colour = match outcome {
        "continued" | "responded" => Colour::Dim,
        _ => Colour::Red,
    };
    // Where the clock stands still, nothing takes time, and a start is not seen.
    let start = match (function["start_class"].as_str(), outcome) {
        (Some(class), _) => class,
        (None, "continued" | "responded") => "ran",
        (None, _) => "not started",
    };
    format!(
        "{} {} {} {} {}",
        paint.paint(Colour::Bold, text(&function["name"])),
        text(&function["trigger"]),
        start,
        milliseconds(&function["wall_us"]),
        paint.paint(colour, outcome)
    )
}

fn origin_word(origin: &Value, paint: Paint) -> String {
    let name = paint.paint(Colour::Bold, text(&origin["name"]));
    match (origin["failure"].as_str(), origin["status"].as_u64()) {
        (Some(failure), _) => format!("{name} {}", paint.paint(Colour::Red, failure)),
        (None, Some(status)) => {
            format!("{name} {status} {}", milliseconds(&origin["first_byte_us"]))
        }
        (None, None) => name,
    }
}

/// Prints what functions log, and what the node warns of.
pub(super) fn start_log(paint: Paint) {
    // A filter of our own words is always valid.
    let filter = EnvFilter::new("warn,verge::reload=info,function=trace");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stdout)
        .event_format(LogLine(paint));
    // A second node in one process keeps the first one's log.
    let _ = builder.try_init();
}

/// Keeps what functions log, and what the node warns of, in `log`.
pub(in crate::cli) fn log_to(log: &Arc<Mutex<Vec<u8>>>) {
    let log = Arc::clone(log);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("warn,function=trace"))
        .with_writer(move || Kept(Arc::clone(&log)))
        .event_format(LogLine(Paint::PLAIN));
    // A second node in one process keeps the first one's log.
    let _ = builder.try_init();
}

/// Writes to a text in memory.
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct LogLine(Paint);

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let paint = self.0;
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error", Colour::Red),
            Level::WARN => ("warn", Colour::Yellow),
            Level::INFO => ("info", Colour::Green),
            Level::DEBUG => ("debug", Colour::Dim),
            Level::TRACE => ("trace", Colour::Dim),
        };
        let who = match said.function.as_str() {
            "" => "verge",
            function => function,
        };
        writeln!(
            writer,
            "          {} {}  {}{}",
            paint.paint(Colour::Bold, who),
            paint.paint(colour, word),
            said.message,
            said.others
        )
    }
}

/// The fields of an event, as words.
#[derive(Default)]
struct Said {
    function: String,
    message: String,
    others: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "function" => value.clone_into(&mut self.function),
            // Which request: the receipt's line follows.
            "request" => {}
            name => {
                let _ = write!(self.others, "  {name}={value}");
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            // A backtrace is several lines, which the node writes as one.
            "message" => self.message = shown(&format!("{value:?}")).replace("\\n", "\n      "),
            name => {
                let _ = write!(self.others, "  {name}={value:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_is_one_readable_line() {
        let receipt = json!({
            "time": "2026-11-21T14:03:22.123Z", "method": "GET", "path": "/hello\u{1b}[2J", "query": "Ada",
            "status": 200, "total_us": 1921.4,
            "cache": {"outcome": "uri-miss", "stored": true, "lookup_us": 0.9},
            "functions": [{"name": "greeter", "trigger": "viewer-request", "start_class": "fresh",
                "wall_us": 310.0, "outcome": "continued"}],
            "origin": {"name": "app", "status": 200, "first_byte_us": 1200.0},
        });
        assert_eq!(
            receipt_line(&receipt, Paint::PLAIN),
            "14:03:22  200 GET /hello\\u{1b}[2J?Ada  1.92 ms  uri-miss, stored  \
             greeter viewer-request fresh 0.31 ms continued  app 200 1.20 ms"
        );
    }

    #[test]
    fn failures_are_told_where_they_were() {
        let receipt = json!({
            "time": "2026-11-21T14:03:22.123Z", "method": "GET", "path": "/", "status": 502, "total_us": 900.0,
            "origin": {"name": "app", "failure": "connection-refused"}, "failure": "connection-refused",
        });
        assert_eq!(
            receipt_line(&receipt, Paint::PLAIN),
            "14:03:22  502 GET /  0.90 ms  app connection-refused  connection-refused"
        );
    }

    #[test]
    fn lines_that_come_in_pieces_are_put_together() {
        let mut lines = ReceiptLines::new(Paint::PLAIN);
        lines.write_all(b"{\"path\":").unwrap();
        assert!(!lines.rest.is_empty());
        lines.write_all(b"\"/\"}\n").unwrap();
        assert!(lines.rest.is_empty());
    }
}
