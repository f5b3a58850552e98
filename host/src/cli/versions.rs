//! `verge deploy`, `verge promote`, `verge rollback`, `verge versions`: which versions of a
//! function a running node runs.
//!
//! Each exits with 0 if it is done, with 1 if the node refuses, with 2 if no node could be asked or
//! a file cannot be read, and with 3 if the node was asked and did not answer: then it may have been
//! done, or be done yet.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::admin_client::{AdminAnswer, AdminClient, NodeArguments, Unanswered};
use super::problem::CommandProblem;
use crate::admin::functions::{
    COMPONENT_BYTES_MAX, FunctionVersions, VersionChange, VersionStatus,
};
use crate::deploy::signing::SIGNATURE_BYTES_MAX;
use crate::files;

/// The exit code if no node could be asked.
const NOT_ASKED: u8 = 2;
/// The exit code if a node was asked, and did not answer.
const NOT_ANSWERED: u8 = 3;
/// The exit code if the node refuses.
const REFUSED: u8 = 1;

/// Digits of a digest that are shown.
const DIGITS: usize = 12;

#[derive(Debug, Args)]
pub(super) struct DeployArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The function.
    name: String,
    /// The component.
    file: PathBuf,
    /// Run it beside the live version, for this part of the requests, as 5%.
    #[arg(long, value_name = "PERCENT")]
    share: Option<String>,
    /// By what a client stays with one version: client, cookie:NAME or header:NAME.
    #[arg(long, value_name = "KEY", requires = "share")]
    sticky: Option<String>,
    /// Run it beside the live version for nobody, without effects, and compare what both come to.
    #[arg(long, conflicts_with = "share")]
    shadow: bool,
    /// What minisign wrote, in place of FILE.minisig.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Print the node's answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PromoteArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The function.
    name: String,
    /// The beginning of a kept version's digest, in place of the version beside the live one.
    #[arg(long, value_name = "DIGEST")]
    version: Option<String>,
    /// Print the node's answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RollbackArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The function.
    name: String,
    /// Purge what the version that is taken back had a part in.
    #[arg(long)]
    purge: bool,
    /// Print the node's answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VersionsArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The function; all of them if none is named.
    name: Option<String>,
    /// Print the node's answer as JSON.
    #[arg(long)]
    json: bool,
}

type Failed = (u8, CommandProblem);

fn not_asked(problem: impl Into<CommandProblem>) -> Failed {
    (NOT_ASKED, problem.into())
}

/// Deploys what `arguments` name.
pub(super) fn deploy(arguments: &DeployArguments) -> ExitCode {
    let run = || {
        let most = COMPONENT_BYTES_MAX as u64;
        let component = files::read_bounded(&arguments.file, most).map_err(not_asked)?;
        let mut query = Query::default();
        query.add("share", arguments.share.as_deref());
        query.add("sticky", arguments.sticky.as_deref());
        query.add("shadow", arguments.shadow.then_some("true"));
        query.add("signature", signature(arguments)?.as_deref());
        let path = format!("{}/versions{}", path(&arguments.name), query.0);
        changed(&arguments.node, &path, component)
    };
    finish(run(), arguments.json, |done: &VersionChange| {
        let function = &done.function;
        let version = short(&done.version);
        let found = function.versions.iter().find(|v| v.digest == done.version);
        match found.and_then(|version| version.note.as_deref()) {
            None => {
                let note = done.note.iter().map(|note| format!(" ({note})"));
                let note: String = note.collect();
                format!("{}: version {version} is live{note}\n", function.name)
            }
            Some(_) if arguments.shadow => {
                format!(
                    "{}: version {version} runs in the shadow of the live one\n",
                    function.name
                )
            }
            Some(note) => format!("{}: version {version} runs for {note}\n", function.name),
        }
    })
}

/// The signature of the component, if there is one.
fn signature(arguments: &DeployArguments) -> Result<Option<String>, Failed> {
    let path = match &arguments.signature {
        Some(path) => path.clone(),
        None => {
            let mut beside = arguments.file.clone().into_os_string();
            beside.push(".minisig");
            let beside = PathBuf::from(beside);
            if !beside.exists() {
                return Ok(None);
            }
            beside
        }
    };
    let bytes = files::read_bounded(&path, SIGNATURE_BYTES_MAX as u64).map_err(not_asked)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Promotes what `arguments` name.
pub(super) fn promote(arguments: &PromoteArguments) -> ExitCode {
    let run = || {
        let mut query = Query::default();
        query.add("version", arguments.version.as_deref());
        let path = format!("{}/promote{}", path(&arguments.name), query.0);
        changed(&arguments.node, &path, Vec::new())
    };
    finish(run(), arguments.json, |done| {
        format!(
            "{}: version {} is live\n",
            done.function.name,
            short(&done.version)
        )
    })
}

/// Rolls back what `arguments` name.
pub(super) fn rollback(arguments: &RollbackArguments) -> ExitCode {
    let run = || {
        let query = if arguments.purge { "?purge=true" } else { "" };
        let path = format!("{}/rollback{query}", path(&arguments.name));
        changed(&arguments.node, &path, Vec::new())
    };
    finish(run(), arguments.json, |done| {
        let purged = if done.purged {
            ", and what it made is purged"
        } else {
            ""
        };
        let warning = done.warning.iter();
        let warning: String = warning.map(|what| format!("  warning: {what}\n")).collect();
        format!(
            "{}: version {} is live; {} is taken back{purged}\n{warning}",
            done.function.name,
            short(&done.function.live),
            short(&done.version)
        )
    })
}

/// Lists versions.
pub(super) fn versions(arguments: &VersionsArguments) -> ExitCode {
    let run = || {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct All {
            functions: Vec<FunctionVersions>,
        }
        let client = AdminClient::new(&arguments.node).map_err(not_asked)?;
        match &arguments.name {
            Some(name) => {
                let answer = client.get(&path(name)).map_err(not_asked)?;
                Ok(vec![read::<FunctionVersions>(&answer)?])
            }
            None => {
                let answer = client.get("/functions").map_err(not_asked)?;
                Ok(read::<All>(&answer)?.functions)
            }
        }
    };
    finish(
        run(),
        arguments.json,
        |functions: &Vec<FunctionVersions>| functions.iter().map(list).collect(),
    )
}

/// A function's versions in lines.
fn list(function: &FunctionVersions) -> String {
    let mut text = format!("{}: {}\n", function.name, function.triggers.join(", "));
    for version in &function.versions {
        text.push_str(&line(version));
    }
    if !function.is_kept {
        text.push_str(
            "  no versions are kept: the node's configuration has no `deploy.folder`, or what is in \
             it cannot be read (then the node's log says why)\n",
        );
    }
    text
}

fn line(version: &VersionStatus) -> String {
    let mut line = format!(
        "  {}  {:<11}  {:<24}  {}",
        short(&version.digest),
        version.status,
        version.deployed,
        version.source
    );
    if let Some(signer) = &version.signer {
        line.push_str(&format!("  signed by {signer}"));
    }
    if let Some(note) = &version.note {
        line.push_str(&format!("  ({note})"));
    }
    line.push('\n');
    for difference in &version.differences {
        line.push_str(&format!("      differs: {difference}\n"));
    }
    line
}

fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

/// Sends an action.
fn changed(node: &NodeArguments, path: &str, content: Vec<u8>) -> Result<VersionChange, Failed> {
    let client = AdminClient::new(node).map_err(not_asked)?;
    let answer = client.post_component(path, content);
    let answer = answer.map_err(|unanswered| match unanswered {
        Unanswered::NotAsked(problem) => (NOT_ASKED, problem),
        Unanswered::NoAnswer(what) => {
            let expected = "`verge versions` to tell whether it was done: the node was asked";
            (NOT_ANSWERED, CommandProblem::new(what, expected))
        }
    })?;
    read(&answer)
}

fn read<T: DeserializeOwned>(answer: &AdminAnswer) -> Result<T, Failed> {
    if answer.status != StatusCode::OK {
        return Err((REFUSED, answer.refusal()));
    }
    serde_json::from_slice(&answer.content).map_err(|_| not_asked(answer.refusal()))
}

#[expect(clippy::print_stdout, reason = "a command's own output")]
fn finish<T: serde::Serialize>(
    result: Result<T, Failed>,
    is_json: bool,
    people: impl Fn(&T) -> String,
) -> ExitCode {
    match result {
        Ok(done) => {
            match serde_json::to_string(&done) {
                Ok(text) if is_json => println!("{text}"),
                _ => print!("{}", people(&done)),
            }
            ExitCode::SUCCESS
        }
        Err((code, problem)) => {
            problem.tell(is_json);
            ExitCode::from(code)
        }
    }
}

/// The path of a function. What is no name is escaped, for the node to refuse.
fn path(name: &str) -> String {
    format!("/functions/{}", escaped(name))
}

/// A query that grows.
#[derive(Default)]
struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push(if self.0.is_empty() { '?' } else { '&' });
            self.0.push_str(&format!("{name}={}", escaped(value)));
        }
    }
}

/// `text` with everything but unreserved characters in percent-encoding (RFC 3986 2.3).
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_paths_are_escaped() {
        let mut query = Query::default();
        query.add("share", Some("5%"));
        query.add("sticky", Some("cookie:uid"));
        query.add("version", None);
        assert_eq!(query.0, "?share=5%25&sticky=cookie%3Auid");
        assert_eq!(path("a/../b"), "/functions/a%2F..%2Fb");
    }

    #[test]
    fn versions_are_lines() {
        let version = |status: &str, note: Option<&str>| VersionStatus {
            digest: "ab".repeat(32),
            status: status.to_owned(),
            deployed: "2026-01-01T00:00:00.000Z".to_owned(),
            source: "deploy".to_owned(),
            signer: None,
            bytes: 1,
            note: note.map(str::to_owned),
            differences: Vec::new(),
        };
        let function = FunctionVersions {
            name: "f".to_owned(),
            triggers: vec!["viewer-request".to_owned()],
            live: "ab".repeat(32),
            is_kept: true,
            versions: vec![
                version("share", Some("5% of the requests")),
                version("live", None),
            ],
        };
        assert_eq!(
            list(&function),
            "f: viewer-request\n  \
             abababababab  share        2026-01-01T00:00:00.000Z  deploy  (5% of the requests)\n  \
             abababababab  live         2026-01-01T00:00:00.000Z  deploy\n"
        );
    }
}
