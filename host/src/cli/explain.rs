//! `verge explain`: why a request is, or is not, answered from the cache of a
//! running node.
//!
//! Exits with 0 if it is explained, with 1 if the node refuses to, with 2 if no node could be
//! asked.

mod people;

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use http::StatusCode;

use super::admin_client::{AdminClient, NodeArguments};
use super::problem::CommandProblem;
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
    /// Print the explanation as JSON; if there is none, an object with `error` instead.
    #[arg(long)]
    json: bool,
}

/// Explains what `arguments` name; 0 if the node could.
#[expect(clippy::print_stdout, reason = "a command's own output")]
pub(super) fn explain(arguments: &ExplainArguments) -> ExitCode {
    match run(arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err((code, problem)) => {
            problem.tell(arguments.json);
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &ExplainArguments) -> Result<String, (u8, CommandProblem)> {
    let not_asked = |problem: CommandProblem| (NOT_ASKED, problem);
    let request = request(arguments).map_err(not_asked)?;
    let client = AdminClient::new(&arguments.node).map_err(not_asked)?;
    let not_json = |error: serde_json::Error| (NOT_ASKED, error.to_string().into());
    let content = serde_json::to_vec(&request).map_err(not_json)?;
    let answer = client.post("/cache/explain", content).map_err(not_asked)?;
    if answer.status != StatusCode::OK {
        return Err((1, answer.refusal()));
    }
    let explanation: Explanation = serde_json::from_slice(&answer.content).map_err(|error| {
        let problem = format!("the node's answer is not understood: {error}");
        (NOT_ASKED, problem.into())
    })?;
    if arguments.json {
        let mut text = serde_json::to_string_pretty(&explanation).map_err(not_json)?;
        text.push('\n');
        return Ok(text);
    }
    Ok(people::text(&explanation))
}

/// The request that `arguments` describe.
fn request(arguments: &ExplainArguments) -> Result<ExplainRequest, CommandProblem> {
    let mut fields = Vec::new();
    for field in &arguments.header {
        let Some((name, value)) = field.split_once(':') else {
            let error = format!("-H `{field}` is no field");
            return Err(CommandProblem::new(error, "`Name: value`"));
        };
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(ExplainRequest {
        url: arguments.url.clone(),
        method: arguments.method.clone(),
        fields,
        client: arguments.client,
        run_functions: arguments.run_functions,
    })
}
