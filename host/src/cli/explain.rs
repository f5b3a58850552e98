//! `verge explain`: why a request is, or is not, answered from the cache of a
//! running node.

mod people;

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use http::StatusCode;

use super::admin_client::{AdminClient, NodeArguments};
use crate::admin::explain::{ExplainRequest, Explanation};

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
    /// The client's address, for functions that look at it.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// Run the functions in front of the cache, with all that they do, and explain what becomes
    /// of the request behind them.
    #[arg(long)]
    run_functions: bool,
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
        client: arguments.client,
        run_functions: arguments.run_functions,
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
    Ok(people::text(&explanation))
}
