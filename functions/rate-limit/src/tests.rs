use verge_sdk::testing::{self, Host, responded};

use super::*;

fn ask(request: testing::Request) -> Verdict {
    limit(&mut request.build()).expect("the function works")
}

fn passes(request: testing::Request) -> bool {
    matches!(ask(request), Verdict::Next)
}

fn host(limit: &str) -> Host {
    Host::new().config("limit", limit).config("window", "10")
}

fn text(response: &Response, name: &str) -> Option<String> {
    let value = response.header(name)?;
    Some(value.to_str().expect("it is text").to_owned())
}

#[test]
fn over_the_limit_is_429_with_the_time_to_wait() {
    let _host = host("2");
    assert!(passes(testing::Request::get("/")));
    assert!(passes(testing::Request::get("/")));
    let response = responded(ask(testing::Request::get("/")));
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(&response, "retry-after").as_deref(), Some("5"));
    assert_eq!(
        text(&response, "ratelimit-policy").as_deref(),
        Some("\"default\";q=2;w=10")
    );
    assert_eq!(
        text(&response, "ratelimit").as_deref(),
        Some("\"default\";r=0;t=10")
    );
    assert_eq!(
        text(&response, "cache-control").as_deref(),
        Some("no-store")
    );
}

#[test]
fn waiting_as_told_is_enough() {
    let host = host("3");
    while passes(testing::Request::get("/")) {}
    let response = responded(ask(testing::Request::get("/")));
    let wait = text(&response, "retry-after").expect("it is told");
    host.advance(Duration::from_secs(wait.parse().expect("it is a number")));
    assert!(passes(testing::Request::get("/")));
    assert!(!passes(testing::Request::get("/")));
}

#[test]
fn answers_tell_how_the_client_stands() {
    let host = host("4").config("name", "burst\"y");
    let mut request = testing::Request::get("/").build();
    assert!(matches!(limit(&mut request), Ok(Verdict::Next)));
    let mut response = testing::Response::ok()
        .header("ratelimit", "the origin's")
        .build();
    inform(&request, &mut response).expect("it informs");
    assert_eq!(
        text(&response, "ratelimit").as_deref(),
        Some("\"bursty\";r=3;t=3")
    );
    assert_eq!(
        text(&response, "ratelimit-policy").as_deref(),
        Some("\"bursty\";q=4;w=10")
    );

    host.next_request();
    let mut unlimited = testing::Response::ok().build();
    inform(&request, &mut unlimited).expect("it has nothing to say");
    assert_eq!(text(&unlimited, "ratelimit"), None);
}

#[test]
fn each_client_has_its_own_rate_and_an_ipv6_network_is_one_client() {
    let _host = host("1");
    assert!(passes(testing::Request::get("/").client("192.0.2.1")));
    assert!(passes(testing::Request::get("/").client("192.0.2.2")));
    assert!(!passes(
        testing::Request::get("/").client("::ffff:192.0.2.1")
    ));
    assert!(passes(testing::Request::get("/").client("2001:db8::1")));
    assert!(!passes(
        testing::Request::get("/").client("2001:db8::dead:beef")
    ));
    assert!(passes(testing::Request::get("/").client("2001:db8:0:1::1")));
}

#[test]
fn api_keys_are_counted_wherever_they_come_from() {
    let _host = host("1").config("by", "api-key");
    let with_key = |key: &str, client: &str| {
        testing::Request::get("/")
            .header("x-api-key", key)
            .client(client)
    };
    assert!(passes(with_key("a", "192.0.2.1")));
    assert!(!passes(with_key("a", "192.0.2.2")));
    assert!(passes(with_key("b", "192.0.2.2")));
    assert!(passes(testing::Request::get("/").client("192.0.2.3")));
    assert!(
        !passes(testing::Request::get("/").client("192.0.2.3")),
        "no key: by client"
    );
    let huge = "k".repeat(300);
    assert!(
        !passes(with_key(&huge, "192.0.2.3")),
        "nor does a huge one make a new counter"
    );
}

#[test]
fn key_cannot_name_a_clients_counter() {
    let _host = host("1")
        .config("by", "api-key")
        .config("api-key-field", "x-key");
    let forged = testing::Request::get("/").header("x-key", "client:192.0.2.9");
    assert!(passes(forged.client("192.0.2.1")));
    assert!(passes(testing::Request::get("/").client("192.0.2.9")));
}

#[test]
fn burst_is_what_may_come_at_once() {
    let host = host("10").config("burst", "2");
    let burst = (0..5)
        .filter(|_| passes(testing::Request::get("/")))
        .count();
    assert_eq!(burst, 2);
    host.advance(Duration::from_secs(1));
    assert!(passes(testing::Request::get("/")));
    assert!(!passes(testing::Request::get("/")));
}

#[test]
fn who_passes_the_limit_stays_outside_for_the_penalty() {
    let host = host("2").config("penalty", "60");
    assert!(passes(testing::Request::get("/")));
    assert!(passes(testing::Request::get("/")));
    let refused = responded(ask(testing::Request::get("/")));
    assert_eq!(text(&refused, "retry-after").as_deref(), Some("60"));
    // By the rate alone, one could pass again.
    host.advance(Duration::from_secs(20));
    let refused = responded(ask(testing::Request::get("/")));
    assert_eq!(text(&refused, "retry-after").as_deref(), Some("40"));
    assert!(passes(testing::Request::get("/").client("192.0.2.99")));
    host.advance(Duration::from_secs(40));
    assert!(passes(testing::Request::get("/")));
}

#[test]
fn refusal_always_says_at_least_one_second() {
    let _host = Host::new().rate_exhausted(Duration::from_millis(1));
    let response = responded(ask(testing::Request::get("/")));
    assert_eq!(text(&response, "retry-after").as_deref(), Some("1"));
}

#[test]
fn wrong_settings_fail_the_function_by_name() {
    for (name, value) in [
        ("limit", "lots"),
        ("window", "-1"),
        ("by", "moon"),
        ("burst", "x"),
        ("penalty", "x"),
    ] {
        let _host = Host::new().config(name, value);
        let error = limit(&mut testing::Request::get("/").build()).expect_err(value);
        assert!(
            error.to_string().contains(&format!("config `{name}`")),
            "{error}"
        );
    }
}
