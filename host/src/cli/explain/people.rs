//! An explanation as lines for people: what would happen first, then why, then
//! all that is stored. Words of the protocol stand in brackets behind plain ones.

use std::fmt::Write as _;

use crate::admin::explain::{
    ExplainedCoding, ExplainedNext, ExplainedPart, ExplainedResponse, ExplainedRun, ExplainedTier,
    Explanation,
};

/// Most ranges of parts that are shown.
const RANGES_SHOWN: usize = 8;

/// Lines with a name in front, aligned.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: &str) {
        let line = format!("{name:<12} {value}");
        // Writing to a string does not fail.
        let _infallible = writeln!(self.0, "{}", line.trim_end());
    }

    fn gap(&mut self) {
        self.put("", "");
    }

    /// A list, unless it is empty.
    fn list(&mut self, name: &str, values: &[String], note: &str) {
        if !values.is_empty() {
            self.put(name, &format!("{}{note}", values.join(", ")));
        }
    }
}

/// All of it.
pub(super) fn text(told: &Explanation) -> String {
    let mut lines = Lines::default();
    next(&mut lines, &told.next);
    lines.gap();
    request(&mut lines, told);
    if told.stored.is_empty() && told.key.is_some() {
        lines.put("stored", "nothing");
    }
    for tier in &told.unknown {
        lines.put(name(&tier.tier), &unknown(tier));
    }
    for (number, stored) in told.stored.iter().enumerate() {
        lines.gap();
        let mark = if stored.is_selected {
            ", selected by this request"
        } else {
            ""
        };
        let tier = place(&stored.tier);
        let title = format!("{} of {}, {tier}{mark}", number + 1, told.stored.len());
        lines.put("stored", &title);
        response(&mut lines, stored);
    }
    for part in &told.parts {
        lines.gap();
        parts(&mut lines, part);
    }
    history(&mut lines, told);
    lines.0
}

fn next(lines: &mut Lines, next: &ExplainedNext) {
    lines.put(&next.outcome.to_uppercase(), &next.what);
    let mut why = rule(&next.reason, &next.section);
    if let Some(tier) = &next.tier {
        let _infallible = write!(why, ", {}", place(tier));
    }
    if let Some(status) = next.status {
        let _infallible = write!(why, "; the client gets {status}");
    }
    lines.put("", &why);
}

fn request(lines: &mut Lines, told: &Explanation) {
    lines.put("request", &format!("{} {}", told.method, told.url));
    lines.put("site", &told.site);
    lines.put("route", &format!("{} -> {}", told.route, told.answered_by));
    lines.list(
        "bypass",
        &told.bypass,
        " (requests with these go past the cache)",
    );
    match &told.run {
        Some(run) => ran(lines, &told.functions, run),
        None => {
            let note = " (not run: may answer, or change the key; --run-functions runs them)";
            lines.list("functions", &told.functions, note);
        }
    }
    lines.list(
        "middleware",
        &told.middleware,
        " (never run here: may answer, or send on another request than this one)",
    );
    if let Some(key) = &told.key {
        lines.put("key", &key.text);
        lines.put("", &format!("sha-256 {}", key.digest));
        lines.list(
            "not in key",
            &key.dropped,
            " (parameters that the route leaves out)",
        );
    }
    if let Some(coding) = &told.coding {
        lines.put("compression", &compression(coding));
    }
}

fn ran(lines: &mut Lines, functions: &[String], run: &ExplainedRun) {
    let status = run.status.map(|status| format!(" with {status}"));
    let outcome = format!("{}{}", run.outcome, status.unwrap_or_default());
    lines.put(
        "functions",
        &format!("{} ran: {outcome}", functions.join(", ")),
    );
    lines.list("  changed", &run.changed_fields, "");
    lines.list("  to", run.url.as_slice(), "");
    lines.list("  origin", run.origin.as_slice(), "");
    lines.list("  key parts", &run.key_parts, "");
}

fn compression(coding: &ExplainedCoding) -> String {
    match &coding.reason {
        None => rule(&coding.coding, &coding.section),
        Some(reason) => format!("none: {}", rule(reason, &coding.section)),
    }
}

fn response(lines: &mut Lines, stored: &ExplainedResponse) {
    lines.put("  status", &stored.status.to_string());
    lines.put("  state", &state(stored));
    let lifetime = seconds(stored.lifetime_seconds);
    let source = rule(&stored.lifetime_source, &stored.lifetime_section);
    let ended = match stored.purged.as_str() {
        "soft" => "; a soft purge ends it",
        _ => "",
    };
    lines.put("  lifetime", &format!("{lifetime} from {source}{ended}"));
    let windows = [
        (
            stored.stale_while_revalidate_seconds,
            "while it is validated (stale-while-revalidate)",
        ),
        (
            stored.stale_if_error_seconds,
            "if the origin fails (stale-if-error)",
        ),
    ];
    let windows = windows.into_iter().filter_map(|(window, when)| {
        let window = window.filter(|window| *window > 0)?;
        Some(format!("{} {when}", seconds(window)))
    });
    lines.list("  stale for", &windows.collect::<Vec<_>>(), "");
    let says = stored.flags.iter().map(|flag| match flag.as_str() {
        "no-cache" => "must be validated each time (no-cache)".to_owned(),
        "no-stale" => {
            "never answers stale (must-revalidate, proxy-revalidate, s-maxage)".to_owned()
        }
        "immutable" => "does not change while fresh (immutable)".to_owned(),
        other => other.to_owned(),
    });
    lines.list("  says", &says.collect::<Vec<_>>(), "");
    lines.list("  varies by", &stored.varies_by, "");
    lines.list("  etag", stored.etag.as_slice(), "");
    lines.list("  keys", &stored.surrogate_keys, "");
    lines.list("  groups", &stored.groups, "");
    lines.list("  made by", &stored.made_by, "");
    lines.put("  content", &format!("{} bytes", stored.content_bytes));
}

fn state(stored: &ExplainedResponse) -> String {
    let age = seconds(stored.age_seconds);
    let ttl = stored.ttl_seconds;
    let rest = if ttl >= 0 && stored.state == "fresh" {
        format!("fresh for another {}", seconds(ttl.unsigned_abs()))
    } else if stored.purged == "hard" {
        "gone".to_owned()
    } else {
        format!("stale for {}", seconds(ttl.unsigned_abs()))
    };
    let purged = match stored.purged.as_str() {
        "none" => "",
        "soft" => ", purged softly",
        _ => ", purged: answers nobody",
    };
    format!("{rest}, age {age}{purged}")
}

fn parts(lines: &mut Lines, part: &ExplainedPart) {
    lines.put(
        "parts",
        &format!("{} of a response that is not stored whole", part.sort),
    );
    let total = part.total_bytes.map(|total| format!(" of {total}"));
    let stored = format!(
        "{}{} bytes, {}",
        part.content_bytes,
        total.unwrap_or_default(),
        part.state
    );
    lines.put("  content", &stored);
    let shown: Vec<String> = part.ranges.iter().take(RANGES_SHOWN).cloned().collect();
    let more = part.ranges.len().saturating_sub(shown.len());
    let note = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    lines.list("  bytes", &shown, &note);
    lines.list("  etag", part.etag.as_slice(), "");
}

/// What was, the latest first.
fn history(lines: &mut Lines, told: &Explanation) {
    if !told.purges.is_empty() {
        lines.gap();
    }
    for purge in &told.purges {
        let what = match purge.scope.as_str() {
            "forgotten" => "with all that is older than the purges that are remembered".to_owned(),
            "all" => "with everything".to_owned(),
            scope => format!("by {scope}"),
        };
        let ago = seconds(purge.seconds_ago);
        lines.put("purged", &format!("{ago} ago, {}, {what}", purge.hardness));
    }
    if let Some(refusal) = &told.last_refusal {
        lines.gap();
        let ago = seconds(refusal.seconds_ago);
        let why = rule(&refusal.reason, &refusal.section);
        lines.put("not stored", &format!("{ago} ago: {why}"));
        lines.put("", &refusal.advice);
        if let Some(stored) = refusal.superseded_seconds_ago {
            let stored = format!(
                "Of the past: a response was stored {} ago.",
                seconds(stored)
            );
            lines.put("", &stored);
        }
    }
}

/// A tier in plain words.
fn name(tier: &str) -> &str {
    match tier {
        "l2" => "Redis",
        other => other,
    }
}

/// Where what a tier has is.
fn place(tier: &str) -> String {
    match tier {
        "disk" => "on disk".to_owned(),
        other => format!("in {}", name(other)),
    }
}

fn unknown(tier: &ExplainedTier) -> String {
    let why = match tier.reason.as_str() {
        "untrusted" => "its purges have not been read lately, so it is not used",
        "starting" => "it is still being read after the start",
        "slow" => "it does not answer in time",
        "off" | "off-unresponsive" => "it is left alone for a while, because it does not answer",
        "off-full" => "it is off, because there is no room",
        "off-read-only" => "it is off, because it may not be written",
        "off-missing" => "it is off, because it is not there",
        "off-failing" => "it is off, because it fails",
        "busy" => "too many ask at once",
        _ => "it does not answer as it should",
    };
    format!("unknown: {why} ({})", tier.reason)
}

fn rule(reason: &str, section: &str) -> String {
    match section {
        "" => reason.to_owned(),
        section => format!("{reason} ({section})"),
    }
}

/// `59s`, `1h 2m`, `3d 4h`.
fn seconds(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_have_their_preposition() {
        let places = ["memory", "disk", "l2"].map(place);
        assert_eq!(places, ["in memory", "on disk", "in Redis"]);
    }

    #[test]
    fn spans_are_for_people() {
        for (number, expected) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m 1s"),
            (3_661, "1h 1m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(seconds(number), expected);
        }
    }
}
