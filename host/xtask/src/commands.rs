//! The commands, each a list of steps.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use verge_toolchain::steps::{Outcome, note, run, step};
use verge_toolchain::{TARGET, Toolchain, packages};

use crate::peers;
use crate::workspace::{cargo, functions, functions_target, root, target};

/// `setup [--toolchain rustup|debian]`
pub(crate) fn setup(arguments: &[String]) -> Outcome {
    let wanted = match arguments {
        [] => None,
        [flag, name] if flag == "--toolchain" => Some(Toolchain::from_name(name)?),
        _ => {
            return Err("setup takes `--toolchain rustup` or `--toolchain debian` only".to_owned());
        }
    };
    prepare(wanted)
}

/// Everything that the other commands stand on; a second run changes nothing.
fn prepare(wanted: Option<Toolchain>) -> Outcome {
    let toolchain = step("guest toolchain", || Toolchain::ensure(wanted))?;
    step("building the functions", || {
        let mut build = cargo(&functions());
        build
            .args(["build", "--workspace", "--release", "--target-dir"])
            .arg(functions_target());
        toolchain.apply(&mut build)?;
        run(&mut build)?;
        note(&format!(
            "{} components in functions/target/{TARGET}/release",
            count_components()
        ));
        Ok(())
    })
}

/// `languages`: the functions in other languages, which only tests need.
pub(crate) fn languages() -> Outcome {
    step(
        "functions in JavaScript, Python and Go",
        crate::languages::prepare,
    )
}

fn count_components() -> usize {
    let folder = functions_target().join(TARGET).join("release");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .count()
}

/// `demo [ARGUMENTS]`: becomes the demo, so that its signals and its exit code are its own.
pub(crate) fn demo(arguments: &[String]) -> Outcome {
    step("curl, for the tour", ensure_curl)?;
    prepare(None)?;
    step("building the demo", || {
        // Of all packages, as `cargo test` builds it: with a package alone, dependencies
        // would have fewer features, and would be compiled once more for the tests.
        run(cargo(&root()).args(["build", "--workspace", "--example", "demo"]))
    })?;
    let program = target().join("debug/examples/demo");
    let error = Command::new(&program)
        .args(arguments)
        .current_dir(root())
        .exec();
    Err(format!("{} cannot be started: {error}", program.display()))
}

/// The demo's tour is made of curl lines, and its test runs them.
fn ensure_curl() -> Outcome {
    packages::ensure(&[("curl", "curl")])
}

/// Tests start servers of their own on free ports; the package's service is not used.
fn ensure_redis() -> Outcome {
    packages::ensure(&[("redis-server", "redis-server")])
}

/// Tests start registries of their own; the package's service is not used.
fn ensure_registry() -> Outcome {
    packages::ensure(&[("docker-registry", "docker-registry")])
}

/// `test [ARGUMENTS]`
pub(crate) fn test(arguments: &[String]) -> Outcome {
    step("curl, for the test of the demo", ensure_curl)?;
    step(
        "redis-server, for the tests of what nodes share",
        ensure_redis,
    )?;
    step(
        "docker-registry, for the tests of components in registries",
        ensure_registry,
    )?;
    prepare(None)?;
    languages()?;
    let tests = test_arguments(arguments);
    step("testing the node's workspace", || {
        run(cargo(&root()).arg("test").args(&tests))
    })?;
    if !arguments.is_empty() {
        note("the functions' own tests are left out, because of the arguments");
        return Ok(());
    }
    step("testing the functions natively", || {
        let mut test = cargo(&functions());
        // A folder of its own: a guest build and a native one would wait for each other.
        test.args(["test", "--workspace", "--target-dir"])
            .arg(functions_target().join("native"));
        run(&mut test)
    })
}

/// All packages, unless the arguments name some.
fn test_arguments(arguments: &[String]) -> Vec<String> {
    let selects = |argument: &String| {
        ["-p", "--package", "--workspace", "--manifest-path"]
            .iter()
            .any(|flag| argument == flag || argument.starts_with(&format!("{flag}=")))
            || (argument.starts_with("-p") && !argument.starts_with("--"))
    };
    let own = arguments.iter().take_while(|argument| *argument != "--");
    let all = if own.into_iter().any(selects) {
        None
    } else {
        Some("--workspace".to_owned())
    };
    all.into_iter().chain(arguments.iter().cloned()).collect()
}

/// `soak disk-kill`, `soak chaos [--seconds N]`, `soak swaps [--count N]`, or `soak [--seconds N]`.
pub(crate) fn soak(arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["disk-kill"] => soak_disk(),
        ["chaos"] => soak_chaos("600"),
        ["chaos", "--seconds", seconds] => soak_chaos(seconds),
        ["swaps"] => soak_swaps("1000"),
        ["swaps", "--count", swaps] => soak_swaps(swaps),
        _ => soak_load(arguments),
    }
}

fn soak_chaos(seconds: &str) -> Outcome {
    step(
        "twenty functions, half of them hostile, on one node",
        || {
            let mut test = cargo(&root());
            test.args(["test", "--workspace", "--test", "hostile", "chaos::"]);
            run(test
                .args(["--", "--nocapture"])
                .env("VERGE_CHAOS_SECONDS", seconds))
        },
    )
}

fn soak_swaps(swaps: &str) -> Outcome {
    step("swapping a function under load", || {
        let mut test = cargo(&root());
        test.args(["test", "--workspace", "--test", "reload", "swaps::"]);
        // One after the other: resident memory is that of the whole process.
        run(test
            .args(["--", "--nocapture", "--test-threads", "1"])
            .env("VERGE_SWAPS", swaps))
    })
}

fn soak_disk() -> Outcome {
    step("killing a node 100 times while it writes", || {
        let mut test = cargo(&root());
        test.args(["test", "--workspace", "--test", "process", "disk::"]);
        run(test
            .args(["--", "--nocapture"])
            .env("VERGE_DISK_KILLS", "100"))
    })
}

/// Becomes the soak, so that its exit code is its own.
fn soak_load(arguments: &[String]) -> Outcome {
    step("building the node and the soak", || {
        // As `cargo test` builds them, for the same reason as the demo.
        run(cargo(&root()).args([
            "build",
            "--workspace",
            "--bin",
            "verge",
            "--example",
            "soak",
        ]))
    })?;
    let program = target().join("debug/examples/soak");
    let error = Command::new(&program)
        .args(arguments)
        .current_dir(root())
        .exec();
    Err(format!("{} cannot be started: {error}", program.display()))
}

/// `bench [ARGUMENTS]`
pub(crate) fn bench(arguments: &[String]) -> Outcome {
    prepare_benches()?;
    if measures_hosts(arguments) {
        step(OTHER_HOSTS, peers::ensure)?;
    }
    step("running the benches", || {
        run(cargo(&root())
            .args(["bench", "--package", "verge-benches"])
            .args(arguments))
    })
}

const OTHER_HOSTS: &str = "wasmtime and workerd, to compare functions with";

/// Whether the bench runs that compares with them: when it is named, or none is.
fn measures_hosts(arguments: &[String]) -> bool {
    let mut own = arguments.iter().take_while(|argument| *argument != "--");
    !own.clone().any(|argument| argument.starts_with("--bench"))
        || own.any(|argument| argument.ends_with("hosts"))
}

/// `versus [ARGUMENTS]`
pub(crate) fn versus(arguments: &[String]) -> Outcome {
    prepare_benches()?;
    step(OTHER_HOSTS, peers::ensure)?;
    step(
        "comparing with nginx, and with other hosts of functions",
        || {
            run(cargo(&root())
                .args([
                    "bench",
                    "--package",
                    "verge-benches",
                    "--bench",
                    "versus",
                    "--bench",
                    "hosts",
                ])
                .arg("--")
                .args(arguments))
        },
    )
}

/// What benches measure: the optimised node, the functions, and other programs.
fn prepare_benches() -> Outcome {
    step("programs to measure with", || {
        packages::ensure(&[("nginx", "nginx-light"), ("wrk", "wrk")])?;
        ensure_redis()
    })?;
    prepare(None)?;
    step("building the node", || {
        // Both at once, so that libraries get the same features and are compiled once.
        run(cargo(&root()).args([
            "build",
            "--release",
            "--package",
            "verge",
            "--package",
            "verge-benches",
        ]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        for (given, expected) in [
            ("", "--workspace"),
            ("cache_", "--workspace cache_"),
            ("-- --nocapture -p", "--workspace -- --nocapture -p"),
            ("-p verge-config", "-p verge-config"),
            ("-pverge-config", "-pverge-config"),
            ("--package=verge-config x", "--package=verge-config x"),
        ] {
            assert_eq!(test_arguments(&words(given)), words(expected), "{given}");
        }
    }

    #[test]
    fn other_hosts_are_installed_for_the_bench_that_needs_them() {
        for (given, expected) in [
            ("", true),
            ("-- --rounds 3", true),
            ("--bench hit", false),
            ("--bench hosts -- --rounds 3", true),
        ] {
            assert_eq!(measures_hosts(&words(given)), expected, "{given}");
        }
    }

    #[test]
    fn setup_refuses_what_it_does_not_know() {
        assert!(setup(&words("--fast")).is_err());
        assert!(
            setup(&words("--toolchain gcc"))
                .unwrap_err()
                .contains("`gcc`")
        );
    }
}
