//! Wrong configurations and exactly what is said about them.

use std::path::Path;

use verge_config::Config;

mod problems {
    mod kv;
    mod sections;
}

/// The problems of a text, one on each line.
fn problems(text: &str) -> String {
    match Config::from_toml(text, Path::new("config/x.toml")) {
        Ok(_) => "no problem".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

/// A valid start, so that a case has one problem only; 11 lines long.
const BASE: &str = r#"listen.http = "127.0.0.1:0"
[origin.app]
addresses = ["127.0.0.1:3000"]
[origin.img]
addresses = ["127.0.0.1:3001"]
[function.auth]
component = "auth.wasm"
[[site]]
names = ["shop.example"]
[[site.route]]
path = "/"
"#;

#[test]
fn base_of_the_cases_is_valid() {
    assert_eq!(problems(&format!("{BASE}origin = \"app\"\n")), "no problem");
}

/// Cases that follow `BASE`; the added text starts at line 12.
#[test]
fn problems_of_routes_have_place_path_and_remedy() {
    for (added, expected) in [
        (
            "origin = \"ap\"",
            "config/x.toml:12:10: site[0].route[0].origin: no origin is named \"ap\"; did you mean \"app\"? (origins: app, img)",
        ),
        (
            "function = \"nothing\"",
            "config/x.toml:12:12: site[0].route[0].function: no function is named \"nothing\"; functions: auth",
        ),
        (
            "orign = \"app\"\norigin = \"app\"",
            "config/x.toml:12:1: site[0].route[0].orign: unknown key; did you mean `origin`?",
        ),
        (
            "origin = \"app\"\npolicy = { max_tl = \"1s\" }",
            "config/x.toml:13:12: site[0].route[0].policy.max_tl: unknown key; did you mean `max_ttl`?",
        ),
        (
            "",
            "config/x.toml:10:1: site[0].route[0]: has no target; expected exactly one of `origin`, `function`, `redirect` and `static`",
        ),
        (
            "origin = \"app\"\nfunction = \"auth\"",
            "config/x.toml:10:1: site[0].route[0]: has 2 targets; expected exactly one of `origin`, `function`, `redirect` and `static`",
        ),
        (
            "origin = \"app\"\nmethods = [\"GET\", \"post\"]",
            "config/x.toml:13:19: site[0].route[0].methods[1]: \"post\" is not valid; expected a method in capital letters, such as \"GET\"",
        ),
        (
            "origin = \"app\"\nkey = { query = \"sort\" }",
            "config/x.toml:13:17: site[0].route[0].key.query: \"sort\" is not known; expected \"as-is\" or \"sorted\" or \"none\"",
        ),
        (
            "origin = \"app\"\nkey = { allow = [\"q\"], drop_preset = \"tracking\" }",
            "config/x.toml:13:17: site[0].route[0].key.allow: has both parameters that count and parameters that do not; expected `allow`, or `drop` and `drop_preset`",
        ),
        (
            "origin = \"app\"\nkey = { query = \"none\", drop = [\"a\"] }",
            "config/x.toml:13:17: site[0].route[0].key.query: nothing of the query counts, so there is nothing to choose from it; expected \"as-is\" or \"sorted\" beside `allow`, `drop` and `drop_preset`",
        ),
        (
            "origin = \"app\"\nkey = { drop = [\"a*b\"] }",
            "config/x.toml:13:17: site[0].route[0].key.drop[0]: \"a*b\" is not valid; expected the name of a parameter, or its beginning with a `*`",
        ),
        (
            "origin = \"app\"\ncompression = true",
            "config/x.toml:13:15: site[0].route[0].compression: found a boolean; expected \"on\" or \"off\"",
        ),
        (
            "origin = \"app\"\nfields = { \"x y\" = true }",
            "config/x.toml:13:20: site[0].route[0].fields.\"x y\": \"x y\" is not a field name; expected a field name",
        ),
        (
            "origin = \"app\"\nfields = { a = 1 }",
            "config/x.toml:13:16: site[0].route[0].fields.a: found an integer; expected a value, true (the field is there) or false (it is not)",
        ),
        (
            "origin = \"app\"\nviewer_request = [\"auht\"]",
            "config/x.toml:13:19: site[0].route[0].viewer_request[0]: no function is named \"auht\"; did you mean \"auth\"? (functions: auth)",
        ),
        ("origin = \"app\"\nviewer_request = \"auth\"", "no problem"),
        (
            "origin = \"app\"\nviewer_request = [{ on_failure = \"open\" }]",
            "config/x.toml:13:19: site[0].route[0].viewer_request[0].function: missing; expected the name of a function",
        ),
        (
            "origin = \"app\"\nviewer_request = [{ function = \"auth\", on_failure = \"opn\" }]",
            "config/x.toml:13:53: site[0].route[0].viewer_request[0].on_failure: \"opn\" is not known; expected \"closed\" or \"open\" or \"stale\"",
        ),
        (
            "redirect = { status = 200 }",
            "config/x.toml:12:12: site[0].route[0].redirect.to: missing; expected a URI such as \"https://shop.example/\", or a path\nconfig/x.toml:12:23: site[0].route[0].redirect.status: 200 is not a redirect; expected 301, 302, 303, 307 or 308",
        ),
        (
            "origin = \"app\"\ncache = true",
            "config/x.toml:13:9: site[0].route[0].cache: found a boolean; expected \"on\" or \"off\"",
        ),
        (
            "origin = \"app\"\n[[site.route]]\npath = \"/x/{a}/{*b}/c\"\norigin = \"app\"",
            "config/x.toml:14:8: site[0].route[1].path: has a {*name} that is not at its end; expected {*name} as the last part",
        ),
        (
            "origin = \"app\"\n[[site.route]]\npath = \"/x/{a}\"\norigin = \"app\"\n[[site.route]]\npath = \"/x/{b}\"\norigin = \"app\"",
            "config/x.toml:17:8: site[0].route[2].path: \"/x/{b}\" is ambiguous beside \"/x/{a}\"; expected the same pattern, or one that differs in a fixed part",
        ),
        (
            "origin = \"app\"\n[[site.route]]\norigin = \"app\"",
            "config/x.toml:13:1: site[0].route[1].path: missing; expected a path pattern, such as \"/\", \"/items/{id}\" or \"/api/{*rest}\"",
        ),
        (
            "origin = \"app\"\n[[site.route]]\npath = \"x?y\"\norigin = \"app\"",
            "config/x.toml:14:8: site[0].route[1].path: \"x?y\" is not valid; expected a path pattern, such as \"/\", \"/items/{id}\" or \"/api/{*rest}\"",
        ),
        (
            "origin = \"app\"\n[[site]]\nnames = [\"*.example\", \"SHOP.example\"]\nroute = []",
            "config/x.toml:14:23: site[1].names[1]: \"shop.example\" is already named at site[0].names[0]; expected each host once",
        ),
        (
            "origin = \"app\"\n[[site]]\nnames = [\"a:80\", \"*.\"]\nroute = []",
            "config/x.toml:14:10: site[1].names[0]: \"a:80\" is not valid; expected a host without a port, such as \"shop.example\" or \"*.shop.example\", or \"*\"\nconfig/x.toml:14:18: site[1].names[1]: \"*.\" is not valid; expected a host without a port, such as \"shop.example\" or \"*.shop.example\", or \"*\"",
        ),
    ] {
        assert_eq!(problems(&format!("{BASE}{added}\n")), expected, "{added}");
    }
}

#[test]
fn an_empty_file_says_what_is_needed() {
    assert_eq!(
        problems(""),
        "config/x.toml:1:1: listen: missing; expected a section with `http` or `https`, such as http = \"127.0.0.1:8080\""
    );
}

#[test]
fn all_problems_come_at_once_in_the_order_of_their_places() {
    let text = r#"[listen]
htp = "127.0.0.1:8080"
http = "127.0.0.1:eighty"

[limits]
idle = "5 parsecs"
fields = "many"

[origin.app]
address = ["127.0.0.1:3000"]

[[site]]
names = ["*"]

[[site.route]]
path = "/{*rest}"
origin = "api"
viewer_request = ["auth"]
"#;
    let expected = [
        "config/x.toml:2:1: listen.htp: unknown key; did you mean `http`?",
        "config/x.toml:3:8: listen.http: \"127.0.0.1:eighty\" is not valid; expected an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        "config/x.toml:6:8: limits.idle: `parsecs` is not a unit (units: us, ms, s, m, h, d); expected a duration with its unit, from \"1s\" to \"1h\"",
        "config/x.toml:7:10: limits.fields: found a string; expected a whole number from 10 to 1000",
        "config/x.toml:9:1: origin.app.addresses: missing; expected one or more addresses, such as [\"10.0.0.5:3000\"]",
        "config/x.toml:10:1: origin.app.address: unknown key; did you mean `addresses`?",
        "config/x.toml:17:10: site[0].route[0].origin: no origin is named \"api\"; did you mean \"app\"? (origins: app)",
        "config/x.toml:18:19: site[0].route[0].viewer_request[0]: no function is named \"auth\"; there is no [function.NAME]",
    ];
    assert_eq!(problems(text).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn syntax_errors_have_their_place() {
    for (text, expected) in [
        (
            "a = \n",
            "config/x.toml:1:5: string values must be quoted, expected literal string",
        ),
        (
            "[limits]\nidle = \"1s\"\nidle = \"2s\"\n",
            "config/x.toml:3:1: duplicate key",
        ),
        (
            "[limits\n",
            "config/x.toml:1:8: unclosed table, expected `]`",
        ),
    ] {
        assert_eq!(problems(text), expected, "{text}");
    }
}

#[test]
fn columns_count_characters() {
    let text = "listen.http = \"127.0.0.1:0\"\nnode = { name = \"é\", \"wörkers\" = 1 }";
    let found = problems(text);
    assert!(
        found
            .contains("config/x.toml:2:22: node.\"wörkers\": unknown key; did you mean `workers`?"),
        "{found}"
    );
}

#[test]
fn a_later_finding_gets_the_place_of_its_key() {
    let config = Config::from_toml(
        &format!("{BASE}origin = \"app\"\n"),
        Path::new("config/x.toml"),
    )
    .unwrap();
    for (key, expected) in [
        (
            "function.auth.component",
            "config/x.toml:7:1: function.auth.component: cannot be read",
        ),
        (
            "function.auth.grants.secret[0]",
            "config/x.toml:6:1: function.auth.grants.secret[0]: cannot be read",
        ),
        (
            "site[0].route[0].origin",
            "config/x.toml:12:1: site[0].route[0].origin: cannot be read",
        ),
        (
            "stop.linger",
            "config/x.toml:1:1: stop.linger: cannot be read",
        ),
    ] {
        assert_eq!(
            config.problem(key, "cannot be read", "").to_string(),
            expected
        );
    }
}

#[test]
fn paths_start_at_the_files_folder() {
    let config = Config::from_toml(
        &format!("{BASE}origin = \"app\"\n"),
        Path::new("config/x.toml"),
    )
    .unwrap();
    assert_eq!(
        config.functions["auth"].component,
        Path::new("config/auth.wasm")
    );
    assert_eq!(
        config.dependencies(),
        [Path::new("config/x.toml"), Path::new("config/auth.wasm")]
    );
}

#[test]
fn files_that_cannot_be_read_are_problems_too() {
    let missing = Path::new("/nowhere/verge.toml");
    let errors = Config::read(missing).unwrap_err().to_string();
    assert!(
        errors.starts_with("/nowhere/verge.toml: cannot be read: "),
        "{errors}"
    );
    // Endless, so only a bound stops it.
    let errors = Config::read(Path::new("/dev/zero"))
        .unwrap_err()
        .to_string();
    assert_eq!(errors, "/dev/zero: is too large; expected at most 4 MiB");
}
