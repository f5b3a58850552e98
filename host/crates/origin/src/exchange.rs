//! One request and its response over one connection: what is sent, how long the
//! response's head is awaited, what is accepted of it.
//!
//! It knows nothing of pools and retries: a failure says how far it had come.

use std::sync::Arc;

use http::request;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use tokio::time::Instant;
use verge_http::failure::{OriginFault, Progress};
use verge_http::interim::InterimSender;
use verge_http::{Body, Failure};

use crate::error::exchange_failure;
use crate::head::{self, Persistence};
use crate::meter::Mark;
use crate::pool::Lease;
use crate::request_body::{RequestBody, Source, Upload};
use crate::response_body::{Ending, receive};
use crate::settings::Timeouts;
use crate::timeouts::{BodyClock, HeadFacts, HeadWait, UploadPhase, decide_head_wait};

/// A request as it is written to an origin, through all its attempts.
pub(crate) struct Outgoing {
    method: Method,
    target: Uri,
    /// Absent while an attempt has them that no other will follow.
    fields: Option<HeaderMap>,
    pub(crate) source: Source,
    /// The body waits for `100 (Continue)`.
    gated: bool,
    /// Takes the interim responses that are for the client.
    interim: Option<InterimSender>,
}

/// What an attempt must keep to.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'origin> {
    pub(crate) timeouts: &'origin Timeouts,
    /// When the whole exchange must be over.
    pub(crate) deadline: Instant,
}

impl Outgoing {
    /// Prepares a request for an origin that is addressed as `host`, or as the
    /// request itself says.
    pub(crate) fn new(request: Request<Body>, host: Option<&HeaderValue>) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let request::Parts {
            method,
            uri,
            headers: mut fields,
            mut extensions,
            ..
        } = parts;
        head::check_method(&method)?;
        let host = head::select_host(host, &uri, &fields)?;
        let target = head::origin_form(&uri)?;
        let expects = head::expects_continue(&fields);
        let source = Source::new(body, expects);
        let gated = expects && source.upload().is_some();
        let framing =
            head::decide_request_framing(source.is_empty(), source.exact_len(), &method, &fields)?;
        head::prepare_request_fields(&mut fields, host, framing, gated)?;
        Ok(Self {
            method,
            target,
            fields: Some(fields),
            source,
            gated,
            interim: extensions.remove(),
        })
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The request for one attempt. If another may follow, this keeps a copy.
    fn attempt(&mut self, keep: bool) -> Result<Request<RequestBody>, Failure> {
        let fields = if keep {
            self.fields.clone()
        } else {
            self.fields.take()
        };
        let mut request = Request::new(self.source.attempt());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = fields.ok_or(head::internal())?;
        let upload = self.source.upload().filter(|_| self.gated);
        let interim = self.interim.clone();
        if upload.is_some() || interim.is_some() {
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == http::StatusCode::CONTINUE {
                    if let Some(upload) = &upload {
                        upload.open();
                    }
                } else if let Some(interim) = &interim {
                    interim.pass(response.status(), response.headers());
                }
            });
        }
        Ok(request)
    }

    /// Takes back what an attempt left of the request, for the next one.
    fn restore(&mut self, unsent: Option<Request<RequestBody>>) {
        if let Some(request) = unsent {
            self.fields = Some(request.into_parts().0.headers);
        }
    }

    /// Makes an untouched body ready for the next attempt.
    pub(crate) fn rewind(&mut self) {
        self.source.rewind(self.gated);
    }
}

/// Sends `outgoing` over the connection of `lease`, and returns the response
/// when its head has arrived. `keep` tells that the request may be needed again.
pub(crate) async fn exchange(
    mut lease: Lease,
    outgoing: &mut Outgoing,
    keep: bool,
    rules: Rules<'_>,
) -> Result<Response<Body>, Failure> {
    let request = outgoing.attempt(keep)?;
    let upload = outgoing.source.upload();
    let mark = lease.connection.meter.mark();
    let started = Instant::now();
    let responding = lease.connection.send(request);
    tokio::pin!(responding);
    let timer = tokio::time::sleep_until(started + rules.timeouts.first_byte);
    tokio::pin!(timer);
    let mut watch = Watch {
        lease: &lease,
        upload: upload.as_deref(),
        rules,
        started,
        mark,
    };
    timer.as_mut().reset(watch.first_look());
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut responding => break outcome,
            () = &mut timer => timer.as_mut().reset(watch.look()?),
        }
    };
    match outcome {
        Ok(response) => accept(response, lease, outgoing.method(), upload, rules),
        Err(mut error) => {
            let unsent = error.take_message();
            let progress = match unsent {
                Some(_) => Progress::Unsent,
                None => match lease.connection.meter.progress_since(mark) {
                    // It is lost in the library's buffer: as good as sent.
                    Progress::Unsent => Progress::Sent,
                    progress => progress,
                },
            };
            outgoing.restore(unsent);
            Err(exchange_failure(&error.into_error(), progress))
        }
    }
}

/// Watches over the wait for a response's head.
struct Watch<'exchange> {
    lease: &'exchange Lease,
    upload: Option<&'exchange Upload>,
    rules: Rules<'exchange>,
    started: Instant,
    mark: Mark,
}

impl Watch<'_> {
    fn facts(&self, now: Instant) -> HeadFacts {
        HeadFacts {
            now,
            started: self.started,
            last_write: self.lease.connection.meter.last_write(),
            upload: self
                .upload
                .map_or(UploadPhase::Finished, |upload| upload.phase()),
            deadline: deadline(self.rules, self.upload),
        }
    }

    fn first_look(&mut self) -> Instant {
        match decide_head_wait(&self.facts(self.started), self.rules.timeouts) {
            HeadWait::Until(at) => at,
            HeadWait::SendBody | HeadWait::Expired(_) => self.started,
        }
    }

    /// Returns when to look again, or why to give up.
    fn look(&mut self) -> Result<Instant, Failure> {
        let now = Instant::now();
        match decide_head_wait(&self.facts(now), self.rules.timeouts) {
            HeadWait::Until(at) => Ok(at),
            HeadWait::SendBody => {
                if let Some(upload) = self.upload {
                    upload.open();
                }
                Ok(now + self.rules.timeouts.first_byte)
            }
            HeadWait::Expired(fault) => Err(Failure::Origin {
                fault,
                progress: self.lease.connection.meter.progress_since(self.mark),
            }),
        }
    }
}

/// When the exchange must be over, the time not counted that was the client's.
fn deadline(rules: Rules<'_>, upload: Option<&Upload>) -> Instant {
    rules.deadline + upload.map(Upload::client_wait).unwrap_or_default()
}

fn accept(
    response: Response<Incoming>,
    lease: Lease,
    method: &Method,
    upload: Option<Arc<Upload>>,
    rules: Rules<'_>,
) -> Result<Response<Body>, Failure> {
    let (mut parts, incoming) = response.into_parts();
    let persistence = head::accept_response(&mut parts, method).map_err(Failure::responding)?;
    // A final response instead of 100: the body is not wanted, and the origin
    // may or may not expect it next.
    let unwanted = upload
        .as_ref()
        .is_some_and(|upload| upload.abandon_if_gated());
    let ending = Ending {
        reusable: persistence == Persistence::Reusable && !unwanted,
        upload: upload.filter(|_| !unwanted),
        lease,
    };
    let deadline = deadline(rules, ending.upload.as_deref());
    let clock = BodyClock::new(rules.timeouts.between_bytes, deadline, Instant::now());
    Ok(Response::from_parts(
        parts,
        receive(incoming, ending, clock),
    ))
}

/// The fault of an exchange whose time was over before it had a connection.
pub(crate) const fn overdue() -> Failure {
    Failure::unsent(OriginFault::ResponseTimeout)
}
