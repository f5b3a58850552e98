//! One guest for each behaviour, and a test for each guest.

use std::path::{Path, PathBuf};

/// All Rust sources below `folder`, but for this one.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !path.ends_with("hostile/coverage.rs")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_guest_has_an_end_to_end_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("e2e"), &mut files);
    sources(&root.join("process"), &mut files);
    // What tests of several files start, the kit names.
    files.push(root.join("src/guests.rs"));
    let tests: String = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let mut guests = 0;
    for entry in std::fs::read_dir(root.join("../functions/testing")).unwrap() {
        let entry = entry.unwrap();
        if !entry.path().join("Cargo.toml").is_file() {
            continue;
        }
        guests += 1;
        let name = entry.file_name().into_string().unwrap();
        assert!(
            tests.contains(&format!("\"{name}\"")),
            "no test in tests/e2e or tests/process names the guest `{name}`"
        );
    }
    assert!(guests >= 10, "the folder of guests was found: {guests}");
}
