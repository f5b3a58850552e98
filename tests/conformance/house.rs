//! The dependency rule of the house: the host's crates use each other in one
//! direction only, `wasmtime` is for the runtime alone, and nothing else of
//! this workspace is used by what runs in production.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Which of ours a crate may use.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("verge-base", &[]),
    ("verge-http", &["verge-base"]),
    ("verge-config", &[]),
    ("verge-cache", &["verge-base", "verge-http"]),
    ("verge-origin", &["verge-base", "verge-http"]),
    ("verge-runtime", &["verge-base", "verge-http"]),
    ("verge-shared", &["verge-base", "verge-http", "verge-cache"]),
    (
        "verge",
        &[
            "verge-base",
            "verge-http",
            "verge-config",
            "verge-cache",
            "verge-origin",
            "verge-runtime",
            "verge-shared",
            "verge-toolchain",
        ],
    ),
    ("verge-sdk", &["verge-sdk-macros"]),
    ("verge-sdk-macros", &[]),
    ("verge-toolchain", &[]),
    ("xtask", &["verge-toolchain"]),
    // What measures and tests may use all that it measures and tests.
    (
        "verge-tests",
        &[
            "verge",
            "verge-base",
            "verge-http",
            "verge-config",
            "verge-cache",
            "verge-origin",
            "verge-runtime",
            "verge-shared",
        ],
    ),
    (
        "verge-benches",
        &[
            "verge",
            "verge-base",
            "verge-http",
            "verge-config",
            "verge-cache",
            "verge-origin",
            "verge-runtime",
            "verge-shared",
        ],
    ),
];

/// Libraries that belong to some crates alone, and to which.
const RESERVED: [(&str, &[&str]); 10] = [
    ("wasmtime", &["verge-runtime"]),
    ("wit-", &["verge-runtime", "verge-sdk"]),
    ("redis", &["verge-shared"]),
    (
        "hyper",
        &["verge", "verge-origin", "verge-tests", "verge-benches"],
    ),
    (
        "tokio-rustls",
        &["verge", "verge-origin", "verge-tests", "verge-benches"],
    ),
    ("toml", &["verge-config"]),
    ("clap", &["verge"]),
    ("axum", &["verge"]),
    ("notify", &["verge"]),
    ("anyhow", &["verge", "verge-tests", "verge-benches"]),
];

/// What the pure crates may use beside ours: no runtime, no sockets, no clocks of their own.
const PURE: [(&str, &[&str]); 2] = [
    (
        "verge-http",
        &[
            "bytes",
            "http",
            "http-body",
            "httpdate",
            "itoa",
            "memchr",
            "sfv",
            "smallvec",
            "thiserror",
        ],
    ),
    ("verge-base", &["fastrand", "parking_lot", "tokio"]),
];

/// The dependencies of each package of the workspace that are not for its tests alone.
fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    packages(|kind| kind != Some("dev"))
}

fn packages(counts: impl Fn(Option<&str>) -> bool) -> BTreeMap<String, BTreeSet<String>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let names = dependencies
                .filter(|dependency| counts(dependency["kind"].as_str()))
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (
                package["name"].as_str().unwrap().to_owned(),
                names.collect(),
            )
        })
        .collect()
}

#[test]
fn every_package_is_known_and_uses_only_what_it_may() {
    let packages = workspace();
    let ours: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, known, "a new package needs its place in the rule");
    for (name, allowed) in MAY_USE {
        for used in &packages[name] {
            let is_allowed = !ours.contains(used.as_str()) || allowed.contains(&used.as_str());
            assert!(is_allowed, "{name} must not use {used}");
        }
    }
}

#[test]
fn tests_of_a_crate_do_not_turn_the_direction_round() {
    for (name, dependencies) in packages(|kind| kind == Some("dev")) {
        let above = ["verge", "verge-tests", "verge-benches"];
        let used = dependencies
            .iter()
            .find(|used| above.contains(&used.as_str()));
        assert_eq!(used, None, "{name}");
    }
}

#[test]
fn reserved_libraries_stay_with_their_owners() {
    for (name, dependencies) in workspace() {
        for used in dependencies {
            for (library, owners) in RESERVED {
                let is_it = used == library
                    || used.starts_with(&format!("{library}-"))
                    || (library.ends_with('-') && used.starts_with(library));
                assert!(
                    !is_it || owners.contains(&name.as_str()),
                    "{name} must not use {used}"
                );
            }
        }
    }
}

#[test]
fn pure_crates_do_no_input_or_output() {
    let packages = workspace();
    for (name, allowed) in PURE {
        for used in packages[name]
            .iter()
            .filter(|used| !used.starts_with("verge-"))
        {
            assert!(
                allowed.contains(&used.as_str()),
                "{name} must not use {used}"
            );
        }
    }
}
