//! Functions in JavaScript and Python, from `verge new` to an answer, with the compilers that
//! `cargo xtask languages` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::kit::binary;

/// The folder with a language's compiler.
fn programs(folder: &str) -> PathBuf {
    let languages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/target/languages");
    let programs = languages.join(folder);
    assert!(
        programs.is_dir(),
        "{} is missing: run `cargo xtask languages` first",
        programs.display()
    );
    programs.canonicalize().unwrap()
}

#[test]
fn templates_in_other_languages_pass_their_own_scenario() {
    for (language, folder) in [
        ("javascript", "npm/node_modules/.bin"),
        ("python", "python/bin"),
    ] {
        let place = TempDir::new().unwrap();
        let mut path = programs(folder).into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let verge = |arguments: &[&str]| {
            let mut command = Command::new(binary());
            let command = command.args(arguments).current_dir(place.path());
            let output = command.env("PATH", &path).output().unwrap();
            let (out, errors) = (
                output.stdout,
                String::from_utf8_lossy(&output.stderr).into_owned(),
            );
            let out = String::from_utf8_lossy(&out).into_owned();
            assert!(output.status.success(), "{language}\n{out}{errors}");
            out
        };
        verge(&["new", "made", "--language", language]);
        // A busy machine does not pass wide limits.
        let config = place.path().join("made/verge.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let wide = text.replace(
            "cpu = \"100ms\"\ndeadline = \"1s\"",
            "cpu = \"10s\"\ndeadline = \"15s\"",
        );
        assert_ne!(wide, text);
        std::fs::write(&config, wide).unwrap();
        let out = verge(&["test", "made"]);
        assert!(out.contains("1 passed, 0 failed"), "{out}");
    }
}
