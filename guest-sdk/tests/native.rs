//! The API over the in-memory host: what a function's unit test relies on.

use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use verge_sdk::http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use verge_sdk::rate_limit::{self, Policy};
use verge_sdk::testing::{self, Host, Trigger, effects, responded};
use verge_sdk::{
    BodyError, Edit, Error, Refusal, Refused, Response, TargetError, Verdict, clock, config,
    context, log, random, secret,
};

fn request() -> verge_sdk::Request {
    testing::Request::get("/a/b?c=d&e")
        .header("accept", "text/html")
        .header("Accept", "text/plain")
        .header("cookie", "a=1; b=\"2\"")
        .header("cookie", "c=3=4; a=5")
        .client("2001:db8::1")
        .build()
}

#[test]
fn target_is_read_in_the_http_crates_words() {
    let request = request();
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.scheme().as_str(), "https");
    assert_eq!(request.authority(), "test.example");
    assert_eq!(request.path(), "/a/b");
    assert_eq!(request.query(), Some("c=d&e"));
    assert_eq!(request.uri(), "https://test.example/a/b?c=d&e");
    let client = request.client();
    assert_eq!(client.address.to_string(), "2001:db8::1");
    assert_eq!(client.version, Version::HTTP_11);
    assert_eq!(client.tls.as_deref(), Some("TLSv1.3"));
    assert!(!request.id().is_empty());
}

#[test]
fn whole_uri_sets_scheme_and_authority() {
    let request = testing::Request::get("http://shop.example:8080").build();
    assert_eq!(request.scheme().as_str(), "http");
    assert_eq!(request.authority(), "shop.example:8080");
    assert_eq!((request.path(), request.query()), ("/", None));
}

#[test]
fn fields_are_read_joined_by_line_or_all() {
    let request = request();
    assert_eq!(request.header("ACCEPT").unwrap(), "text/html, text/plain");
    assert_eq!(request.header_lines("accept"), ["text/html", "text/plain"]);
    assert_eq!(request.header("x-none"), None);
    let names = [
        HeaderName::from_static("x-none"),
        HeaderName::from_static("accept"),
    ];
    let [none, accept] = request.headers_many(names);
    assert_eq!((none, accept.unwrap().len()), (None, 21));
    assert_eq!(request.headers().get_all("cookie").iter().count(), 2);
}

#[test]
fn cookies_are_found_across_lines() {
    let request = request();
    let found = ["a", "b", "c", "d"].map(|name| request.cookie(name));
    assert_eq!(
        found,
        [Some("1".into()), Some("2".into()), Some("3=4".into()), None]
    );
}

#[test]
fn batch_of_edits_is_applied_in_order() {
    let mut request = request();
    request
        .edit()
        .set("x-one", "1")
        .append("x-one", HeaderValue::from_static("2"))
        .set("x-number", 42)
        .remove("cookie")
        .extend([Edit::Remove(HeaderName::from_static("accept"))])
        .apply()
        .unwrap();
    assert_eq!(request.header_lines("x-one"), ["1", "2"]);
    assert_eq!(request.header("x-number").unwrap(), "42");
    assert_eq!(request.header("cookie"), None);
    assert_eq!(effects(&request).edits.len(), 5);
    assert!(effects(&request).keys_by("cookie"));
}

#[test]
fn refused_batch_applies_nothing_and_names_its_fields() {
    let big = "x".repeat(70_000);
    let cases = [
        ("x y", "1", Refusal::NameInvalid),
        ("x-bad", "a\nb", Refusal::ValueInvalid),
        ("Content-Length", "1", Refusal::Forbidden),
        ("connection", "close", Refusal::Forbidden),
        ("host", "other.example", Refusal::Forbidden),
        ("proxy-anything", "1", Refusal::Forbidden),
        ("x-forwarded-for", "192.0.2.9", Refusal::Forbidden),
        ("x-big", &big, Refusal::TooLarge),
    ];
    for (name, value, refusal) in cases {
        let mut request = request();
        let error = request.edit().set("x-good", "1").set(name, value).apply();
        assert_eq!(error.unwrap_err().refusal(), refusal, "{name}");
        assert_eq!(request.header("x-good"), None);
        assert!(effects(&request).edits.is_empty());
    }
    let error = request().edit().set("x-a", "1").remove("via").apply();
    let text = error.unwrap_err().to_string();
    assert_eq!(text, "a field belongs to the node (edited: x-a, via)");
}

#[test]
fn target_changes_follow_the_triggers_rules() {
    let authority = "other.example".parse().unwrap();
    let path = "/new?x".parse().unwrap();
    let cases = [
        (Trigger::ViewerRequest, Ok(()), Ok(())),
        (Trigger::OriginRequest, Ok(()), Err(TargetError::Forbidden)),
        (
            Trigger::ViewerResponse,
            Err(TargetError::Forbidden),
            Err(TargetError::Forbidden),
        ),
    ];
    for (trigger, path_result, authority_result) in cases {
        let mut request = testing::Request::get("/old").in_trigger(trigger).build();
        assert_eq!(request.path(), "/old");
        assert_eq!(request.set_path_and_query(&path), path_result);
        assert_eq!(request.set_authority(&authority), authority_result);
        let now = if path_result.is_ok() {
            "/new?x"
        } else {
            "/old"
        };
        assert_eq!(request.path_and_query(), now);
    }
    let mut request = request();
    request.set_method(&Method::HEAD).unwrap();
    assert_eq!(request.method(), Method::HEAD);
}

#[test]
fn routing_belongs_to_viewer_request() {
    let mut request = testing::Request::get("/").origins(["app"]).build();
    assert_eq!(request.set_origin("app"), Ok(()));
    assert_eq!(
        request.set_origin("nowhere"),
        Err(Refused::Origin("nowhere".into()))
    );
    request.add_key_part("plan", "gold").unwrap();
    request.declare_unkeyed("X-Trace").unwrap();
    let seen = effects(&request);
    assert_eq!(seen.origin.as_deref(), Some("app"));
    assert_eq!(seen.key_parts, [("plan".into(), "gold".into())]);
    assert_eq!(seen.unkeyed, ["x-trace"]);

    let later = testing::Request::get("/").in_trigger(Trigger::OriginRequest);
    let mut later = later.build();
    assert!(later.set_origin("any").is_ok());
    assert!(later.add_key_part("plan", "gold").is_err());
    assert!(later.declare_unkeyed("x-trace").is_err());
}

#[test]
fn content_is_taken_once_and_bounded() {
    let post = || testing::Request::post("/").body("0123456789");
    let mut request = post().build();
    assert_eq!(request.read_body(10).unwrap(), b"0123456789");
    assert_eq!(request.read_body(10), Err(BodyError::Taken));
    request.set_body("again").unwrap();
    assert_eq!(request.read_body(10).unwrap(), b"again");
    assert_eq!(post().build().read_body(9), Err(BodyError::TooLarge));
    let cut = testing::Request::post("/")
        .incomplete_body("01")
        .build()
        .read_body(9);
    assert_eq!(cut, Err(BodyError::Incomplete));
}

#[test]
fn content_is_read_and_written_as_std_io() {
    let mut response = testing::Response::ok().body("some content").build();
    let mut reader = response.body().unwrap();
    let mut first = [0; 4];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"some");
    assert_eq!(
        reader.next_piece(3).unwrap().unwrap(),
        b" co",
        "nothing is lost between the two"
    );
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "ntent");

    let mut writer = response.stream_body().unwrap();
    writer.write_all(b"new ").unwrap();
    writer.write_piece("content").unwrap();
    writer.finish().unwrap();
    assert_eq!(response.read_body(100).unwrap(), b"new content");
}

#[test]
fn dropped_writer_leaves_the_content_incomplete() {
    let mut response = Response::new(StatusCode::OK);
    response.stream_body().unwrap().write_piece("half").unwrap();
    assert_eq!(response.read_body(100), Err(BodyError::Incomplete));
}

#[test]
fn response_keeps_what_it_was_refused() {
    let good = Response::new(StatusCode::NOT_FOUND).with_header("x-a", "1");
    assert_eq!(responded(good.into()).status(), StatusCode::NOT_FOUND);
    let mut response = Response::new(StatusCode::OK);
    assert!(response.set_status(StatusCode::CONTINUE).is_err());
    assert!(response.set_status(StatusCode::IM_A_TEAPOT).is_ok());
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
}

#[test]
#[should_panic(expected = "the node would refuse the response: a field belongs to the node")]
fn refused_field_of_a_response_is_seen_in_the_test() {
    let response = Response::new(StatusCode::OK).with_header("transfer-encoding", "chunked");
    let _ = responded(Verdict::Respond(response));
}

#[test]
#[should_panic(expected = "a function cannot answer with status 101")]
fn refused_status_of_a_response_is_seen_in_the_test() {
    let _ = responded(Response::new(StatusCode::SWITCHING_PROTOCOLS).into());
}

#[test]
fn context_is_bounded_and_belongs_to_one_request() {
    let host = Host::new();
    context::set("a", "1").unwrap();
    context::set("a", "2").unwrap();
    assert_eq!(context::get("a").unwrap(), b"2");
    assert!(context::set("big", [0; 4096]).is_err());
    for number in 1..32 {
        context::set(&format!("n{number}"), "x").unwrap();
    }
    assert!(context::set("one-more", "x").is_err());
    assert!(context::set("a", "3").is_ok(), "replacing needs no room");
    host.next_request();
    assert_eq!(context::get("a"), None);
}

#[test]
fn host_is_forgotten_when_it_is_dropped() {
    {
        let _host = Host::new()
            .config("a", "1")
            .secret("s", "x")
            .context("c", "y");
        assert_eq!(config::get("a").as_deref(), Some("1"));
        assert!(secret::get("s").is_some());
        assert_eq!(context::text("c").as_deref(), Some("y"));
    }
    assert_eq!(config::get("a"), None);
    assert!(secret::get("s").is_none());
    assert_eq!(context::text("c"), None);
}

#[test]
fn settings_parse_or_say_what_is_wrong() {
    let _host = Host::new()
        .config("n", " 7 ")
        .config("bad", "x")
        .config("list", "a, ,b,");
    assert_eq!(config::parse::<u8>("n").unwrap(), Some(7));
    assert_eq!(config::parse::<u8>("absent").unwrap(), None);
    let error = config::parse::<u8>("bad").unwrap_err().to_string();
    assert_eq!(error, "config `bad` = \"x\": invalid digit found in string");
    assert_eq!(config::list("list"), ["a", "b"]);
}

#[test]
fn rate_limit_counts_by_the_hosts_clock() {
    let host = Host::new();
    let policy = Policy::new(4, Duration::from_secs(8)).with_burst(2);
    let first = rate_limit::check("k", &policy);
    assert!(first.allowed);
    assert_eq!(
        (first.remaining, first.reset_after),
        (1, Duration::from_secs(2))
    );
    assert!(rate_limit::check("k", &policy).allowed);
    let refused = rate_limit::check("k", &policy);
    assert!(!refused.allowed);
    assert_eq!(refused.retry_after, Duration::from_secs(2));
    assert_eq!(refused.reset_after, Duration::from_secs(4));
    host.advance(refused.retry_after);
    assert!(rate_limit::check("k", &policy).allowed);
    assert!(
        !rate_limit::check_cost("other", &policy, 3).allowed,
        "never more than a burst"
    );
    assert!(
        rate_limit::check_cost("other", &policy, 2).allowed,
        "a refusal takes nothing"
    );
}

#[test]
fn clock_stands_still_until_it_is_moved() {
    let host = Host::new().at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
    assert_eq!(clock::unix_seconds(), 1000);
    host.advance(Duration::from_secs(5));
    assert_eq!(clock::unix_seconds(), 1005);
}

#[test]
fn random_numbers_repeat_in_each_test_and_stay_below_their_bound() {
    let draw = || {
        let _host = Host::new();
        [random::u64(), random::u64()]
    };
    assert_eq!(draw(), draw());
    assert!((0..1000).all(|_| random::below(3) < 3));
    assert_eq!(random::below(0), 0);
}

#[test]
fn log_lines_are_kept_with_their_level() {
    let host = Host::new();
    log::debug!("a {}", 1);
    log::error!("b");
    let lines = host.logged();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.level, line.message.as_str()))
        .collect();
    assert_eq!(seen, [(log::Level::Debug, "a 1"), (log::Level::Error, "b")]);
}

#[test]
fn error_tells_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    let cause = "x".parse::<u8>().unwrap_err();
    let error = Error::from(Outer(cause));
    assert_eq!(error.to_string(), "outer: invalid digit found in string");
}
