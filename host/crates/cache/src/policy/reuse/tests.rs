//! Reuse, as a table.

use super::*;

fn freshness(age: u64, lifetime: u64) -> Freshness {
    Freshness {
        age: Duration::from_secs(age),
        lifetime: Duration::from_secs(lifetime),
        is_no_cache: false,
        is_stale_forbidden: false,
        is_immutable: false,
        stale: StaleWindows::NONE,
        refresh_at: None,
    }
}

fn seconds_of(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

#[test]
fn reuse_follows_age_and_directives() {
    use Reuse::{Fresh, RefreshAhead, StaleAccepted, StaleWhileRevalidate, Validate};
    use ValidateReason::{NoCache, RequestMaxAge, RequestMinFresh, RequestNoCache, Stale};
    let none = RequestDirectives::default;
    let within = |n| Some(MaxStale::Within(Duration::from_secs(n)));
    let no_cache = Freshness {
        is_no_cache: true,
        ..freshness(0, 10)
    };
    let strict = Freshness {
        is_stale_forbidden: true,
        ..freshness(20, 10)
    };
    let immutable = Freshness {
        is_immutable: true,
        ..freshness(5, 10)
    };
    let stale_immutable = Freshness {
        is_immutable: true,
        ..freshness(15, 10)
    };
    let swr = |age, lifetime, window| Freshness {
        stale: StaleWindows {
            while_revalidate: seconds_of(window),
            ..StaleWindows::NONE
        },
        ..freshness(age, lifetime)
    };
    let rows: Vec<(&str, RequestDirectives, Freshness, Reuse)> = vec![
        ("9111 4.2: fresh", none(), freshness(9, 10), Fresh),
        (
            "9111 4.2: age equal to lifetime is stale",
            none(),
            freshness(10, 10),
            Validate(Stale),
        ),
        (
            "9111 4.2: lifetime 0",
            none(),
            freshness(0, 0),
            Validate(Stale),
        ),
        (
            "9111 5.2.1.1: max-age satisfied",
            RequestDirectives {
                max_age: seconds_of(5),
                ..none()
            },
            freshness(5, 10),
            Fresh,
        ),
        (
            "9111 5.2.1.1: max-age passed",
            RequestDirectives {
                max_age: seconds_of(5),
                ..none()
            },
            freshness(6, 10),
            Validate(RequestMaxAge),
        ),
        (
            "9111 5.2.1.1: max-age=0",
            RequestDirectives {
                max_age: seconds_of(0),
                ..none()
            },
            freshness(1, 10),
            Validate(RequestMaxAge),
        ),
        (
            "9111 5.2.1.2: max-stale any",
            RequestDirectives {
                max_stale: Some(MaxStale::Any),
                ..none()
            },
            freshness(99, 10),
            StaleAccepted,
        ),
        (
            "9111 5.2.1.2: max-stale within",
            RequestDirectives {
                max_stale: within(5),
                ..none()
            },
            freshness(15, 10),
            StaleAccepted,
        ),
        (
            "9111 5.2.1.2: max-stale passed",
            RequestDirectives {
                max_stale: within(5),
                ..none()
            },
            freshness(16, 10),
            Validate(Stale),
        ),
        (
            "9111 5.2.2.2: must-revalidate beats max-stale",
            RequestDirectives {
                max_stale: Some(MaxStale::Any),
                ..none()
            },
            strict,
            Validate(Stale),
        ),
        (
            "9111 5.2.1.3: min-fresh satisfied",
            RequestDirectives {
                min_fresh: seconds_of(5),
                ..none()
            },
            freshness(5, 10),
            Fresh,
        ),
        (
            "9111 5.2.1.3: min-fresh not satisfied",
            RequestDirectives {
                min_fresh: seconds_of(6),
                ..none()
            },
            freshness(5, 10),
            Validate(RequestMinFresh),
        ),
        (
            "9111 5.2.1.3: min-fresh beats max-stale",
            RequestDirectives {
                min_fresh: seconds_of(1),
                max_stale: Some(MaxStale::Any),
                ..none()
            },
            freshness(15, 10),
            Validate(RequestMinFresh),
        ),
        (
            "9111 5.2.1.4: no-cache",
            RequestDirectives {
                no_cache: true,
                ..none()
            },
            freshness(0, 10),
            Validate(RequestNoCache),
        ),
        (
            "9111 5.2.2.4: no-cache of the response",
            none(),
            no_cache,
            Validate(NoCache),
        ),
        (
            "9111 5.2.2.4: beats max-stale",
            RequestDirectives {
                max_stale: Some(MaxStale::Any),
                ..none()
            },
            no_cache,
            Validate(NoCache),
        ),
        (
            "8246 2.1: reload of an immutable response",
            RequestDirectives {
                max_age: seconds_of(0),
                ..none()
            },
            immutable,
            Fresh,
        ),
        (
            "8246 2.1: forced reload",
            RequestDirectives {
                no_cache: true,
                ..none()
            },
            immutable,
            Validate(RequestNoCache),
        ),
        (
            "5861 3: within the window",
            none(),
            swr(15, 10, 5),
            StaleWhileRevalidate,
        ),
        (
            "5861 3: past the window",
            none(),
            swr(16, 10, 5),
            Validate(Stale),
        ),
        (
            "9111 4.2.4: must-revalidate beats stale-while-revalidate",
            none(),
            Freshness {
                is_stale_forbidden: true,
                ..swr(11, 10, 5)
            },
            Validate(Stale),
        ),
        (
            "9111 5.2.1.2: max-stale asks for less than the window",
            RequestDirectives {
                max_stale: within(2),
                ..none()
            },
            swr(13, 10, 5),
            Validate(Stale),
        ),
        (
            "5861 3: and takes part in it where it does not",
            RequestDirectives {
                max_stale: within(3),
                ..none()
            },
            swr(13, 10, 5),
            StaleWhileRevalidate,
        ),
        (
            "9111 5.2.1.1: max-age beats the window",
            RequestDirectives {
                max_age: seconds_of(5),
                ..none()
            },
            swr(11, 10, 5),
            Validate(RequestMaxAge),
        ),
        (
            "9111 5.2.1.3: min-fresh=0 takes nothing stale within the window",
            RequestDirectives {
                min_fresh: seconds_of(0),
                ..none()
            },
            swr(11, 10, 5),
            Validate(RequestMinFresh),
        ),
        (
            "9111 5.2.1.3: min-fresh beats the window",
            RequestDirectives {
                min_fresh: seconds_of(1),
                ..none()
            },
            swr(11, 10, 5),
            Validate(RequestMinFresh),
        ),
        (
            "little freshness is left",
            none(),
            Freshness {
                refresh_at: seconds_of(9),
                ..freshness(9, 10)
            },
            RefreshAhead,
        ),
        (
            "enough freshness is left",
            none(),
            Freshness {
                refresh_at: seconds_of(9),
                ..freshness(8, 10)
            },
            Fresh,
        ),
        (
            "8246 2: no longer fresh",
            RequestDirectives {
                max_age: seconds_of(20),
                ..none()
            },
            stale_immutable,
            Validate(Stale),
        ),
    ];
    for (name, request, freshness, expected) in rows {
        assert_eq!(decide_reuse(&request, &freshness), expected, "{name}");
    }
}

#[test]
fn ttl_is_negative_once_stale_and_never_overflows() {
    assert_eq!(freshness(3, 10).ttl(), 7);
    assert_eq!(freshness(13, 10).ttl(), -3);
    assert_eq!(freshness(u64::MAX, 0).ttl(), -i64::MAX);
}
