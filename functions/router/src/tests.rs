use std::collections::HashMap;

use verge_sdk::testing::{self, Host, effects};

use super::*;

fn origin_of(request: testing::Request) -> Option<String> {
    let mut request = request.build();
    assert!(matches!(route(&mut request), Ok(Verdict::Next)));
    effects(&request).origin
}

fn experiment() -> Host {
    Host::new().config("variants", "A:50:app, B:50:app-next")
}

#[test]
fn longest_path_prefix_wins_and_ends_at_a_segment() {
    let _host = Host::new().config("paths", "/api/ = api, /api/v2=api-next, /static=assets");
    let table = [
        ("/api", Some("api")),
        ("/api/users", Some("api")),
        ("/api/v2/users", Some("api-next")),
        ("/api/v20", Some("api")),
        ("/apis", None),
        ("/static/site.css", Some("assets")),
        ("/", None),
    ];
    for (path, origin) in table {
        assert_eq!(
            origin_of(testing::Request::get(path)).as_deref(),
            origin,
            "{path}"
        );
    }
}

#[test]
fn cookie_goes_before_path_and_is_part_of_the_key() {
    let _host = Host::new()
        .config("cookie-name", "preview")
        .config("cookie-values", "yes=canary")
        .config("paths", "/=app");
    let mut request = testing::Request::get("/x")
        .header("cookie", "a=b; preview=yes")
        .build();
    assert!(matches!(route(&mut request), Ok(Verdict::Next)));
    let effects = effects(&request);
    assert_eq!(effects.origin.as_deref(), Some("canary"));
    assert_eq!(
        effects.key_parts,
        [("router-origin".into(), "canary".into())]
    );

    let other = testing::Request::get("/x").header("cookie", "preview=no");
    assert_eq!(origin_of(other).as_deref(), Some("app"));
}

#[test]
fn new_client_is_assigned_keyed_and_given_a_cookie() {
    let _host = experiment();
    let mut request = testing::Request::get("/").build();
    assert!(matches!(route(&mut request), Ok(Verdict::Next)));
    let variant = request
        .header("x-variant")
        .expect("the origin learns the variant");
    let variant = variant.to_str().expect("it is text").to_owned();
    let effects = effects(&request);
    assert_eq!(
        effects.key_parts,
        [("router-variant".into(), variant.clone())]
    );
    assert!(!effects.keys_by("x-variant"));

    let mut response = testing::Response::ok()
        .header("set-cookie", "session=1")
        .build();
    remember(&request, &mut response).expect("it remembers");
    let cookies = response.header_lines("set-cookie");
    assert_eq!(cookies.len(), 2, "the origin's cookie stays");
    let expected =
        format!("verge-variant={variant}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure");
    assert_eq!(cookies[1], expected);
}

#[test]
fn cookie_keeps_a_client_in_its_variant_and_is_not_set_again() {
    let _host = experiment();
    for (variant, origin) in [("A", "app"), ("B", "app-next")] {
        let cookie = format!("verge-variant={variant}");
        let mut request = testing::Request::get("/").header("cookie", &cookie).build();
        assert!(matches!(route(&mut request), Ok(Verdict::Next)));
        assert_eq!(effects(&request).origin.as_deref(), Some(origin));
        let mut response = testing::Response::ok().build();
        remember(&request, &mut response).expect("it does nothing");
        assert_eq!(response.header("set-cookie"), None);
    }
}

#[test]
fn unknown_or_retired_variant_is_assigned_anew() {
    let _host = Host::new().config("variants", "A:1:app, B:0:app-next");
    for variant in ["B", "C", "A\"", ""] {
        let cookie = format!("verge-variant={variant}");
        let request = testing::Request::get("/").header("cookie", &cookie);
        assert_eq!(origin_of(request).as_deref(), Some("app"), "{variant}");
    }
}

#[test]
fn field_of_the_client_never_chooses_the_variant() {
    let _host = Host::new().config("variants", "A:1");
    let mut request = testing::Request::get("/").header("x-variant", "B").build();
    assert!(matches!(route(&mut request), Ok(Verdict::Next)));
    assert_eq!(request.header_lines("x-variant"), ["A"]);
}

#[test]
fn shares_follow_the_weights() {
    for by in ["random", "client"] {
        let host = Host::new()
            .config("variants", "A:90:app, B:10:app-next")
            .config("assign-by", by);
        let mut counts: HashMap<String, u32> = HashMap::new();
        for client in 0..2000_u32 {
            host.next_request();
            let address = format!("10.0.{}.{}", client / 250, client % 250);
            let origin = origin_of(testing::Request::get("/").client(&address));
            *counts.entry(origin.expect("one is chosen")).or_default() += 1;
        }
        let next = counts["app-next"];
        assert!(
            (140..=260).contains(&next),
            "{by}: {next} of 2000 instead of about 200"
        );
    }
}

#[test]
fn assignment_by_client_is_the_same_for_a_whole_ipv6_network() {
    let _host = experiment().config("assign-by", "client");
    let first = origin_of(testing::Request::get("/").client("2001:db8::1"));
    for last in 2..20 {
        let address = format!("2001:db8::{last:x}");
        assert_eq!(
            origin_of(testing::Request::get("/").client(&address)),
            first
        );
    }
}

#[test]
fn plaintext_cookie_is_not_secure() {
    let _host = experiment();
    let mut request = testing::Request::get("/").plaintext().build();
    assert!(matches!(route(&mut request), Ok(Verdict::Next)));
    let mut response = testing::Response::ok().build();
    remember(&request, &mut response).expect("it remembers");
    let cookie = response.header("set-cookie").expect("one is set");
    assert!(!cookie.to_str().expect("it is text").contains("Secure"));
}

#[test]
fn wrong_settings_and_unknown_origins_fail_the_function_by_name() {
    let cases = [
        ("variants", "A", "config `variants`"),
        ("variants", "A;x:10", "config `variants`"),
        ("variants", "A:many", "config `variants`"),
        ("paths", "/api", "config `paths`"),
    ];
    for (name, value, text) in cases {
        let _host = Host::new().config(name, value);
        let error = route(&mut testing::Request::get("/").build()).expect_err(value);
        assert!(error.to_string().contains(text), "{error}");
    }
    let _host = Host::new().config("paths", "/=nowhere");
    let mut request = testing::Request::get("/").origins(["app"]).build();
    let error = route(&mut request).expect_err("there is no such origin");
    assert!(error.to_string().contains("nowhere"), "{error}");
}
