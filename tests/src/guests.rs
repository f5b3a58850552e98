//! The sample functions and the hostile guests, built from source by
//! `cargo xtask setup`.

use std::path::PathBuf;

/// The component of the function `name`, such as `router` or `spins`.
///
/// # Panics
/// When it was not built: a test that needs a guest is never skipped.
pub fn component(name: &str) -> PathBuf {
    let file = format!("{}.wasm", name.replace('-', "_"));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../functions/target/wasm32-wasip2/release")
        .join(file);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask setup` first",
        path.display()
    );
    path.canonicalize().unwrap()
}

/// The component `tells-version` as version `name`, with words behind it that change what it does.
///
/// # Panics
/// When the name does not fit, or the component has no place for it.
pub fn version(name: &str) -> Vec<u8> {
    const HEAD: &[u8] = b"tells-version:";
    const PLACE: usize = 64;
    let mut bytes = std::fs::read(component("tells-version")).unwrap();
    let text = [HEAD, name.as_bytes(), b";"].concat();
    assert!(text.len() <= PLACE, "{name} is too long");
    let places: Vec<usize> = (0..bytes.len() - PLACE)
        .filter(|at| bytes[*at..].starts_with(&[HEAD, b"one;"].concat()))
        .collect();
    let [at] = places[..] else {
        panic!("the version stands at {places:?}");
    };
    bytes[at..at + text.len()].copy_from_slice(&text);
    bytes
}

/// The component of the sample function in `rust`, built by `cargo xtask setup`, or in `javascript`,
/// `python` or `go`, built by `cargo xtask languages`.
///
/// # Panics
/// When it was not built.
pub fn language(name: &str) -> PathBuf {
    if name == "rust" {
        return component("languages-rust");
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../functions/target/languages")
        .join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask languages` first",
        path.display()
    );
    path.canonicalize().unwrap()
}

/// Time limits so wide that a busy machine does not pass them: for tests of what functions do.
pub const WIDE_LIMITS: &str = "cpu = \"10s\"\ndeadline = \"15s\"\n";

/// `[function.NAME]` with the component of `guest`, wide time limits and these further keys.
pub fn function(name: &str, guest: &str, keys: &str) -> String {
    function_with_limits(name, guest, &format!("{WIDE_LIMITS}{keys}"))
}

/// The same, with default limits unless `keys` has others.
pub fn function_with_limits(name: &str, guest: &str, keys: &str) -> String {
    let component = component(guest);
    format!(
        "[function.{name}]\ncomponent = \"{}\"\n{keys}\n",
        component.display()
    )
}

/// `[runtime]` with few instances, and with compiled code that all tests of a checkout share.
pub fn runtime() -> String {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    let code = target.canonicalize().unwrap_or(target).join("test-code");
    format!(
        "[runtime]\ninstances = 16\ncache_dir = \"{}\"\n",
        code.display()
    )
}
