//! What a function answered, part by part, so that two answers can be compared.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use verge_http::Body;
use verge_runtime::{
    Call, CallReceipt, EdgeRequest, FetchFuture, Function, Next, RequestEffects, StartClass,
    Trigger, Unanswered, Verdict,
};

use super::subject::Sample;
use super::watched::{Missed, Nowhere};

/// Bytes of a value that are shown.
const SHOWN_BYTES: usize = 80;

/// An answer, as named parts in the order of their names.
pub(super) struct Answer {
    /// How its instance came to it.
    pub(super) start: StartClass,
    parts: Vec<(String, String)>,
    failure: Option<String>,
}

/// What middleware has behind it here: the fields and the content of what response triggers are
/// given.
struct Behind(HeaderMap, Bytes);

impl Behind {
    async fn of(sample: &Sample<'_>) -> Result<Self, String> {
        let (head, body) = sample.response().into_parts();
        let content = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Self(head.headers, content.to_bytes()))
    }
}

impl Next for Behind {
    fn handle(&self, _request: Request<Body>) -> FetchFuture {
        let mut response = Response::new(Body::from(self.1.clone()));
        response.headers_mut().clone_from(&self.0);
        Box::pin(std::future::ready(Ok(response)))
    }
}

/// A part that two answers do not have alike.
pub(super) struct Difference {
    /// What it is.
    pub(super) part: String,
    expected: Option<String>,
    found: Option<String>,
}

impl Answer {
    /// Calls a trigger.
    pub(super) async fn to(
        function: &Function,
        trigger: Trigger,
        sample: &Sample<'_>,
        missed: &Arc<Missed>,
    ) -> Result<Self, String> {
        let call = Call {
            scope: Arc::new(Nowhere(Arc::clone(missed))),
        };
        let request = sample.request()?;
        let mut parts = Parts::default();
        let (receipt, failure) = match trigger {
            Trigger::ViewerRequest | Trigger::OriginRequest => {
                let ended = match trigger {
                    Trigger::OriginRequest => function.origin_request(call, request).await,
                    _ => function.viewer_request(call, request).await,
                };
                let failure = match ended.verdict {
                    Ok(Verdict::Continue) => {
                        parts.request(&ended.request, &ended.effects);
                        None
                    }
                    Ok(Verdict::Respond(response)) => parts.response(response).await.err(),
                    Err(failure) => Some(failure.to_string()),
                };
                (ended.receipt, failure)
            }
            Trigger::OriginResponse | Trigger::ViewerResponse => {
                let ended = match trigger {
                    Trigger::OriginResponse => {
                        function
                            .origin_response(call, request, sample.response())
                            .await
                    }
                    _ => {
                        function
                            .viewer_response(call, request, sample.response())
                            .await
                    }
                };
                let failure = match ended.result {
                    Ok(()) => parts.response(ended.response).await.err(),
                    Err(failure) => Some(failure.to_string()),
                };
                (ended.receipt, failure)
            }
            Trigger::Handler => {
                let request = sample.handled_request()?;
                let ended = function.handle(call, request, "reuse-check".into()).await;
                let failure = match ended.response {
                    Ok(response) => parts.response(response).await.err(),
                    Err(failure) => Some(failure.to_string()),
                };
                (ended.receipt, failure)
            }
            Trigger::ViewerMiddleware | Trigger::OriginMiddleware => {
                let request = sample.handled_request()?;
                let (id, next) = ("reuse-check".into(), Arc::new(Behind::of(sample).await?));
                let ended = function.middleware(trigger, call, request, id, next).await;
                let failure = match ended.response {
                    Ok(response) => parts.response(response).await.err(),
                    Err(Unanswered::Failed(failure)) => Some(failure.to_string()),
                    Err(Unanswered::Behind(error)) => Some(error.to_string()),
                };
                (ended.receipt, failure)
            }
            Trigger::Deferred => return Err("work after the response has no answer".into()),
        };
        Ok(Self::of(&receipt, parts, failure))
    }

    fn of(receipt: &CallReceipt, parts: Parts, failure: Option<String>) -> Self {
        let mut parts = parts.0;
        parts.sort();
        Self {
            start: receipt.start,
            parts,
            failure,
        }
    }

    /// Why there is none.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What of `other` is not as it is here, but for the parts in `but`.
    pub(super) fn differences(&self, other: &Self, but: &[String]) -> Vec<Difference> {
        let value = |answer: &Self, name: &str| {
            let mut values = answer.parts.iter().filter(|(part, _)| part == name);
            values.next().map(|(_, value)| value.clone())
        };
        let mut names: Vec<&String> = self.parts.iter().map(|(name, _)| name).collect();
        names.extend(other.parts.iter().map(|(name, _)| name));
        names.sort();
        names.dedup();
        let names = names.into_iter().filter(|name| !but.contains(name));
        let pairs = names.map(|name| Difference {
            part: name.clone(),
            expected: value(self, name),
            found: value(other, name),
        });
        pairs.filter(|pair| pair.expected != pair.found).collect()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<String>| match value {
            None => "nothing".to_owned(),
            Some(value) => {
                let mut shown = value.escape_debug().to_string();
                shown.truncate(shown.floor_char_boundary(SHOWN_BYTES));
                format!("\"{shown}\"")
            }
        };
        write!(
            formatter,
            "{} is {} in a reused instance, {} in a fresh one",
            self.part,
            show(&self.found),
            show(&self.expected)
        )
    }
}

#[derive(Default)]
struct Parts(Vec<(String, String)>);

impl Parts {
    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    fn fields(&mut self, fields: &HeaderMap) {
        for name in fields.keys() {
            let lines = fields.get_all(name).iter();
            let lines: Vec<_> = lines
                .map(|line| String::from_utf8_lossy(line.as_bytes()))
                .collect();
            self.add(format!("field {name}"), lines.join(", "));
        }
    }

    fn request(&mut self, request: &EdgeRequest, effects: &RequestEffects) {
        self.add("method", request.method.as_str());
        let target = &request.path_and_query;
        self.add(
            "target",
            format!("{}://{}{target}", request.scheme, request.authority),
        );
        self.fields(&request.fields);
        self.add("origin", effects.origin.clone().unwrap_or_default());
        self.add("key parts", format!("{:?}", effects.key_parts));
        let keys = effects.surrogate_keys.iter().map(|key| key.as_str());
        self.add("surrogate keys", keys.collect::<Vec<_>>().join(" "));
        self.add("unkeyed fields", format!("{:?}", effects.unkeyed));
        self.add("context", format!("{:?}", request.context));
        self.add("content", format!("{:?}", effects.content));
    }

    /// An error tells that the content broke off.
    async fn response(&mut self, response: Response<Body>) -> Result<(), String> {
        let (head, body) = response.into_parts();
        self.add("status", head.status.as_str());
        self.fields(&head.headers);
        let content = body
            .collect()
            .await
            .map_err(|failure| failure.to_string())?;
        for (name, value) in content.trailers().into_iter().flat_map(HeaderMap::iter) {
            let value = String::from_utf8_lossy(value.as_bytes());
            self.add(format!("trailer {name}"), value);
        }
        self.add("content", String::from_utf8_lossy(&content.to_bytes()));
        Ok(())
    }
}
