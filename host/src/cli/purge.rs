//! `verge purge`: takes stored responses out of a running node's cache.
//!
//! Exits with 0 if all was purged, with 1 if anything was wrong with a scope,
//! with 2 if no node could be asked, or not all scopes could be read.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};

use super::admin_client::{AdminClient, NodeArguments};
use super::problem::CommandProblem;
use crate::admin::purge::{BatchTooLarge, PURGE_BYTES_MAX, PurgeReport, PurgeResult};

/// Most bytes of a file of scopes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Most scopes that are sent at once, unless the node takes fewer.
const BATCH_MAX: usize = 1_000;

/// Most bytes of scopes that are sent at once; what stands around them takes less than the rest.
const BATCH_BYTES_MAX: usize = PURGE_BYTES_MAX / 2;

/// The exit code if no node could be asked.
const NOT_ASKED: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct PurgeArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// Mark as stale only: may then be validated, or served where stale is allowed.
    #[arg(long)]
    soft: bool,
    /// One URL, with all its variants.
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Every URL whose path begins so, at borders of segments.
    #[arg(long, value_name = "URL")]
    prefix: Vec<String>,
    /// A surrogate key, of Surrogate-Key, Cache-Tag or Cache-Groups.
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// A site, by one of its names.
    #[arg(long, value_name = "NAME")]
    site: Vec<String>,
    /// What a function had a part in, by its name or digest.
    #[arg(long, value_name = "NAME|DIGEST")]
    function: Vec<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
    /// Scopes from a file, or `-` for standard input: a line each, as `url https://..`, `key K`.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Print the node's answers as JSON, one in a line; if there is none, an object with `error`.
    #[arg(long)]
    json: bool,
}

/// Purges what `arguments` name.
pub(super) fn purge(arguments: &PurgeArguments) -> ExitCode {
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            problem.tell(arguments.json);
            ExitCode::from(NOT_ASKED)
        }
    }
}

fn run(arguments: &PurgeArguments) -> Result<bool, CommandProblem> {
    let scopes = scopes(arguments)?;
    if scopes.is_empty() {
        return Err(match &arguments.from {
            Some(path) => CommandProblem::new(
                format!("{} names nothing to purge", source(path)),
                "a scope on each line, as `key product-7`",
            ),
            None => {
                "nothing to purge; give --url, --prefix, --key, --site, --function, --all or --from"
                    .into()
            }
        });
    }
    let client = AdminClient::new(&arguments.node)?;
    let mut is_good = true;
    let (mut rest, mut most) = (scopes.as_slice(), BATCH_MAX);
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(batch_len(rest, most));
        let items: Vec<&Value> = batch.iter().map(|(_, item)| item).collect();
        let content = json!({ "purge": items, "soft": arguments.soft });
        let answer = client.post("/purge", content.to_string().into_bytes())?;
        if answer.status == StatusCode::BAD_REQUEST
            && let Ok(told) = serde_json::from_slice::<BatchTooLarge>(&answer.content)
            && (1..batch.len()).contains(&told.most)
        {
            // The node takes fewer at once, and has purged nothing of it.
            most = told.most;
            continue;
        }
        let is_report = matches!(
            answer.status,
            StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY
        );
        let report = serde_json::from_slice::<PurgeReport>(&answer.content).ok();
        let Some(report) = report.filter(|_| is_report) else {
            return Err(answer.refusal());
        };
        is_good &= report.failed == 0;
        print(batch, &report, arguments.json);
        rest = later;
    }
    Ok(is_good)
}

/// How many of `scopes` go together: at most `most`, and not too many bytes; at least one.
fn batch_len(scopes: &[(String, Value)], most: usize) -> usize {
    let mut bytes = 0_usize;
    let fits = scopes.iter().take(most).take_while(|(_, item)| {
        bytes = bytes.saturating_add(item.to_string().len() + 1);
        bytes <= BATCH_BYTES_MAX
    });
    fits.count().max(1)
}

/// What to purge, each with the place where it was named.
fn scopes(arguments: &PurgeArguments) -> Result<Vec<(String, Value)>, String> {
    let mut scopes = Vec::new();
    let named = [
        ("url", &arguments.url),
        ("prefix", &arguments.prefix),
        ("key", &arguments.key),
        ("site", &arguments.site),
        ("function", &arguments.function),
    ];
    for (word, texts) in named {
        for text in texts {
            scopes.push((format!("--{word} {text}"), json!({ word: text })));
        }
    }
    if arguments.all {
        scopes.push(("--all".to_owned(), json!({ "all": true })));
    }
    if let Some(path) = &arguments.from {
        let name = source(path);
        for (number, line) in read(path)?.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let place = format!("{name}:{}", number + 1);
                let item = item(line).map_err(|problem| format!("{place}: {problem}"))?;
                scopes.push((place, item));
            }
        }
    }
    Ok(scopes)
}

fn item(line: &str) -> Result<Value, String> {
    let (word, text) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let text = text.trim();
    match word {
        "all" if text.is_empty() => Ok(json!({ "all": true })),
        "url" | "prefix" | "key" | "site" | "function" if !text.is_empty() => {
            Ok(json!({ word: text }))
        }
        "group" => match text.split_once([' ', '\t']) {
            Some((origin, group)) => Ok(json!({ "group": group.trim(), "origin": origin })),
            None => {
                Err("a group is one of an origin; expected `group https://HOST NAME`".to_owned())
            }
        },
        _ => Err(format!(
            "`{line}` is no scope; expected `url`, `prefix`, `key`, `group`, `site`, `function` \
             and what is meant, or `all`"
        )),
    }
}

/// Where scopes are read from, in words for people.
fn source(path: &Path) -> String {
    if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: cannot be read: {error}", source(path));
    let mut text = String::new();
    if path.as_os_str() == "-" {
        let stdin = std::io::stdin().lock();
        stdin.take(FILE_BYTES_MAX).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)
    }
    .map_err(failed)?;
    Ok(text)
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
fn print(batch: &[(String, Value)], report: &PurgeReport, is_json: bool) {
    if is_json {
        if let Ok(text) = serde_json::to_string(report) {
            println!("{text}");
        }
        return;
    }
    for ((place, _), result) in batch.iter().zip(&report.items) {
        match result {
            PurgeResult::Done(done) => println!("purged {} ({})", done.scope, done.hardness),
            PurgeResult::Problem(problem) => {
                eprintln!("{place}: {}", problem.error);
                eprintln!("  expected: {}", problem.expected);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_number_and_bytes() {
        let scopes = |count: usize, bytes: usize| {
            vec![(String::new(), json!({ "key": "k".repeat(bytes) })); count]
        };
        assert_eq!(batch_len(&scopes(3, 10), 1_000), 3);
        assert_eq!(batch_len(&scopes(1_001, 10), 1_000), 1_000);
        assert_eq!(batch_len(&scopes(3, 10), 2), 2);
        assert_eq!(batch_len(&scopes(10, 200 << 10), 1_000), 2);
        // What is too large by itself is for the node to refuse.
        assert_eq!(batch_len(&scopes(2, 2 << 20), 1_000), 1);
    }

    #[test]
    fn standard_input_is_named_in_words() {
        assert_eq!(source(Path::new("-")), "standard input");
        assert_eq!(source(Path::new("list.txt")), "list.txt");
    }

    #[test]
    fn lines_are_scopes() {
        let rows = [
            (
                "url https://a.example/?x",
                json!({"url": "https://a.example/?x"}),
            ),
            ("key two words", json!({"key": "two words"})),
            (
                "group https://a.example my group",
                json!({"group": "my group", "origin": "https://a.example"}),
            ),
            ("all", json!({"all": true})),
        ];
        for (line, expected) in rows {
            assert_eq!(item(line).unwrap(), expected);
        }
        for line in ["all x", "url", "https://a.example/", "group x"] {
            assert!(item(line).is_err(), "{line}");
        }
    }
}
