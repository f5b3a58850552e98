//! What a call came to, beside what was recorded, for people.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use verge_runtime::StartClass;
use verge_runtime::record::Difference;

use super::super::count;
use super::Done;
use crate::telemetry::Rfc3339;

/// Characters of one side of a difference.
const SHOWN: usize = 300;

/// All that is to be said.
pub(super) fn told(done: &Done) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, done);
    text
}

fn write(text: &mut String, done: &Done) -> fmt::Result {
    let (recording, replayed) = (&done.recording, &done.replayed);
    let ended = Duration::from_millis(recording.ended_at_ms);
    let ended = SystemTime::UNIX_EPOCH
        .checked_add(ended)
        .map_or_else(String::new, |time| Rfc3339(time).to_string());
    let (function, trigger) = (&recording.function, &recording.trigger);
    writeln!(
        text,
        "{function}, {trigger}, request {}, {ended}",
        recording.request
    )?;
    if let Some(request) = &recording.input.request {
        writeln!(text, "{} {}", request.method, request.uri)?;
    }
    let is_other = done.digest.to_string() != recording.digest;
    let other = if is_other { ", another build" } else { "" };
    let short = done.digest.short();
    writeln!(
        text,
        "component {short}{other}: {}",
        done.component.display()
    )?;
    let then = &recording.outcome;
    let cpu = Duration::from_micros(then.cpu_us);
    writeln!(
        text,
        "  recorded: {}, {cpu:?} of CPU time, {}",
        then.outcome,
        count(then.hostcalls as usize, "hostcall")
    )?;
    let now = &replayed.receipt;
    let cpu = Duration::from_micros(u64::try_from(now.cpu.as_micros()).unwrap_or(u64::MAX));
    writeln!(
        text,
        "  now:      {}, {cpu:?} of CPU time, {}",
        now.outcome.label(),
        count(now.hostcalls as usize, "hostcall")
    )?;
    match replayed.differs_from(recording) {
        None => writeln!(text, "same outcome")?,
        Some(difference) => writeln!(text, "ANOTHER OUTCOME: {}", cut(&difference))?,
    }
    if let Some(failure) = &replayed.failure {
        writeln!(text, "failure:\n{}", indented(&failure.detail))?;
    }
    if is_other && let Some(detail) = &then.detail {
        writeln!(text, "recorded failure:\n{}", indented(detail))?;
    }
    if !replayed.log.is_empty() {
        writeln!(text, "log:")?;
    }
    for (level, line) in &replayed.log {
        writeln!(text, "  {level:?}: {line}")?;
    }
    differences(text, done)?;
    notes(text, done)
}

fn differences(text: &mut String, done: &Done) -> fmt::Result {
    let replayed = &done.replayed;
    let asked = count(done.recording.calls.len(), "question");
    if replayed.differences.is_empty() {
        return writeln!(text, "{asked} to the host, asked as recorded");
    }
    writeln!(text, "{asked} to the host, not asked as recorded:")?;
    for Difference {
        place,
        expected,
        got,
    } in &replayed.differences
    {
        let place = place.map_or_else(|| "-".to_owned(), |place| place.to_string());
        let expected = expected.as_deref().map_or("nothing".into(), cut);
        let got = got.as_deref().map_or("nothing".into(), cut);
        writeln!(text, "  {place}: expected {expected}\n     got      {got}")?;
    }
    match replayed.more_differences {
        0 => Ok(()),
        more => writeln!(text, "  and {more} more"),
    }
}

fn notes(text: &mut String, done: &Done) -> fmt::Result {
    let recording = &done.recording;
    if !done.replayed.redacted.is_empty() {
        let read = done.replayed.redacted.join(", ");
        writeln!(
            text,
            "note: the function may have looked at what was left out of the recording ({read}): the outcome \
             may differ for that alone"
        )?;
    }
    if recording.start == StartClass::Reused.label() {
        writeln!(
            text,
            "note: the recorded call ran on an instance that had served calls before: what those left in its \
             memory is not in the recording"
        )?;
    }
    if recording.version != env!("CARGO_PKG_VERSION") {
        let version = &recording.version;
        writeln!(text, "note: it was recorded by Verge {version}")?;
    }
    Ok(())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
    }
}

fn indented(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| format!("  {line}"));
    lines.collect::<Vec<_>>().join("\n")
}
