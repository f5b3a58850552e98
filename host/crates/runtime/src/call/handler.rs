//! Calls of `wasi:http` handlers, whose response comes through a channel of
//! its own while the guest runs on.

use std::sync::Arc;

use http::StatusCode;
use verge_http::Body;
use verge_http::failure::FunctionFault;

use super::body::{Source, incomplete, written};
use super::guest::GuestEnd;
use super::{Committed, Input, Shared, Step};
use crate::function::Function;
use crate::message::{Call, HandlerCall};
use crate::outcome::{CallFailure, CallReceipt, Outcome, PendingEnd, Trigger};

impl Function {
    /// Lets a `wasi:http` handler answer. The request's URI has scheme and authority; its fields
    /// have no connection-specific ones. `id` is the request id for the log.
    pub async fn handle(
        &self,
        call: Call,
        request: http::Request<Body>,
        id: Arc<str>,
    ) -> HandlerCall {
        let input = Input {
            scope: call.scope,
            request_id: id,
            request: None,
            response: None,
            incoming: Some(request),
            payload: Vec::new(),
        };
        let (shared, step) = self.step(Trigger::Handler, input).await;
        match step {
            Step::NotRun(_, failure, receipt) => handler_call(Err(failure), receipt, None),
            Step::Ended(end, committed, ending) => {
                let response = self.answered(&end, committed, &shared);
                let result = match (&response, end.result) {
                    (Ok(_), result) => result,
                    (Err(failure), _) => Err(failure.clone()),
                };
                handler_call(response, ending.conclude(&result), None)
            }
            Step::Running(committed, guest, mut ending) => match handler_head(committed) {
                Err(failure) => {
                    let failed = Err(failure.clone());
                    handler_call(Err(failure), ending.conclude(&failed), None)
                }
                Ok(response) => {
                    let (receipt, pending) = ending.continue_pending(Outcome::Responded);
                    let response =
                        response.map(|source| self.stream(source, shared, guest, ending));
                    handler_call(Ok(response), receipt, Some(pending))
                }
            },
        }
    }

    /// What a handler answered that has ended.
    fn answered(
        &self,
        end: &GuestEnd,
        committed: Option<Committed>,
        shared: &Shared,
    ) -> Result<http::Response<Body>, CallFailure> {
        let failed = || end.result.as_ref().err().cloned();
        let Some(committed) = committed else {
            return Err(failed().unwrap_or_else(|| CallFailure {
                fault: FunctionFault::NoResponse,
                detail: "it returned without setting a response".into(),
            }));
        };
        let (head, source) = handler_head(committed)?.into_parts();
        // Its channel ends alike when the guest is done and when it is gone.
        if let (Source::Service(_), Some(failure)) = (&source, failed()) {
            return Err(failure);
        }
        match written(source, shared, self.0.limits.body) {
            Some(content) => Ok(http::Response::from_parts(head, content)),
            None => Err(failed().unwrap_or_else(incomplete)),
        }
    }
}

/// The head that a handler committed, or the error that it reported instead.
fn handler_head(committed: Committed) -> Result<http::Response<Source>, CallFailure> {
    let invalid = |detail: &str| CallFailure {
        fault: FunctionFault::ResponseInvalid,
        detail: detail.into(),
    };
    let answer = match committed {
        Committed::Handler(answer) => answer.map(|response| response.map(Source::Channel)),
        Committed::Service(answer) => answer.map(|response| response.map(Source::Service)),
        Committed::Trigger(_) => return Err(invalid("a handler cannot stream as a trigger does")),
    };
    let response = answer.map_err(|code| CallFailure {
        fault: FunctionFault::Refused,
        detail: format!("it answered with an error: {code}"),
    })?;
    if response.status() < StatusCode::OK || response.status().as_u16() > 599 {
        return Err(invalid("its status is not in 200..=599"));
    }
    Ok(response)
}

fn handler_call(
    response: Result<http::Response<Body>, CallFailure>,
    receipt: CallReceipt,
    pending: Option<PendingEnd>,
) -> HandlerCall {
    HandlerCall {
        response,
        receipt,
        pending,
    }
}
