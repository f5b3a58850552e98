//! The guest toolchain: the one target `wasm32-wasip2`, and the two ways to it.
//! What is already there is taken first; then rustup is asked to download the
//! target; where it cannot, Debian's own compiler and its sources build `std`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::steps::{Outcome, note, output_of, run_quietly};

/// The one target of functions.
pub const TARGET: &str = "wasm32-wasip2";

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "wasi-libc"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

/// A way to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The toolchain in use has the target.
    Rustup,
    /// Debian's compiler builds `std` for the target from Debian's sources.
    Debian,
}

/// What a machine has, and what it may be able to get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Probe {
    /// The toolchain in use has the target.
    target_is_there: bool,
    /// Debian's compiler, sources and libc are there.
    debian_is_there: bool,
    /// There is a rustup that may download the target.
    has_rustup: bool,
    /// Debian's packages can be installed.
    can_install: bool,
}

/// One thing to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// Nothing is to be installed.
    Use(Toolchain),
    /// `rustup target add`.
    AddTarget,
    /// `apt-get install`.
    InstallPackages,
}

impl Probe {
    fn of_this_machine() -> Self {
        let sources = [DEBIAN_RUSTC, DEBIAN_SOURCES, DEBIAN_LIBC];
        Self {
            target_is_there: sysroot()
                .is_some_and(|root| root.join("lib/rustlib").join(TARGET).exists()),
            debian_is_there: sources.into_iter().all(packages::has_file),
            has_rustup: packages::find_program("rustup").is_some(),
            can_install: packages::can_install(),
        }
    }
}

/// What to try, in order. Nothing is downloaded while something that is there will do.
fn select_attempts(probe: Probe, wanted: Option<Toolchain>) -> Vec<Attempt> {
    let wants = |toolchain| wanted.is_none_or(|wanted| wanted == toolchain);
    let there = [
        (Toolchain::Rustup, probe.target_is_there),
        (Toolchain::Debian, probe.debian_is_there),
    ];
    if let Some((toolchain, _)) = there
        .into_iter()
        .find(|(each, there)| *there && wants(*each))
    {
        return vec![Attempt::Use(toolchain)];
    }
    let mut attempts = Vec::new();
    if probe.has_rustup && wants(Toolchain::Rustup) {
        attempts.push(Attempt::AddTarget);
    }
    if probe.can_install && wants(Toolchain::Debian) {
        attempts.push(Attempt::InstallPackages);
    }
    attempts
}

impl Toolchain {
    /// Reads the value of `--toolchain`.
    ///
    /// # Errors
    /// There is no toolchain of that name.
    pub fn from_name(name: &str) -> Outcome<Self> {
        match name {
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            other => Err(format!(
                "there is no toolchain `{other}`; there are `rustup` and `debian`"
            )),
        }
    }

    /// The toolchain that is there; nothing is installed.
    ///
    /// # Errors
    /// There is none; the text names what helps.
    pub fn find() -> Outcome<Self> {
        let attempts = select_attempts(Probe::of_this_machine(), None);
        match attempts.first() {
            Some(Attempt::Use(toolchain)) => Ok(*toolchain),
            Some(Attempt::AddTarget | Attempt::InstallPackages) | None => Err(no_toolchain(&[])),
        }
    }

    /// Makes sure that there is a toolchain, and says in one line which.
    ///
    /// # Errors
    /// There is none and none can be installed; the text names what was tried.
    pub fn ensure(wanted: Option<Self>) -> Outcome<Self> {
        let mut refused = Vec::new();
        for attempt in select_attempts(Probe::of_this_machine(), wanted) {
            match attempt.run() {
                Ok(toolchain) => {
                    note(toolchain.describe());
                    return Ok(toolchain);
                }
                Err(error) => refused.push(error),
            }
        }
        Err(no_toolchain(&refused))
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Rustup => "guest toolchain: the target wasm32-wasip2 of rustup's toolchain",
            Self::Debian => "guest toolchain: Debian's rustc-web, with std built from its sources",
        }
    }

    /// Adds to a `cargo build` of functions what this toolchain needs; the profile is the caller's.
    ///
    /// # Errors
    /// The toolchain in use lacks a part.
    pub fn apply(self, cargo: &mut Command) -> Outcome {
        cargo.args(["--target", TARGET]);
        match self {
            Self::Rustup => Ok(()),
            Self::Debian => {
                let sysroot = sysroot().ok_or("`rustc --print sysroot` failed")?;
                apply_debian(cargo, &sysroot, env::var_os("PATH").unwrap_or_default())
            }
        }
    }
}

impl Attempt {
    fn run(self) -> Outcome<Toolchain> {
        match self {
            Self::Use(toolchain) => Ok(toolchain),
            Self::AddTarget => {
                note("asking rustup for the target wasm32-wasip2");
                run_quietly(Command::new("rustup").args(["target", "add", TARGET]))?;
                Ok(Toolchain::Rustup)
            }
            Self::InstallPackages => {
                packages::install(&DEBIAN_PACKAGES)?;
                Ok(Toolchain::Debian)
            }
        }
    }
}

fn no_toolchain(refused: &[String]) -> String {
    let mut message = format!(
        "there is no way to build functions for {TARGET}. One of these is needed:\n  \
         rustup target add {TARGET}\n  \
         apt-get install {}   (Debian, as root)",
        DEBIAN_PACKAGES.join(" ")
    );
    for error in refused {
        message.push_str("\n\n");
        message.push_str(error);
    }
    message
}

/// The folder of the toolchain in use.
fn sysroot() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output_of(Command::new(rustc).args(["--print", "sysroot"])).map(PathBuf::from)
}

/// Compiler and sources have to be the pair: both are Debian's. The linker and what turns
/// its output into a component are those of the toolchain in use, whose cargo will do too:
/// `RUSTC_BOOTSTRAP` unlocks `-Z`.
fn apply_debian(cargo: &mut Command, sysroot: &Path, path: OsString) -> Outcome {
    let tools = sysroot.join("lib/rustlib").join(host_triple()?).join("bin");
    let linker = tools.join("wasm-component-ld");
    if !linker.exists() {
        return Err(format!(
            "the Rust toolchain has no wasm-component-ld; `rustup update` brings one ({})",
            linker.display()
        ));
    }
    let folders = [tools.join("gcc-ld"), tools]
        .into_iter()
        .chain(env::split_paths(&path));
    let path = env::join_paths(folders).map_err(|error| format!("PATH cannot be set: {error}"))?;
    // No crt1: functions are libraries, and their start is not `main`.
    let flags = format!("-C link-self-contained=no -L {DEBIAN_LIBC} -C link-arg=-lc");
    cargo
        .arg("-Zbuild-std=std,panic_abort")
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PATH", path)
        .env("CARGO_TARGET_WASM32_WASIP2_LINKER", linker)
        .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", flags)
        // The libraries of the toolchain in use are not those of Debian's compiler.
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTFLAGS");
    Ok(())
}

/// The triple of this machine, as the toolchain in use names it.
fn host_triple() -> Outcome<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = output_of(Command::new(rustc).arg("-vV")).unwrap_or_default();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Probe = Probe {
        target_is_there: false,
        debian_is_there: false,
        has_rustup: false,
        can_install: false,
    };

    #[test]
    fn what_is_there_is_taken_before_anything_is_downloaded() {
        use Attempt::{AddTarget, InstallPackages, Use};
        use Toolchain::{Debian, Rustup};
        let able = Probe {
            has_rustup: true,
            can_install: true,
            ..NOTHING
        };
        for (probe, expected) in [
            (
                Probe {
                    target_is_there: true,
                    debian_is_there: true,
                    ..able
                },
                vec![Use(Rustup)],
            ),
            (
                Probe {
                    target_is_there: true,
                    ..NOTHING
                },
                vec![Use(Rustup)],
            ),
            (
                Probe {
                    debian_is_there: true,
                    ..able
                },
                vec![Use(Debian)],
            ),
            (able, vec![AddTarget, InstallPackages]),
            (
                Probe {
                    can_install: false,
                    ..able
                },
                vec![AddTarget],
            ),
            (
                Probe {
                    has_rustup: false,
                    ..able
                },
                vec![InstallPackages],
            ),
            (NOTHING, vec![]),
        ] {
            assert_eq!(select_attempts(probe, None), expected, "{probe:?}");
        }
    }

    #[test]
    fn a_wanted_toolchain_is_the_only_one_tried() {
        use Toolchain::{Debian, Rustup};
        let all = Probe {
            target_is_there: true,
            debian_is_there: true,
            has_rustup: true,
            can_install: true,
        };
        assert_eq!(select_attempts(all, Some(Debian)), [Attempt::Use(Debian)]);
        let without = Probe {
            debian_is_there: false,
            ..all
        };
        assert_eq!(
            select_attempts(without, Some(Debian)),
            [Attempt::InstallPackages]
        );
        let without = Probe {
            target_is_there: false,
            ..all
        };
        assert_eq!(select_attempts(without, Some(Rustup)), [Attempt::AddTarget]);
    }

    #[test]
    fn no_toolchain_names_both_remedies_and_what_was_tried() {
        let message = no_toolchain(&["`rustup target add` failed".to_owned()]);
        assert!(message.contains("rustup target add wasm32-wasip2"));
        assert!(message.contains("apt-get install rustc-web rust-web-src wasi-libc"));
        assert!(message.ends_with("`rustup target add` failed"));
    }

    #[test]
    fn toolchains_have_names() {
        assert_eq!(Toolchain::from_name("debian"), Ok(Toolchain::Debian));
        assert!(
            Toolchain::from_name("other")
                .unwrap_err()
                .contains("`rustup`")
        );
    }

    #[test]
    fn debian_without_a_component_linker_is_refused() {
        let refused = apply_debian(
            &mut Command::new("cargo"),
            Path::new("/nowhere"),
            OsString::new(),
        );
        assert!(refused.unwrap_err().contains("wasm-component-ld"));
    }
}
