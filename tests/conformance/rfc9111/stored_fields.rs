//! What may be stored by what was asked and by the response's fields, and
//! which of them are (RFC 9111 3, 3.1, 3.5).

use super::kit::{Case, Fields, case};
use super::storing::{MINUTE, TAG, refused, refused_200, stored};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = by_request();
    cases.extend(by_fields());
    cases
}

fn by_request() -> Vec<Case> {
    const ASKED: Fields = &[("authorization", "Basic YTpi")];
    const NO_STORE: Fields = &[("cache-control", "no-store")];
    let authorization = "!stored detail=authorization";
    let mut cases = Vec::new();
    for control in ["max-age=60", "max-age=60, proxy-revalidate"] {
        let fields: Fields = Vec::leak(vec![("cache-control", control)]);
        let name = "an authorised answer is not shared unless it says so";
        cases.push(refused("9111 3.5", name, ASKED, 200, fields, authorization));
    }
    for control in [
        "max-age=60, public",
        "s-maxage=60",
        "max-age=60, must-revalidate",
    ] {
        let fields: Fields = Vec::leak(vec![("cache-control", control)]);
        cases.push(
            case("9111 3.5", "an authorised answer that may be shared")
                .get(ASKED)
                .answer(200, fields)
                .cache("fwd=uri-miss stored")
                .get(&[])
                .hit(),
        );
    }
    cases.push(
        case("9111 5.2.1.5", "no-store of the request: nothing is stored")
            .get(NO_STORE)
            .answer(200, MINUTE)
            .cache("fwd=request !stored detail=request-no-store")
            .get(&[])
            .answer(200, MINUTE)
            .cache("fwd=uri-miss stored"),
    );
    cases.push(
        case(
            "9110 9.3.1",
            "the answer to a GET with content is for it alone",
        )
        .get(&[])
        .content("q")
        .answer(200, MINUTE)
        .cache("fwd=bypass !stored detail=request-content")
        .get(&[])
        .answer(200, MINUTE)
        .cache("fwd=uri-miss stored"),
    );
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        cases.push(
            case("9111 3", "the answers to other methods are not stored")
                .ask(method, &[])
                .answer(200, MINUTE)
                .cache("fwd=method !stored")
                .get(&[])
                .answer(200, MINUTE)
                .cache("fwd=uri-miss stored"),
        );
    }
    cases
}

fn by_fields() -> Vec<Case> {
    vec![
        refused_200(
            "9111 4.1",
            "Vary: *",
            &[("cache-control", "max-age=60"), ("vary", "*")],
            "!stored detail=vary-any",
        ),
        refused_200(
            "9111 4.1",
            "Vary: * among others",
            &[
                ("cache-control", "max-age=60"),
                ("vary", "accept"),
                ("vary", "accept-language, *"),
            ],
            "!stored detail=vary-any",
        ),
        refused_200(
            "9111 7.3",
            "a cookie of a response that is not called fresh",
            &[("last-modified", "@-1000"), TAG, ("set-cookie", "id=1")],
            "!stored detail=set-cookie",
        ),
        stored(
            "9111 7.3",
            "a cookie does not inhibit caching",
            200,
            &[("cache-control", "max-age=60"), ("set-cookie", "id=1")],
        ),
        stored(
            "9111 7.3",
            "a cookie that is said to be for all",
            200,
            &[
                ("cache-control", "public, max-age=60"),
                ("set-cookie", "theme=dark"),
            ],
        ),
        case(
            "9111 5.2.2.7",
            "a private field goes to its client and is not stored",
        )
        .get(&[])
        .answer(
            200,
            &[
                ("cache-control", "max-age=60, private=\"set-cookie\""),
                ("set-cookie", "id=1"),
                ("x-kept", "1"),
            ],
        )
        .cache("stored")
        .gives("set-cookie", "id=1")
        .get(&[])
        .hit()
        .lacks("set-cookie")
        .gives("x-kept", "1"),
        case(
            "9111 5.2.2.4",
            "a no-cache field goes to its client and is not stored",
        )
        .get(&[])
        .answer(
            200,
            &[
                ("cache-control", "max-age=60, no-cache=\"X-Nonce\""),
                ("x-nonce", "7"),
            ],
        )
        .cache("stored")
        .gives("x-nonce", "7")
        .get(&[])
        .hit()
        .lacks("x-nonce"),
        case("9111 3.1", "fields of one connection are not stored")
            .get(&[])
            .answer(
                200,
                &[
                    ("cache-control", "max-age=60"),
                    ("connection", "x-hop"),
                    ("x-hop", "1"),
                    ("proxy-authenticate", "Basic"),
                    ("x-kept", "1"),
                ],
            )
            .lacks("x-hop")
            .get(&[])
            .hit()
            .lacks("x-hop")
            .lacks("proxy-authenticate")
            .gives("x-kept", "1"),
    ]
}
