use verge_sdk::testing::{self, Host};

use super::*;

fn transformed(response: testing::Response) -> Response {
    transformed_for(testing::Request::get("/"), response)
}

fn transformed_for(request: testing::Request, response: testing::Response) -> Response {
    let mut response = response.build();
    transform(&request.build(), &mut response).expect("it transforms");
    response
}

fn text(response: &Response, name: &str) -> Option<String> {
    let value = response.header(name)?;
    Some(value.to_str().expect("it is text").to_owned())
}

#[test]
fn security_fields_are_there_without_any_setting() {
    let _host = Host::new();
    let response = transformed(testing::Response::ok());
    let table = [
        (
            "strict-transport-security",
            Some("max-age=31536000; includeSubDomains"),
        ),
        ("x-content-type-options", Some("nosniff")),
        ("referrer-policy", Some("strict-origin-when-cross-origin")),
        ("x-frame-options", Some("SAMEORIGIN")),
        ("cross-origin-opener-policy", Some("same-origin")),
        ("content-security-policy", None),
        ("permissions-policy", None),
    ];
    for (name, expected) in table {
        assert_eq!(text(&response, name).as_deref(), expected, "{name}");
    }
}

#[test]
fn settings_change_and_leave_out_security_fields() {
    let _host = Host::new()
        .config("csp", "default-src 'self'")
        .config("hsts", "max-age=60")
        .config("frame-options", "off");
    let response = transformed(testing::Response::ok());
    let csp = text(&response, "content-security-policy");
    assert_eq!(csp.as_deref(), Some("default-src 'self'"));
    let hsts = text(&response, "strict-transport-security");
    assert_eq!(hsts.as_deref(), Some("max-age=60"));
    assert_eq!(text(&response, "x-frame-options"), None);
}

#[test]
fn what_the_origin_says_for_itself_stays_unless_overridden() {
    for (overrides, expected) in [("false", "DENY"), ("true", "SAMEORIGIN")] {
        let _host = Host::new().config("override", overrides);
        let response = transformed(testing::Response::ok().header("x-frame-options", "DENY"));
        assert_eq!(
            text(&response, "x-frame-options").as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn hsts_is_not_sent_over_plaintext() {
    let _host = Host::new();
    let request = testing::Request::get("/").plaintext();
    let response = transformed_for(request, testing::Response::ok());
    assert_eq!(text(&response, HSTS), None);
}

#[test]
fn revealing_fields_are_removed_or_what_the_setting_names() {
    let origin = || {
        testing::Response::ok()
            .header("server", "x/1")
            .header("x-made-by", "y")
    };
    {
        let _host = Host::new();
        let response = transformed(origin());
        assert_eq!(text(&response, "server"), None);
        assert_eq!(text(&response, "x-made-by").as_deref(), Some("y"));
    }
    let _host = Host::new().config("remove", " x-made-by ,");
    let response = transformed(origin());
    assert_eq!(text(&response, "server").as_deref(), Some("x/1"));
    assert_eq!(text(&response, "x-made-by"), None);
}

#[test]
fn fields_are_set_line_by_line_and_last() {
    let _host = Host::new()
        .config("remove", "server")
        .config("set", "server: verge\n\n x-note: a: b, c ");
    let response = transformed(testing::Response::ok().header("server", "x/1"));
    assert_eq!(text(&response, "server").as_deref(), Some("verge"));
    assert_eq!(text(&response, "x-note").as_deref(), Some("a: b, c"));
}

#[test]
fn renamed_fields_keep_their_lines() {
    let _host = Host::new().config("rename", "x-old = x-new, x-absent=x-other");
    let origin = testing::Response::ok()
        .header("x-old", "1")
        .header("x-old", "2")
        .header("x-new", "the origin's")
        .header("x-other", "stays");
    let response = transformed(origin);
    assert_eq!(text(&response, "x-old"), None);
    assert_eq!(response.header_lines("x-new"), ["1", "2"]);
    assert_eq!(text(&response, "x-other").as_deref(), Some("stays"));
}

#[test]
fn content_is_never_touched() {
    let _host = Host::new();
    let mut response = transformed(testing::Response::ok().body("as it was"));
    assert_eq!(
        response.read_body(100).expect("nobody took it"),
        b"as it was"
    );
}

#[test]
fn wrong_settings_fail_the_function_by_name() {
    let cases = [
        ("remove", "no name"),
        ("rename", "x-old"),
        ("rename", "x-old=x new"),
        ("set", "no colon"),
        ("set", "x-bad: \u{7}"),
        ("csp", "a\nb"),
        ("override", "perhaps"),
    ];
    for (name, value) in cases {
        let _host = Host::new().config(name, value);
        let request = testing::Request::get("/").build();
        let mut response = testing::Response::ok().build();
        let error = transform(&request, &mut response).expect_err(value);
        assert!(
            error.to_string().contains(&format!("config `{name}`")),
            "{error}"
        );
    }
}
