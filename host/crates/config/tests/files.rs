//! The configuration files that come with Verge, held against the schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use verge_config::{Cache, Config, Function, Limits, Node, Origin, OriginTimeouts, Stop, Target};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config")
}

fn read(name: &str) -> Config {
    Config::read(&folder().join(name)).unwrap_or_else(|errors| unreachable!("{errors}"))
}

#[test]
fn example_names_every_key_with_its_default() {
    let config = read("verge.example.toml");
    let mut missing = BTreeSet::new();
    let mut given = BTreeSet::new();
    for key in config.keys() {
        if key.given.is_none() {
            missing.insert(key.path.as_str());
        } else {
            given.insert(key.path.as_str());
        }
        // A list and an optional key show a value that is not the default.
        let shows_default = key
            .default
            .as_deref()
            .is_some_and(|default| default != "none" && default != "[]");
        // What the example has to set in order to be valid or instructive.
        let instructive = ["site[].route[].static.body"].contains(&key.path.as_str());
        if let (true, false, Some(value)) = (shows_default, instructive, &key.given) {
            assert_eq!(
                Some(value),
                key.default.as_ref(),
                "the example's value of {}",
                key.path
            );
        }
    }
    // Instead of the first of two that exclude each other, the second is in a comment.
    let alternatives = BTreeSet::from([
        "admin.token_env",
        "redis.master",
        "redis.nodes",
        "redis.password_env",
        "registry.NAME.password_env",
        "site[].route[].key.allow",
    ]);
    let missing: BTreeSet<&str> = missing.difference(&given).copied().collect();
    assert_eq!(missing, alternatives, "keys that the example does not have");
    let text = std::fs::read_to_string(folder().join("verge.example.toml")).unwrap();
    assert!(text.contains("# token_env = "));
    assert!(text.contains("# allow = "));
    assert!(given.len() > 90, "{} keys", given.len());
}

#[test]
fn example_has_a_comment_above_every_key() {
    let text = std::fs::read_to_string(folder().join("verge.example.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // Keys that are explained together, or that only show a second way.
    let grouped = [
        "origin_request",
        "origin_response",
        "viewer_response",
        "origin_middleware",
        "file",
        "env",
        "audience",
    ];
    for pair in lines.windows(2) {
        let [above, line] = pair else { continue };
        let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        // The first key of a further route repeats what the first route explains.
        let repeated = above.starts_with("[[site.route]]");
        assert!(
            above.starts_with('#') || grouped.contains(&key) || repeated,
            "no comment above {line}"
        );
    }
}

#[test]
fn example_is_the_default_configuration() {
    let config = read("verge.example.toml");
    assert_eq!(config.node, Node::default());
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.stop, Stop::default());
    assert_eq!(config.cache, Cache::default());
    let origin = &config.origins["app"];
    assert_eq!(origin.timeouts, OriginTimeouts::default());
    let plain = Origin::at("app", "10.0.0.5:3000").unwrap();
    assert_eq!(
        (origin.connections, origin.queue, origin.retries),
        (plain.connections, plain.queue, plain.retries)
    );
    let function = &config.functions["auth"];
    let mut plain = Function::new("auth", function.component.clone());
    plain.grants.clone_from(&function.grants);
    plain.config.clone_from(&function.config);
    plain.keys.clone_from(&function.keys);
    plain.unkeyed.clone_from(&function.unkeyed);
    plain.rollback.latency = function.rollback.latency;
    plain.record.folder.clone_from(&function.record.folder);
    plain.record.share = function.record.share;
    plain.record.redact.clone_from(&function.record.redact);
    assert_eq!(function, &plain);
}

#[test]
fn minimal_is_short_and_has_defaults() {
    let text = std::fs::read_to_string(folder().join("minimal.toml")).unwrap();
    assert!(text.lines().count() < 10);
    let config = read("minimal.toml");
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.sites.len(), 1);
    assert!(matches!(&config.sites[0].routes[0].target, Target::Origin(name) if **name == *"app"));
    assert_eq!(config.dependencies(), [folder().join("minimal.toml")]);
}

#[test]
fn demo_shows_each_sort_of_route() {
    let config = read("demo.toml");
    let routes = &config.sites[0].routes;
    let has = |wanted: fn(&Target) -> bool| routes.iter().any(|route| wanted(&route.target));
    assert!(has(|target| matches!(target, Target::Origin(_))));
    assert!(has(|target| matches!(target, Target::Function(_))));
    assert!(has(|target| matches!(target, Target::Redirect(_))));
    assert!(has(|target| matches!(target, Target::Static(_))));
    assert!(
        config
            .dependencies()
            .contains(&folder().join("../.verge/demo/cert.pem").as_path())
    );
}
