//! What a site allows, behind a roll: origins, work for later, the cache, and requests.

use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http_body::Body as _;
use serde_json::{Value, json};
use verge_http::Body;

use super::RecordedContent;
use super::blob::Blob;
use super::body::TapedBody;
use super::input::{field, field_list};
use super::roll::{Asked, Later, Roll};
use super::words;
use crate::capabilities::{
    CacheEntry, CacheError, CacheFound, CacheFuture, CacheKey, CacheLead, CacheObligation,
    CacheOptions, CacheOwner, CachePurge, CallId, DeferError, Fetch, FetchError, FetchFuture,
    FunctionCache,
};
use crate::message::Scope;

impl Roll {
    /// A scope behind this.
    pub(super) fn scope(roll: &Arc<Self>, inner: &Arc<dyn Scope>) -> Arc<dyn Scope> {
        Arc::new(TapedScope {
            inner: Arc::clone(inner),
            roll: Arc::clone(roll),
        })
    }
}

struct TapedScope {
    inner: Arc<dyn Scope>,
    roll: Arc<Roll>,
}

impl Scope for TapedScope {
    fn allows_authority(&self, authority: &Authority) -> bool {
        let ask = json!({ "authority": authority.as_str() });
        let live = || self.inner.allows_authority(authority);
        self.roll.answer("site.allows-authority", ask, live)
    }

    fn allows_origin(&self, call: &CallId, name: &str) -> bool {
        let live = || self.inner.allows_origin(call, name);
        self.roll
            .answer("site.allows-origin", json!({ "name": name }), live)
    }

    fn defer(&self, function: &str, id: &Arc<str>, payload: Vec<u8>) -> Result<(), DeferError> {
        let ask = json!({ "payload": Blob(payload.clone()) });
        let live = || self.inner.defer(function, id, payload);
        self.roll.answer("defer.later", ask, live)
    }

    fn cache(&self) -> Option<Arc<dyn FunctionCache>> {
        Some(Arc::new(TapedCache {
            inner: self.inner.cache(),
            roll: Arc::clone(&self.roll),
        }))
    }

    fn fetch(&self, call: &CallId) -> Option<Arc<dyn Fetch>> {
        Some(Arc::new(TapedFetch {
            inner: self.inner.fetch(call),
            roll: Arc::clone(&self.roll),
        }))
    }
}

struct TapedFetch {
    inner: Option<Arc<dyn Fetch>>,
    roll: Arc<Roll>,
}

impl TapedFetch {
    async fn tell(roll: Arc<Roll>, number: usize, sending: FetchFuture) -> FetchAnswer {
        let answered = sending.await;
        match answered {
            Err(error) => {
                let told = json!({ "error": words::of_fetch_error(error) });
                roll.tell(number, told, true);
                Err(error)
            }
            Ok(response) => {
                let (head, body) = response.into_parts();
                let content = roll.add_content(RecordedContent {
                    length: body.exact_len(),
                    is_empty: body.is_end_stream(),
                    ..RecordedContent::default()
                });
                let told = json!({
                    "status": head.status.as_u16(),
                    "fields": field_list(&head.headers),
                    "content": content,
                });
                roll.tell(number, told, true);
                let body = Body::stream(TapedBody::of(body, content, roll));
                Ok(http::Response::from_parts(head, body))
            }
        }
    }
}

type FetchAnswer = Result<http::Response<Body>, FetchError>;

impl Fetch for TapedFetch {
    fn send(&self, request: http::Request<Body>) -> FetchFuture {
        let content = match request.body() {
            Body::Full(content) => json!(Blob(content.to_vec())),
            Body::Empty => Value::Null,
            // It is written while it is sent.
            _ => json!("(streamed)"),
        };
        let ask = json!({
            "method": request.method().as_str(),
            "uri": request.uri().to_string(),
            "fields": field_list(request.headers()),
            "content": content,
        });
        let live = |request| -> FetchFuture {
            match &self.inner {
                Some(inner) => inner.send(request),
                None => Box::pin(std::future::ready(Err(FetchError::Denied))),
            }
        };
        match self.roll.ask("fetch", ask) {
            Asked::Live(number) => {
                let sending = live(request);
                Box::pin(Self::tell(Arc::clone(&self.roll), number, sending))
            }
            Asked::Answered(answer, turn) => {
                let answer = answered(&self.roll, answer);
                Box::pin(async move {
                    if let Some(turn) = turn {
                        turn.await;
                    }
                    answer
                })
            }
            Asked::Never => Box::pin(std::future::pending()),
            Asked::Unknown => live(request),
        }
    }
}

/// The response that a recording has.
fn answered(roll: &Arc<Roll>, answer: Value) -> FetchAnswer {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Told {
        Failed {
            error: String,
        },
        Head {
            status: u16,
            fields: Vec<(String, Blob)>,
            content: usize,
        },
    }
    let told = roll.read("fetch", answer);
    match told {
        Some(Told::Failed { error }) => Err(words::fetch_error(&error)),
        Some(Told::Head {
            status,
            fields,
            content,
        }) => {
            let mut response = http::Response::new(TapedBody::played(roll, content));
            *response.status_mut() =
                http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
            response
                .headers_mut()
                .extend(fields.iter().filter_map(field));
            Ok(response)
        }
        None => Err(FetchError::Failed(words::INTERNAL)),
    }
}

struct TapedCache {
    inner: Option<Arc<dyn FunctionCache>>,
    roll: Arc<Roll>,
}

/// What a recording has of a transaction.
#[derive(serde::Serialize, serde::Deserialize)]
enum Transacted {
    Hit(CacheEntry),
    Stale(CacheEntry),
    Lead {
        stale: Option<CacheEntry>,
        may_serve_stale: bool,
    },
}

impl TapedCache {
    fn lead(&self, duty: Option<Box<dyn CacheObligation>>) -> Box<dyn CacheObligation> {
        Box::new(TapedObligation {
            duty,
            roll: Arc::clone(&self.roll),
        })
    }
}

fn unavailable<T: Send + 'static>() -> Later<Result<T, CacheError>> {
    Box::pin(std::future::ready(Err(CacheError::Unavailable)))
}

impl FunctionCache for TapedCache {
    fn lookup(&self, owner: &CacheOwner, key: &CacheKey) -> Result<Option<CacheEntry>, CacheError> {
        let live = || match &self.inner {
            Some(inner) => inner.lookup(owner, key),
            None => Err(CacheError::Unavailable),
        };
        self.roll
            .answer("cache.lookup", json!({ "key": key }), live)
    }

    fn insert(
        &self,
        owner: &CacheOwner,
        key: &CacheKey,
        content: Vec<u8>,
        options: CacheOptions,
    ) -> CacheFuture<Result<(), CacheError>> {
        let ask = json!({ "key": key, "content": Blob(content.clone()), "options": options });
        self.roll
            .answer_later("cache.insert", ask, || match &self.inner {
                Some(inner) => inner.insert(owner, key, content, options),
                None => unavailable(),
            })
    }

    fn transact(
        &self,
        owner: &CacheOwner,
        key: &CacheKey,
        wait: Duration,
    ) -> CacheFuture<Result<CacheFound, CacheError>> {
        let ask = json!({ "key": key, "wait": wait });
        match self.roll.ask("cache.transact", ask) {
            Asked::Live(number) => {
                let Some(inner) = &self.inner else {
                    let told = json!({ "Err": CacheError::Unavailable });
                    self.roll.tell(number, told, true);
                    return unavailable();
                };
                let finding = inner.transact(owner, key, wait);
                let roll = Arc::clone(&self.roll);
                Box::pin(async move {
                    let found = finding.await;
                    let told = found.as_ref().map(told).map_err(|error| *error);
                    roll.tell(number, json!(told), true);
                    found.map(|found| taped(found, &roll))
                })
            }
            Asked::Answered(answer, turn) => {
                let answer: Option<Result<Transacted, CacheError>> =
                    self.roll.read("cache.transact", answer);
                let found = match answer {
                    None => Err(CacheError::Unavailable),
                    Some(Err(error)) => Err(error),
                    Some(Ok(Transacted::Hit(entry))) => Ok(CacheFound::Hit(entry)),
                    Some(Ok(Transacted::Stale(entry))) => Ok(CacheFound::Stale(entry)),
                    Some(Ok(Transacted::Lead {
                        stale,
                        may_serve_stale,
                    })) => Ok(CacheFound::Lead(CacheLead {
                        obligation: self.lead(None),
                        stale,
                        may_serve_stale,
                    })),
                };
                Box::pin(async move {
                    if let Some(turn) = turn {
                        turn.await;
                    }
                    found
                })
            }
            Asked::Never => Box::pin(std::future::pending()),
            Asked::Unknown => unavailable(),
        }
    }

    fn purge(&self, owner: &CacheOwner, what: &CachePurge, soft: bool) -> Result<(), CacheError> {
        let live = || match &self.inner {
            Some(inner) => inner.purge(owner, what, soft),
            None => Err(CacheError::Unavailable),
        };
        let ask = json!({ "what": what, "soft": soft });
        self.roll.answer("cache.purge", ask, live)
    }
}

fn told(found: &CacheFound) -> Transacted {
    match found {
        CacheFound::Hit(entry) => Transacted::Hit(entry.clone()),
        CacheFound::Stale(entry) => Transacted::Stale(entry.clone()),
        CacheFound::Lead(lead) => Transacted::Lead {
            stale: lead.stale.clone(),
            may_serve_stale: lead.may_serve_stale,
        },
    }
}

fn taped(found: CacheFound, roll: &Arc<Roll>) -> CacheFound {
    match found {
        CacheFound::Lead(lead) => CacheFound::Lead(CacheLead {
            obligation: Box::new(TapedObligation {
                duty: Some(lead.obligation),
                roll: Arc::clone(roll),
            }),
            ..lead
        }),
        CacheFound::Hit(_) | CacheFound::Stale(_) => found,
    }
}

struct TapedObligation {
    duty: Option<Box<dyn CacheObligation>>,
    roll: Arc<Roll>,
}

impl CacheObligation for TapedObligation {
    fn insert(
        self: Box<Self>,
        content: Vec<u8>,
        options: CacheOptions,
    ) -> CacheFuture<Result<(), CacheError>> {
        let ask = json!({ "content": Blob(content.clone()), "options": options });
        let duty = self.duty;
        self.roll.answer_later("cache.fulfil", ask, || match duty {
            Some(duty) => duty.insert(content, options),
            None => unavailable(),
        })
    }
}
