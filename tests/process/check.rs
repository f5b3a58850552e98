//! `verge check`: all that `verge serve` would refuse, with file, line, key and
//! what would be right.

use std::path::{Path, PathBuf};

use crate::kit::{Place, errors, fixed, on_free_ports, run};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config")
        .join(name)
        .canonicalize()
        .unwrap()
}

/// The lines that `check` writes about `config`, without the file's name; the last one counts them.
fn problems(config: &Path) -> Vec<String> {
    let output = run(&["check"], Some(config));
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let shown = config.display().to_string();
    errors(&output)
        .lines()
        .map(|line| {
            line.strip_prefix(&shown)
                .unwrap_or_else(|| panic!("does not begin with the file: {line}"))
                .to_owned()
        })
        .collect()
}

#[test]
fn a_good_configuration_is_told_in_one_line() {
    let place = Place::new();
    let config = place.write("verge.toml", &on_free_ports(&fixed("here")));
    let output = run(&["check"], Some(&config));
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!(
            "{}: good: 1 site, 0 origins, 0 functions\n",
            config.display()
        )
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn the_minimal_configuration_passes() {
    let output = run(&["check"], Some(&shipped("minimal.toml")));
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

#[test]
fn the_example_lacks_nothing_but_the_files_that_it_names() {
    let problems = problems(&shipped("verge.example.toml"));
    let (count, problems) = problems.split_last().unwrap();
    assert!(!problems.is_empty());
    assert_eq!(*count, format!(": {} problems", problems.len()));
    for problem in problems {
        assert!(
            problem.contains("No such file or directory")
                // Where the functions were built, the component is there and nobody signed it.
                || problem.contains("it is not signed")
                || problem.contains("the environment variable `VERGE_SECRET_OTHER` is not set"),
            "{problem}"
        );
    }
}

#[test]
fn all_problems_are_told_at_once_with_line_key_and_what_would_be_right() {
    let place = Place::new();
    let config = place.write(
        "verge.toml",
        "[listen]\n\
         http = \"127.0.0.1\"\n\
         htps = \"127.0.0.1:8443\"\n\
         [limits]\n\
         head = 10\n\
         requests = 0\n\
         [origin.app]\n\
         addresses = [\"127.0.0.1:3000\"]\n\
         [[site]]\n\
         names = [\"*\", \"shop_example..\"]\n\
         [[site.route]]\n\
         path = \"/{*rest}\"\n\
         origin = \"ap\"\n",
    );
    let found = problems(&config);
    let expected = [
        (":2:8: listen.http: ", "expected an address and a port"),
        (":3:1: listen.htps: unknown key", "`https`"),
        (":5:8: limits.head: ", "expected a duration"),
        (
            ":6:12: limits.requests: ",
            "expected a whole number from 1 to 1000000",
        ),
        (
            ":10:15: site[0].names[1]: ",
            "expected a host without a port",
        ),
        (":13:10: site[0].route[0].origin: ", "did you mean \"app\"?"),
        (": 6 problems", ""),
    ];
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
    for (line, (begin, has)) in found.iter().zip(expected) {
        assert!(line.starts_with(begin), "{line}, not {begin}");
        assert!(line.contains(has), "{line}, without {has}");
    }
}

#[test]
fn files_that_a_configuration_names_are_read() {
    let place = Place::new();
    place.write("broken.pem", "not PEM");
    place.write("broken.wasm", "not a component");
    let config = place.write(
        "verge.toml",
        "listen.http = \"127.0.0.1:0\"\n\
         listen.https = \"127.0.0.1:0\"\n\
         [[certificate]]\n\
         cert = \"none.pem\"\n\
         key = \"broken.pem\"\n\
         [admin]\n\
         token_file = \"none-token\"\n\
         [function.broken]\n\
         component = \"broken.wasm\"\n\
         [function.none]\n\
         component = \"none.wasm\"\n\
         [secret.key]\n\
         file = \"none-secret\"\n\
         [origin.app]\n\
         addresses = [\"127.0.0.1:1\"]\n\
         tls = { ca = \"none-ca.pem\" }\n\
         [[site]]\n\
         names = [\"*\"]\n\
         [[site.route]]\n\
         path = \"/\"\n\
         static = { body = \"\" }\n",
    );
    let found = problems(&config).join("\n");
    for key in [
        ":4:1: certificate[0].cert: cannot read ",
        ":7:1: admin.token_file: cannot read ",
        ":9:1: function.broken.component: ",
        ":11:1: function.none.component: cannot read ",
        ":12:1: secret.key: cannot read ",
        ":16:9: origin.app.tls.ca: cannot read ",
        "broken.wasm` is not WebAssembly; expected a component built for wasm32-wasip2",
        ": 6 problems",
    ] {
        assert!(found.contains(key), "no {key} in:\n{found}");
    }
    // One line for each.
    assert_eq!(found.lines().count(), 7, "{found}");
}

#[test]
fn a_file_that_is_no_configuration_is_told_so() {
    let place = Place::new();
    let config = place.write("verge.toml", "[listen]\nhttp = \n");
    let found = problems(&config);
    assert!(found[0].starts_with(":2:8: "), "{found:?}");
    let missing = problems(&place.path("none.toml"));
    assert!(missing[0].contains("No such file"), "{missing:?}");
    assert_eq!(missing[1], ": 1 problem");
    let folder = problems(&place.path("."));
    assert_eq!(folder.len(), 2, "{folder:?}");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for arguments in [&[][..], &["check"], &["fly"], &["serve", "--file", "x"]] {
        let output = run(arguments, None);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(errors(&output).contains("Usage: verge"), "{arguments:?}");
    }
    let output = run(&["--version"], None);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"verge 0."));
}
