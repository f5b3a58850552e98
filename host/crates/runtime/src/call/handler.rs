//! Calls of `wasi:http` handlers, whose response comes through a channel of
//! its own while the guest runs on, or is the host's own content, which needs no
//! guest any more.

use std::sync::Arc;

use http::StatusCode;
use verge_http::Body;
use verge_http::failure::FunctionFault;

use super::body::{Source, incomplete, run_on, written};
use super::guest::GuestEnd;
use super::next::Behind;
use super::passing::PARTLY_READ;
use super::{Committed, Input, Shared, Step};
use crate::capabilities::FetchError;
use crate::function::Function;
use crate::message::{Call, HandlerCall};
use crate::outcome::{CallFailure, CallReceipt, Outcome, PendingEnd, Trigger};

/// What a handler came to.
pub(super) struct Answered {
    pub(super) reply: Result<Reply, CallFailure>,
    pub(super) receipt: CallReceipt,
    pub(super) pending: Option<PendingEnd>,
    /// The request's content, if the guest ended, or was refused, before it was given any.
    pub(super) not_given: Option<Body>,
}

/// What a handler said.
pub(super) enum Reply {
    /// A response, and whether its content is the host's own, of which it read nothing.
    Response(http::Response<Body>, bool),
    /// There is none, as what is behind this middleware failed.
    Behind(FetchError),
}

/// The head that a handler committed.
enum Head {
    Written(http::Response<Source>),
    Passed(http::Response<Body>),
    Behind(FetchError),
}

impl Function {
    /// Lets a `wasi:http` handler answer. The request's URI has scheme and authority; its fields
    /// have no connection-specific ones. `id` is the request id for the log.
    pub async fn handle(
        &self,
        call: Call,
        request: http::Request<Body>,
        id: Arc<str>,
    ) -> HandlerCall {
        let answered = self.answer(Trigger::Handler, call, request, id, None).await;
        let response = answered.reply.and_then(|reply| match reply {
            Reply::Response(response, _) => Ok(response),
            Reply::Behind(error) => Err(CallFailure {
                fault: FunctionFault::Refused,
                detail: error.to_string(),
            }),
        });
        HandlerCall {
            response,
            receipt: answered.receipt,
            pending: answered.pending,
        }
    }

    /// The same for any trigger of a handler; `behind` is what a middleware has behind it.
    pub(super) async fn answer(
        &self,
        trigger: Trigger,
        call: Call,
        request: http::Request<Body>,
        id: Arc<str>,
        behind: Option<&Behind>,
    ) -> Answered {
        let input = Input {
            scope: call.scope,
            request_id: id,
            request: None,
            response: None,
            incoming: Some(request),
            payload: Vec::new(),
        };
        let (shared, step) = self.step(trigger, input).await;
        match step {
            Step::NotRun(messages, failure, receipt) => Answered {
                not_given: messages.incoming.map(http::Request::into_body),
                ..answered(Err(failure), receipt, None)
            },
            Step::Ended(mut end, committed, ending) => {
                let not_given = end.state.incoming.take().map(http::Request::into_body);
                let reply = self.ended(&end, committed, &shared);
                let result = match (&reply, end.result) {
                    (Ok(_), result) => result,
                    (Err(failure), _) => Err(failure.clone()),
                };
                Answered {
                    not_given,
                    ..answered(reply, ending.conclude(&result), None)
                }
            }
            Step::Running(committed, guest, mut ending) => {
                let outcome = match behind.is_some_and(Behind::was_asked) {
                    true => Outcome::Continued,
                    false => Outcome::Responded,
                };
                let reply = match head_of(committed) {
                    Err(failure) => {
                        let failed = Err(failure.clone());
                        return answered(Err(failure), ending.conclude(&failed), None);
                    }
                    Ok(head) => head,
                };
                let (receipt, pending) = ending.continue_pending(outcome);
                let reply = match reply {
                    Head::Written(response) => {
                        let stream = |source| self.stream(source, shared, guest, ending);
                        Reply::Response(response.map(stream), false)
                    }
                    Head::Passed(response) => {
                        run_on(guest, ending);
                        Reply::Response(response, true)
                    }
                    Head::Behind(error) => {
                        run_on(guest, ending);
                        Reply::Behind(error)
                    }
                };
                answered(Ok(reply), receipt, Some(pending))
            }
        }
    }

    /// What a handler answered that has ended.
    fn ended(
        &self,
        end: &GuestEnd,
        committed: Option<Committed>,
        shared: &Shared,
    ) -> Result<Reply, CallFailure> {
        let failed = || end.result.as_ref().err().cloned();
        let Some(committed) = committed else {
            return Err(failed().unwrap_or_else(|| CallFailure {
                fault: FunctionFault::NoResponse,
                detail: "it returned without setting a response".into(),
            }));
        };
        let (head, source) = match head_of(committed)? {
            Head::Written(response) => response.into_parts(),
            Head::Passed(response) => return Ok(Reply::Response(response, true)),
            Head::Behind(error) => return Ok(Reply::Behind(error)),
        };
        // Its channel ends alike when the guest is done and when it is gone.
        if let (Source::Service(_), Some(failure)) = (&source, failed()) {
            return Err(failure);
        }
        match written(source, shared, self.0.limits.body) {
            Some(content) => {
                let response = http::Response::from_parts(head, content);
                Ok(Reply::Response(response, false))
            }
            None => Err(failed().unwrap_or_else(incomplete)),
        }
    }
}

/// The head that a handler committed, or the error that it reported instead.
fn head_of(committed: Committed) -> Result<Head, CallFailure> {
    let invalid = |detail: &str| CallFailure {
        fault: FunctionFault::ResponseInvalid,
        detail: detail.into(),
    };
    let answer = match committed {
        Committed::Handler(answer) => answer.map(|response| response.map(Source::Channel)),
        Committed::Service(answer) => answer.map(|response| response.map(Source::Service)),
        Committed::Passed(response) => {
            return match is_final(response.status()) {
                true => Ok(Head::Passed(*response)),
                false => Err(invalid(NOT_FINAL)),
            };
        }
        Committed::PartlyRead => return Err(invalid(PARTLY_READ)),
        Committed::FailedBehind(error) => return Ok(Head::Behind(error)),
        Committed::Trigger(_) => return Err(invalid("a handler cannot stream as a trigger does")),
    };
    let response = answer.map_err(|code| CallFailure {
        fault: FunctionFault::Refused,
        detail: format!("it answered with an error: {code}"),
    })?;
    if !is_final(response.status()) {
        return Err(invalid(NOT_FINAL));
    }
    Ok(Head::Written(response))
}

const NOT_FINAL: &str = "its status is not in 200..=599";

fn is_final(status: StatusCode) -> bool {
    (200..=599).contains(&status.as_u16())
}

fn answered(
    reply: Result<Reply, CallFailure>,
    receipt: CallReceipt,
    pending: Option<PendingEnd>,
) -> Answered {
    Answered {
        reply,
        receipt,
        pending,
        not_given: None,
    }
}
