//! What the tests of this crate share: a cache on a clock that stands still,
//! requests and responses in one line each.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body_util::BodyExt;
use verge_base::{Clock, ManualClock};
use verge_http::cache_control::RequestDirectives;
use verge_http::{Body, Failure, Scheme};

use crate::policy::{RequestFacts, RoutePolicy, Storage, StorageFacts, decide_storage};
use crate::*;

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A cache, its clock, and the handle of the clock.
pub(crate) struct Kit {
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    pub(crate) time: ManualClock,
}

pub(crate) fn kit() -> Kit {
    kit_with(CacheSettings {
        max_object: MIB,
        fill_window: 256 * KIB,
        ..CacheSettings::with_memory(16 * MIB)
    })
}

pub(crate) fn kit_with(settings: CacheSettings) -> Kit {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let (clock, time) = Clock::manual(start);
    Kit {
        cache: Cache::new(settings, clock.clone()),
        clock,
        time,
    }
}

pub(crate) fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                value.parse().expect("a value"),
            )
        })
        .collect()
}

pub(crate) fn target(path: &str) -> Target<'_> {
    Target {
        scheme: Scheme::Https,
        authority: "shop.example",
        path,
        query: None,
    }
}

impl Kit {
    pub(crate) fn key(&self, path: &str) -> Key {
        self.cache.key(target(path), &[])
    }

    pub(crate) fn parted_key(&self, path: &str, user: &str) -> Key {
        let part = KeyPart {
            name: "user",
            value: user.as_bytes(),
        };
        self.cache.key(target(path), &[part])
    }

    pub(crate) fn join(&self, key: &Key, request: &[(&str, &str)]) -> Join {
        let fields = map(request);
        self.cache.join(&Seeker {
            key,
            fields: &fields,
            directives: &RequestDirectives::parse(&fields),
            seen: None,
            hint: None,
        })
    }

    pub(crate) fn lead(&self, key: &Key, request: &[(&str, &str)]) -> FillPermit {
        match self.join(key, request) {
            Join::Leader(mut permit) => {
                permit.mark_sent();
                permit
            }
            other => panic!("expected to lead, not {other:?}"),
        }
    }

    pub(crate) fn alone(&self, key: &Key, request: &[(&str, &str)]) -> FillPermit {
        let fields = map(request);
        let mut permit = self.cache.alone(&Seeker {
            key,
            fields: &fields,
            directives: &RequestDirectives::default(),
            seen: None,
            hint: None,
        });
        permit.mark_sent();
        permit
    }

    pub(crate) fn follow(&self, key: &Key, request: &[(&str, &str)]) -> Waiter {
        match self.join(key, request) {
            Join::Follower(waiter) => waiter,
            other => panic!("expected to follow, not {other:?}"),
        }
    }

    /// Begins with the response that policy makes of `response`.
    pub(crate) fn begin(
        &self,
        permit: FillPermit,
        request: &[(&str, &str)],
        response: &[(&str, &str)],
    ) -> Filling {
        match self.try_begin(permit, request, response) {
            Begun::Filling(filling) => *filling,
            Begun::Refused(reason) => panic!("refused: {reason:?}"),
        }
    }

    pub(crate) fn try_begin(
        &self,
        permit: FillPermit,
        request: &[(&str, &str)],
        response: &[(&str, &str)],
    ) -> Begun {
        self.begin_fields(permit, request, &map(response))
    }

    pub(crate) fn begin_fields(
        &self,
        permit: FillPermit,
        request: &[(&str, &str)],
        fields: &HeaderMap,
    ) -> Begun {
        self.begin_for(permit, request, fields, &RoutePolicy::default(), None)
    }

    pub(crate) fn begin_for(
        &self,
        permit: FillPermit,
        request: &[(&str, &str)],
        fields: &HeaderMap,
        route: &RoutePolicy,
        made_by: Option<&str>,
    ) -> Begun {
        let request = map(request);
        let head = ResponseHead::new(StatusCode::OK, fields, permit.received_now());
        let decision = decide_storage(&StorageFacts {
            request: RequestFacts::of(&Method::GET, &request, false),
            status: head.status,
            fields,
            received_wall: head.times.received_wall,
            initial_age: head.initial_age,
            route,
        });
        let plan = match decision {
            Storage::Store(plan) => plan,
            Storage::Refuse(reason) => panic!("not storable: {reason:?}"),
        };
        permit.begin(FillStart {
            response: head,
            plan,
            request: &request,
            route,
            made_by: made_by.map(Into::into),
        })
    }

    /// Stores `content` under `key`, as an answer to `request`.
    pub(crate) fn store(
        &self,
        key: &Key,
        request: &[(&str, &str)],
        response: &[(&str, &str)],
        content: &Bytes,
    ) -> Finished {
        let permit = self.alone(key, request);
        let mut filling = self.begin(permit, request, response);
        push(&mut filling.writer, content.clone()).expect("there is a reader");
        filling.writer.finish(None).expect("no length was promised")
    }

    pub(crate) fn selected(
        &self,
        key: &Key,
        request: &[(&str, &str)],
    ) -> Option<std::sync::Arc<StoredResponse>> {
        match self.cache.lookup(key, &map(request)) {
            Lookup::Selected(response) => Some(response),
            Lookup::Miss(_) => None,
        }
    }
}

/// Pushes without waiting; panics where the writer would wait.
pub(crate) fn push(writer: &mut FillWriter, data: Bytes) -> Result<(), Stopped> {
    try_push(writer, data).expect("the writer does not wait")
}

/// Pushes; `None` where the writer would wait, after which the writer is not to be used.
pub(crate) fn try_push(writer: &mut FillWriter, data: Bytes) -> Option<Result<(), Stopped>> {
    writer.push(data).now_or_never()
}

pub(crate) fn wait(waiter: &mut Waiter, request: &[(&str, &str)]) -> Option<Followed> {
    let fields = map(request);
    let directives = RequestDirectives::parse(&fields);
    waiter.wait(&fields, &directives).now_or_never()
}

/// What can be read without waiting: content, and how it ended if it did.
pub(crate) fn read(reader: &mut FillReader) -> (Vec<u8>, Option<Result<(), Failure>>) {
    let mut content = Vec::new();
    loop {
        match reader.frame().now_or_never() {
            None => return (content, None),
            Some(None) => return (content, Some(Ok(()))),
            Some(Some(Err(failure))) => return (content, Some(Err(failure))),
            Some(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    content.extend_from_slice(&data);
                }
            }
        }
    }
}

/// All of a body that does not wait.
pub(crate) fn content(body: Body) -> Vec<u8> {
    body.collect()
        .now_or_never()
        .expect("it does not wait")
        .expect("it does not fail")
        .to_bytes()
        .to_vec()
}

/// `len` bytes of which each tells its place.
pub(crate) fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// What purges look at.
pub(crate) struct Entry<'a> {
    pub(crate) site: &'a str,
    pub(crate) tags: &'a str,
    pub(crate) groups: &'a str,
    pub(crate) made_by: Option<&'a str>,
}

/// The head of a stored response that is like `entry`.
pub(crate) fn head_of(entry: &Entry<'_>) -> StoredHead {
    let kit = kit();
    let route = RoutePolicy {
        site: Some(entry.site.into()),
        ..RoutePolicy::default()
    };
    let fields = map(&[
        ("cache-control", "max-age=60"),
        ("surrogate-key", entry.tags),
        ("cache-groups", entry.groups),
    ]);
    let key = kit.key("/");
    let permit = kit.lead(&key, &[]);
    let filling = kit.begin_for(permit, &[], &fields, &route, entry.made_by);
    match filling {
        Begun::Filling(filling) => StoredHead::clone(&filling.head),
        Begun::Refused(reason) => panic!("refused: {reason:?}"),
    }
}
