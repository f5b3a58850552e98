//! The request path. [`serve`] names every stage in order and decides nothing
//! itself; each stage is a file.

pub mod answer;
pub mod compress;
mod conditions;
mod exchange;
mod failure_response;
pub(crate) mod fetch;
mod finish;
mod guest_fetch;
pub mod head;
mod middleware;
mod parts_body;
mod ranges;
mod routed;
pub mod routing;
pub mod sanitize;
mod scope;
mod settle;
mod shadow;
mod triggers;
pub(crate) mod url;

use std::sync::Arc;

use http::{Request, Response};
use verge_http::{Body, Failure};

pub use exchange::{Exchange, ExchangeBody};
pub use failure_response::failure_parts;
pub(crate) use fetch::{each_stored_target, explain};
pub use scope::{Asked, SiteScope};
pub(crate) use url::OperatorUrl;

use crate::node::NodeState;
use answer::Answer;
use sanitize::Arrival;
use triggers::Flow;

/// Answers one request.
pub async fn serve(
    node: &Arc<NodeState>,
    arrival: &Arrival,
    request: Request<Body>,
) -> Response<ExchangeBody> {
    let method = request.method().clone();
    let mut exchange = Exchange::open(node, arrival, &request);
    let answer = match answer(&mut exchange, arrival, request).await {
        Ok(answer) => answer,
        Err(failure) => exchange.fail(failure),
    };
    finish::finish(exchange, &method, answer)
}

async fn answer(
    exchange: &mut Exchange,
    arrival: &Arrival,
    request: Request<Body>,
) -> Result<Answer, Failure> {
    let rules = &exchange.generation.settings.sanitize;
    let sanitized = sanitize::sanitize(rules, arrival, request)?;
    let sanitize::Sanitized {
        head,
        body,
        received,
    } = sanitized;
    exchange.received = received;
    exchange.note_client(&head);
    let routed = exchange.route(&head, arrival)?;
    exchange.admit()?;
    let route = &routed.route;
    let receipts = &mut exchange.receipt.triggers;

    let viewed = triggers::viewer_request(&routed, &route.viewer_request, receipts, head, body);
    let (viewed, mut answer) = match viewed.await? {
        Flow::Next((viewed, body)) => {
            let answer = middleware::fetch(&routed, &mut exchange.receipt, &viewed, body);
            let answer = answer.await?;
            (viewed, answer)
        }
        Flow::Answer(response) => return Ok(Answer::from_function(response)),
        Flow::Stored(viewed, failure) => {
            let receipt = &mut exchange.receipt;
            let answer = fetch::instead_of_function(&routed, receipt, &viewed, failure)?;
            (*viewed, answer)
        }
    };
    let now = exchange.node.clock.wall();
    compress::apply_preconditions(&routed, &viewed.head, &mut answer, now);

    let receipts = &mut exchange.receipt.triggers;
    let functions = &route.viewer_response;
    let replaced = triggers::viewer_response(&routed, functions, receipts, &viewed, &mut answer);
    let replaced = replaced.await?;
    let ranges = ranges::RangeFacts {
        is_replaced: replaced,
        now,
        random: &exchange.node.random,
        metrics: Some(exchange.node.telemetry.metrics()),
    };
    ranges::settle_range(&viewed.head, &mut answer, ranges)?;
    compress::compress(&routed, &viewed.head, &mut answer, replaced).await;
    Ok(answer)
}
