use std::time::UNIX_EPOCH;

use http::HeaderName;

use super::*;

const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NOW_SECONDS: u64 = 784_111_777;

struct Row {
    name: &'static str,
    method: Method,
    authorization: bool,
    status: u16,
    fields: &'static [(&'static str, &'static str)],
    default_ttl: u64,
    age: u64,
    expected: Result<(u64, LifetimeSource), RefuseReason>,
}

impl Row {
    /// A GET answered by 200 with `cache_control`.
    fn new(
        name: &'static str,
        fields: &'static [(&'static str, &'static str)],
        expected: Result<(u64, LifetimeSource), RefuseReason>,
    ) -> Self {
        Self {
            name,
            method: Method::GET,
            authorization: false,
            status: 200,
            fields,
            default_ttl: 0,
            age: 0,
            expected,
        }
    }
}

fn decide(row: &Row) -> Storage {
    let mut request = HeaderMap::new();
    if row.authorization {
        request.insert(header::AUTHORIZATION, "Bearer x".parse().expect("a value"));
    }
    let fields: HeaderMap = row
        .fields
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                value.parse().expect("a value"),
            )
        })
        .collect();
    let route = RoutePolicy {
        default_ttl: Duration::from_secs(row.default_ttl),
        ..RoutePolicy::default()
    };
    decide_storage(&StorageFacts {
        request: RequestFacts::of(&row.method, &request, false),
        status: StatusCode::from_u16(row.status).expect("a status"),
        fields: &fields,
        received_wall: UNIX_EPOCH + Duration::from_secs(NOW_SECONDS),
        initial_age: Duration::from_secs(row.age),
        route: &route,
    })
}

#[test]
fn storage_follows_rfc_9111_3() {
    use LifetimeSource::{Expires, MaxAge, Nowhere, Route, SMaxage};
    use RefuseReason as Refuse;
    let rows = [
        Row::new(
            "4.2.1: max-age",
            &[("cache-control", "max-age=60")],
            Ok((60, MaxAge)),
        ),
        Row::new(
            "4.2.1: s-maxage comes first",
            &[
                ("cache-control", "max-age=60, s-maxage=7"),
                ("expires", NOW),
            ],
            Ok((7, SMaxage)),
        ),
        Row::new(
            "4.2.1: max-age before Expires",
            &[
                ("cache-control", "max-age=60"),
                ("expires", NOW),
                ("date", NOW),
            ],
            Ok((60, MaxAge)),
        ),
        Row::new(
            "4.2.1: Expires less Date",
            &[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", NOW)],
            Ok((60, Expires)),
        ),
        Row::new(
            "4.2.1: Expires without Date",
            &[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")],
            Ok((60, Expires)),
        ),
        Row::new(
            "5.3: invalid Expires is past",
            &[("expires", "0"), ("etag", "\"a\"")],
            Ok((0, Expires)),
        ),
        Row::new(
            "5.3: past Expires, no validator",
            &[("expires", NOW), ("date", NOW)],
            Err(Refuse::NoValidator),
        ),
        Row::new(
            "3: nothing explicit, no validator",
            &[],
            Err(Refuse::NoValidator),
        ),
        Row::new(
            "3: nothing explicit, validator",
            &[("etag", "\"a\"")],
            Ok((0, Nowhere)),
        ),
        Row::new(
            "3: nothing explicit, Last-Modified",
            &[("last-modified", NOW)],
            Ok((0, Nowhere)),
        ),
        Row {
            status: 503,
            ..Row::new(
                "3: status not heuristically cacheable",
                &[("etag", "\"a\"")],
                Err(Refuse::NotCacheable),
            )
        },
        Row {
            status: 503,
            ..Row::new(
                "3: public makes any status storable",
                &[("etag", "\"a\""), ("cache-control", "public")],
                Ok((0, Nowhere)),
            )
        },
        Row {
            status: 503,
            ..Row::new(
                "3: explicit freshness makes any status storable",
                &[("cache-control", "max-age=5")],
                Ok((5, MaxAge)),
            )
        },
        Row {
            default_ttl: 30,
            ..Row::new("4.2.2: the route's default", &[], Ok((30, Route)))
        },
        Row {
            default_ttl: 30,
            status: 404,
            ..Row::new("4.2.2: default for 404", &[], Ok((30, Route)))
        },
        Row {
            default_ttl: 30,
            status: 503,
            ..Row::new("4.2.2: no default for 503", &[], Err(Refuse::NotCacheable))
        },
        Row {
            default_ttl: 30,
            ..Row::new(
                "4.2.1: the default is weaker than Expires",
                &[("expires", "0")],
                Err(Refuse::NoValidator),
            )
        },
        Row {
            age: 60,
            ..Row::new(
                "4.2.4: stale on arrival, no validator: max-stale may take it",
                &[("cache-control", "max-age=60")],
                Ok((60, MaxAge)),
            )
        },
        Row {
            age: 59,
            ..Row::new(
                "4.2: fresh on arrival",
                &[("cache-control", "max-age=60")],
                Ok((60, MaxAge)),
            )
        },
        Row {
            method: Method::HEAD,
            ..Row::new(
                "3: HEAD",
                &[("cache-control", "max-age=60")],
                Err(Refuse::Method),
            )
        },
        Row {
            method: Method::POST,
            ..Row::new(
                "9110 9.3.3: POST without Content-Location",
                &[("cache-control", "max-age=60")],
                Err(Refuse::Post),
            )
        },
        Row {
            status: 206,
            ..Row::new(
                "3.3: partial",
                &[("cache-control", "max-age=60")],
                Err(Refuse::StatusPartial),
            )
        },
        Row {
            status: 304,
            ..Row::new(
                "4.3.3: 304",
                &[("cache-control", "max-age=60")],
                Err(Refuse::StatusNotModified),
            )
        },
        Row {
            status: 103,
            ..Row::new(
                "3: interim",
                &[("cache-control", "max-age=60")],
                Err(Refuse::StatusInterim),
            )
        },
        Row::new(
            "5.2.2.5: no-store",
            &[("cache-control", "no-store, max-age=60")],
            Err(Refuse::NoStore),
        ),
        Row::new(
            "5.2.2.3: must-understand overrides no-store",
            &[("cache-control", "no-store, must-understand, max-age=60")],
            Ok((60, MaxAge)),
        ),
        Row {
            status: 599,
            ..Row::new(
                "5.2.2.3: must-understand, unknown status",
                &[("cache-control", "must-understand, max-age=60")],
                Err(Refuse::StatusNotUnderstood),
            )
        },
        Row::new(
            "5.2.2.7: private",
            &[("cache-control", "private, max-age=60")],
            Err(Refuse::Private),
        ),
        Row::new(
            "5.2.2.7: private for a field",
            &[
                ("cache-control", "private=\"set-cookie\", max-age=60"),
                ("set-cookie", "a=b"),
            ],
            Ok((60, MaxAge)),
        ),
        Row::new(
            "5.2.2.4: no-cache with validator",
            &[("cache-control", "no-cache, max-age=60"), ("etag", "\"a\"")],
            Ok((60, MaxAge)),
        ),
        Row::new(
            "5.2.2.4: no-cache without validator",
            &[("cache-control", "no-cache, max-age=60")],
            Err(Refuse::NoValidator),
        ),
        Row {
            authorization: true,
            ..Row::new(
                "3.5: authorised",
                &[("cache-control", "max-age=60")],
                Err(Refuse::Authorization),
            )
        },
        Row {
            authorization: true,
            ..Row::new(
                "3.5: authorised, public",
                &[("cache-control", "max-age=60, public")],
                Ok((60, MaxAge)),
            )
        },
        Row {
            authorization: true,
            ..Row::new(
                "3.5: authorised, must-revalidate",
                &[("cache-control", "max-age=60, must-revalidate")],
                Ok((60, MaxAge)),
            )
        },
        Row {
            authorization: true,
            ..Row::new(
                "3.5: authorised, s-maxage",
                &[("cache-control", "s-maxage=60")],
                Ok((60, SMaxage)),
            )
        },
        Row {
            authorization: true,
            ..Row::new(
                "3.5: proxy-revalidate is not enough",
                &[("cache-control", "max-age=60, proxy-revalidate")],
                Err(Refuse::Authorization),
            )
        },
        Row::new(
            "4.1: Vary *",
            &[("cache-control", "max-age=60"), ("vary", "accept, *")],
            Err(Refuse::VaryAny),
        ),
        Row::new(
            "7.3: Set-Cookie does not inhibit caching",
            &[("cache-control", "max-age=60"), ("set-cookie", "a=b")],
            Ok((60, MaxAge)),
        ),
        Row::new(
            "7.3: Set-Cookie, public",
            &[
                ("cache-control", "max-age=60, public"),
                ("set-cookie", "a=b"),
            ],
            Ok((60, MaxAge)),
        ),
    ];
    for row in rows {
        let found = match decide(&row) {
            Storage::Store(plan) => Ok((plan.lifetime.as_secs(), plan.source)),
            Storage::Refuse(reason) => Err(reason),
        };
        assert_eq!(found, row.expected, "{}", row.name);
    }
}

#[test]
fn facts_of_the_request_refuse_before_the_response_is_looked_at() {
    let fields = HeaderMap::new();
    let mut facts = StorageFacts {
        request: RequestFacts::of(&Method::GET, &fields, true),
        status: StatusCode::OK,
        fields: &fields,
        received_wall: UNIX_EPOCH,
        initial_age: Duration::ZERO,
        route: &RoutePolicy::default(),
    };
    assert_eq!(
        decide_storage(&facts),
        Storage::Refuse(RefuseReason::RequestNoStore)
    );
    facts.request = RequestFacts {
        no_store: false,
        has_unkeyed_input: true,
        ..facts.request
    };
    assert_eq!(
        decide_storage(&facts),
        Storage::Refuse(RefuseReason::UnkeyedInput)
    );
    facts.request = RequestFacts {
        has_unkeyed_input: false,
        is_version_replaced: true,
        ..facts.request
    };
    assert_eq!(
        decide_storage(&facts),
        Storage::Refuse(RefuseReason::VersionReplaced)
    );
}

#[test]
fn labels_of_refusals_are_unique() {
    let mut labels: Vec<_> = RefuseReason::ALL.iter().map(|r| r.label()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), RefuseReason::ALL.len());
}
