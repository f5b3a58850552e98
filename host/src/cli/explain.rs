//! `verge explain`: why a request is, or is not, answered from the cache of a
//! running node.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use http::StatusCode;

use super::admin_client::{AdminClient, NodeArguments};
use crate::admin::explain::{ExplainRequest, ExplainedResponse, Explanation};

/// The exit code if no node could be asked.
const NOT_ASKED: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The URL, as a client asks for it.
    url: String,
    /// A field of the request, as `Accept-Language: de`.
    #[arg(long, short = 'H', value_name = "FIELD")]
    header: Vec<String>,
    /// The method.
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "GET")]
    method: String,
    /// Print the explanation as JSON.
    #[arg(long)]
    json: bool,
}

/// Explains what `arguments` name; 0 if the node could.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
pub(super) fn explain(arguments: &ExplainArguments) -> ExitCode {
    match run(arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err((code, problem)) => {
            eprintln!("{problem}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &ExplainArguments) -> Result<String, (u8, String)> {
    let mut fields = Vec::new();
    for field in &arguments.header {
        let Some((name, value)) = field.split_once(':') else {
            let problem = format!("-H `{field}` is no field; expected `Name: value`");
            return Err((NOT_ASKED, problem));
        };
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let request = ExplainRequest {
        url: arguments.url.clone(),
        method: arguments.method.clone(),
        fields,
    };
    let not_asked = |problem: String| (NOT_ASKED, problem);
    let client = AdminClient::new(&arguments.node).map_err(not_asked)?;
    let content = serde_json::to_vec(&request).map_err(|error| (NOT_ASKED, error.to_string()))?;
    let answer = client.post("/cache/explain", content).map_err(not_asked)?;
    if answer.status != StatusCode::OK {
        return Err((1, answer.refusal()));
    }
    let explanation: Explanation = serde_json::from_slice(&answer.content).map_err(|error| {
        (
            NOT_ASKED,
            format!("the node's answer is not understood: {error}"),
        )
    })?;
    if arguments.json {
        let mut text = serde_json::to_string_pretty(&explanation)
            .map_err(|error| (NOT_ASKED, error.to_string()))?;
        text.push('\n');
        return Ok(text);
    }
    Ok(for_people(&explanation))
}

/// The explanation as lines: what would happen first, then why.
fn for_people(told: &Explanation) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _infallible = writeln!(text, "{name:<12} {value}");
    };
    line(&told.next.outcome.to_uppercase(), &told.next.what);
    line("", &rule(&told.next.reason, &told.next.section));
    line("", "");
    line("request", &format!("{} {}", told.method, told.url));
    line("site", &told.site);
    line("route", &format!("{} -> {}", told.route, told.answered_by));
    if !told.functions.is_empty() {
        let names = told.functions.join(", ");
        line(
            "functions",
            &format!("{names} (not run here; they may change the key)"),
        );
    }
    if let Some(key) = &told.key {
        line("key", &key.text);
        line("", &format!("sha-256 {}", key.digest));
    }
    if told.stored.is_empty() && told.key.is_some() {
        line("stored", "nothing");
    }
    for (number, stored) in told.stored.iter().enumerate() {
        line("", "");
        let mark = if stored.is_selected { ", selected" } else { "" };
        let title = format!("{} of {}{mark}", number + 1, told.stored.len());
        line("stored", &title);
        for (name, value) in response(stored) {
            line(name, &value);
        }
    }
    if let Some(refusal) = &told.last_refusal {
        line("", "");
        let ago = format!("{} ago", seconds(refusal.seconds_ago));
        line(
            "not stored",
            &format!("{ago}: {}", rule(&refusal.reason, &refusal.section)),
        );
        line("", &refusal.advice);
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn response(stored: &ExplainedResponse) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("  status", stored.status.to_string()),
        ("  state", state(stored)),
        (
            "  lifetime",
            format!(
                "{} from {}",
                seconds(stored.lifetime_seconds),
                rule(&stored.lifetime_source, &stored.lifetime_section)
            ),
        ),
    ];
    let windows = [
        (
            "stale-while-revalidate",
            stored.stale_while_revalidate_seconds,
        ),
        ("stale-if-error", stored.stale_if_error_seconds),
    ];
    let windows: Vec<String> = windows
        .into_iter()
        .filter_map(|(name, window)| window.map(|window| format!("{name} {}", seconds(window))))
        .collect();
    let part = if stored.is_incomplete {
        ", parts only"
    } else {
        ""
    };
    let bytes = format!("{} bytes{part}", stored.content_bytes);
    let lists = [
        ("  windows", windows),
        ("  says", stored.flags.clone()),
        ("  varies by", stored.varies_by.clone()),
        ("  etag", stored.etag.iter().cloned().collect()),
        ("  keys", stored.surrogate_keys.clone()),
        ("  groups", stored.groups.clone()),
        ("  made by", stored.made_by.clone()),
        ("  tier", vec![stored.tier.clone(), bytes]),
    ];
    for (name, values) in lists {
        if !values.is_empty() {
            lines.push((name, values.join(", ")));
        }
    }
    lines
}

fn state(stored: &ExplainedResponse) -> String {
    let age = seconds(stored.age_seconds);
    let rest = match stored.ttl_seconds {
        ttl if ttl >= 0 && stored.state == "fresh" => {
            format!("fresh for another {}", seconds(ttl.unsigned_abs()))
        }
        ttl => format!("stale for {}", seconds(ttl.unsigned_abs())),
    };
    let purged = match stored.purged.as_str() {
        "none" => String::new(),
        other => format!(", purged ({other})"),
    };
    format!("{rest}, age {age}{purged}")
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
