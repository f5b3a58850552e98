//! Right configurations and what they become.

use std::path::{Path, PathBuf};
use std::time::Duration;

use verge_config::{
    Config, FieldCondition, LogTarget, OnFailure, Ranges, SecretSource, SiteName, Target, Topology,
};

const TEXT: &str = r#"
[node]
topology = "work-stealing"

[listen]
http = "127.0.0.1:0"
https = ["127.0.0.1:0", "[::1]:0"]
trusted_proxies = ["10.1.2.3/8", "192.0.2.1"]

[[certificate]]
names = ["Shop.Example", "*.shop.example"]
cert = "shop.pem"
key = "/etc/verge/shop.key"

[admin]
token_env = "TOKEN"

[log]
access = "access.log"

[limits]
idle = "2m"
head_bytes = 32768
body_rate = "2KiB/s"

[secret.jwt]
file = "jwt"

[function.auth]
component = "auth.wasm"
on_failure = "open"
grants = { secret = "jwt", log = true }
config = {}

[origin.app]
addresses = ["App.Internal:3000", "[::1]:3001"]
tls = { ca = "ca.pem" }
timeouts = { connect = "250ms" }

[[site]]
names = ["SHOP.example", "*.shop.example", "::1", "*"]

[[site.route]]
path = "/api/{*rest}"
methods = ["GET"]
fields = { X-Beta = "1", authorization = true, cookie = false }
viewer_request = ["auth", { function = "auth", on_failure = "closed" }]
cache = "off"
origin = "app"

[[site.route]]
path = "/old"
redirect = { to = "/new" }

[[site.route]]
path = "/ok"
static = {}
"#;

fn read(text: &str) -> Config {
    Config::from_toml(text, Path::new("/etc/verge/verge.toml"))
        .unwrap_or_else(|errors| unreachable!("{errors}"))
}

#[test]
fn values_become_types_with_units_applied() {
    let config = read(TEXT);
    assert_eq!(config.node.topology, Topology::WorkStealing);
    assert_eq!(config.listen.https.len(), 2);
    let proxies: Vec<String> = config
        .listen
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32"]);
    assert_eq!(
        config.certificates[0].names,
        ["shop.example", "*.shop.example"]
    );
    assert_eq!(
        config.admin.token,
        Some(SecretSource::Variable("TOKEN".to_owned()))
    );
    assert_eq!(
        config.log.access,
        LogTarget::File(PathBuf::from("/etc/verge/access.log"))
    );
    assert_eq!(config.limits.idle, Duration::from_secs(120));
    assert_eq!(
        (config.limits.head_bytes, config.limits.body_rate),
        (32_768, 2_048)
    );
    assert_eq!(config.limits.connections, 10_000);
}

#[test]
fn functions_and_origins_keep_their_defaults() {
    let config = read(TEXT);
    let auth = &config.functions["auth"];
    assert!(auth.grants.config && auth.grants.log && auth.grants.rate_limit.is_none());
    assert_eq!(*auth.grants.secrets[0], *"jwt");
    assert_eq!((auth.on_failure, auth.hostcalls), (OnFailure::Open, 10_000));
    let app = &config.origins["app"];
    let addresses: Vec<String> = app.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["app.internal:3000", "[::1]:3001"]);
    assert_eq!(app.addresses[1].ip(), Some("::1".parse().unwrap()));
    assert_eq!(app.timeouts.connect, Duration::from_millis(250));
    assert_eq!(app.timeouts.total, Duration::from_secs(60));
    let ca = app.tls.as_ref().and_then(|tls| tls.ca.as_deref());
    assert_eq!(ca, Some(Path::new("/etc/verge/ca.pem")));
}

#[test]
fn sites_have_lower_case_names_and_routes_in_order() {
    let config = read(TEXT);
    let site = &config.sites[0];
    assert_eq!(*site.name, *"shop.example");
    assert_eq!(
        site.names,
        [
            SiteName::Exact("shop.example".into()),
            SiteName::Wildcard("shop.example".into()),
            SiteName::Exact("[::1]".into()),
            SiteName::Default,
        ]
    );
    let api = &site.routes[0];
    assert_eq!(
        api.patterns().collect::<Vec<_>>(),
        ["/api/{*rest}", "/api/"]
    );
    let conditions: Vec<_> = api
        .fields
        .iter()
        .map(|field| (field.name.as_str(), &field.condition))
        .collect();
    assert_eq!(
        conditions,
        [
            ("x-beta", &FieldCondition::Equals("1".to_owned())),
            ("authorization", &FieldCondition::Present),
            ("cookie", &FieldCondition::Absent),
        ]
    );
    let uses: Vec<_> = api
        .triggers
        .viewer_request
        .iter()
        .map(|each| each.on_failure)
        .collect();
    assert_eq!(uses, [None, Some(OnFailure::Closed)]);
    assert!(!api.cache);
    assert!(
        matches!(&site.routes[1].target, Target::Redirect(to) if to.status == 308 && !to.keep_path)
    );
    assert!(matches!(&site.routes[2].target, Target::Static(answer) if answer.status == 200));
}

#[test]
fn dependencies_are_all_files_that_are_read_and_only_those() {
    let config = read(TEXT);
    let paths: Vec<_> = config
        .dependencies()
        .into_iter()
        .map(|path| path.to_string_lossy())
        .collect();
    let expected = [
        "verge.toml",
        "shop.pem",
        "shop.key",
        "jwt",
        "auth.wasm",
        "ca.pem",
    ];
    let expected = expected.map(|name| format!("/etc/verge/{name}"));
    assert_eq!(paths, expected);
}

#[test]
fn equal_parts_are_equal_and_changed_ones_are_not() {
    let before = read(TEXT);
    let after = read(&TEXT.replace("connect = \"250ms\"", "connect = \"251ms\""));
    assert_ne!(before.origins["app"], after.origins["app"]);
    assert_eq!(before.functions, after.functions);
    assert_eq!(before.sites, after.sites);
    assert_eq!(before.limits, after.limits);
}

#[test]
fn debug_output_names_sources_and_no_secrets() {
    let shown = format!("{:?}", read(TEXT).secrets);
    assert!(shown.contains("/etc/verge/jwt"), "{shown}");
}

/// Functions behind the origin have all of a response before them, unless the route says otherwise.
#[test]
fn parts_are_asked_for_where_no_function_stands_behind_the_origin() {
    for (keys, expected) in [
        ("", Ranges::Pieces),
        (
            "origin_request = [\"auth\"]\nviewer_response = [\"auth\"]",
            Ranges::Pieces,
        ),
        ("origin_response = [\"auth\"]", Ranges::Whole),
        ("origin_middleware = [\"auth\"]", Ranges::Whole),
        (
            "origin_response = [\"auth\"]\nranges = \"pieces\"",
            Ranges::Pieces,
        ),
        (
            "origin_middleware = [\"auth\"]\nranges = \"slices\"",
            Ranges::Slices,
        ),
    ] {
        let text = format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\n[function.auth]\ncomponent = \"auth.wasm\"\n\
             [origin.app]\naddresses = [\"a:80\"]\n[[site]]\nnames = [\"*\"]\n[[site.route]]\n\
             path = \"/\"\norigin = \"app\"\n{keys}\n"
        );
        assert_eq!(read(&text).sites[0].routes[0].ranges, expected, "{keys}");
    }
}
