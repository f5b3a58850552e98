//! Stale answers after an error, as a table.

use verge_http::failure::{ClientFault, OriginFault, Progress};

use super::*;

fn stale(staleness: u64) -> Freshness {
    Freshness {
        age: Duration::from_secs(100 + staleness),
        lifetime: Duration::from_secs(100),
        is_no_cache: false,
        is_stale_forbidden: false,
        is_immutable: false,
        stale: StaleWindows {
            while_revalidate: None,
            if_error: None,
            on_failure: Duration::from_secs(60),
        },
        refresh_at: None,
    }
}

fn with_window(staleness: u64, window: u64) -> Freshness {
    let mut freshness = stale(staleness);
    freshness.stale.if_error = Some(Duration::from_secs(window));
    freshness
}

fn status(status: u16) -> OriginError {
    OriginError::Status(StatusCode::from_u16(status).expect("a status"))
}

fn failed(fault: OriginFault) -> OriginError {
    OriginError::Failed(Failure::Origin {
        fault,
        progress: Progress::Sent,
    })
}

fn none() -> RequestDirectives {
    RequestDirectives::default()
}

#[test]
fn what_the_response_says_decides_first() {
    use StaleGrant::{Disconnected, IfError};
    use StaleOnError::{PassError, Serve};
    use StaleRefusal::{Forbidden, NoCache, NotAnError, WindowPassed};
    let refused = failed(OriginFault::ConnectionRefused);
    let forbidden = |freshness| Freshness {
        is_stale_forbidden: true,
        ..freshness
    };
    let no_cache = Freshness {
        is_no_cache: true,
        ..with_window(0, 60)
    };
    let client = OriginError::Failed(Failure::Client(ClientFault::BodyIncomplete));
    let rows = [
        ("refused", refused, stale(5), Serve(Disconnected)),
        (
            "closed early",
            failed(OriginFault::ConnectionTerminated),
            stale(5),
            Serve(Disconnected),
        ),
        (
            "timed out",
            failed(OriginFault::ResponseTimeout),
            stale(5),
            Serve(Disconnected),
        ),
        ("503", status(503), stale(5), Serve(Disconnected)),
        ("too old", status(503), stale(61), PassError(WindowPassed)),
        ("404", status(404), stale(5), PassError(NotAnError)),
        (
            "the client's fault",
            client,
            stale(5),
            PassError(NotAnError),
        ),
        (
            "5861 4: within",
            refused,
            with_window(90, 90),
            Serve(IfError),
        ),
        (
            "5861 4: past, and no other window opens",
            refused,
            with_window(5, 4),
            PassError(WindowPassed),
        ),
        (
            "9111 4.2.4: forbidden",
            refused,
            forbidden(stale(1)),
            PassError(Forbidden),
        ),
        (
            "9111 4.2.4: forbidden in the window, too",
            refused,
            forbidden(with_window(1, 60)),
            PassError(Forbidden),
        ),
        (
            "9111 5.2.2.4: no-cache",
            refused,
            no_cache,
            PassError(NoCache),
        ),
    ];
    for (name, error, freshness, expected) in rows {
        assert_eq!(
            decide_stale_on_error(error, &freshness, &none()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn what_the_request_says_counts() {
    use StaleGrant::{Disconnected, IfError, RequestIfError};
    use StaleOnError::{PassError, Serve};
    use StaleRefusal::{RequestMaxStale, RequestNoCache};
    let seconds = |n| Some(Duration::from_secs(n));
    let no_cache = RequestDirectives {
        no_cache: true,
        ..none()
    };
    let max_age = RequestDirectives {
        max_age: seconds(10),
        ..none()
    };
    let min_fresh = RequestDirectives {
        min_fresh: seconds(1),
        ..none()
    };
    let if_error = RequestDirectives {
        stale_if_error: seconds(600),
        ..none()
    };
    let max_stale = |n| RequestDirectives {
        max_stale: Some(MaxStale::Within(Duration::from_secs(n))),
        ..none()
    };
    let rows = [
        (no_cache, stale(5), PassError(RequestNoCache)),
        (max_age.clone(), stale(5), Serve(Disconnected)),
        (max_age, with_window(5, 60), Serve(IfError)),
        (min_fresh, stale(5), Serve(Disconnected)),
        (if_error, stale(500), Serve(RequestIfError)),
        (max_stale(4), stale(5), PassError(RequestMaxStale)),
        (max_stale(5), stale(5), Serve(Disconnected)),
    ];
    for (request, freshness, expected) in rows {
        assert_eq!(
            decide_stale_on_error(status(503), &freshness, &request),
            expected,
            "{request:?}"
        );
    }
}

#[test]
fn refresh_ahead_takes_the_end_of_the_lifetime() {
    let seconds = Duration::from_secs;
    assert_eq!(refresh_at(seconds(100), 10), Some(seconds(90)));
    assert_eq!(refresh_at(seconds(100), 0), None);
    assert_eq!(refresh_at(seconds(0), 10), None);
    assert_eq!(refresh_at(Duration::MAX, 10), None);
}

#[test]
fn every_reason_has_a_word_and_a_section() {
    for grant in StaleGrant::ALL {
        assert!(!grant.label().is_empty() && grant.section().starts_with("RFC "));
    }
    for refusal in StaleRefusal::ALL {
        assert!(!refusal.label().is_empty() && refusal.section().starts_with("RFC "));
    }
}
