//! Debian packages: what is missing is installed, with its name said first.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{Outcome, note, output_of, run_quietly};

/// Where a program is: on the path, or where Debian keeps those of the administrator.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    find_in(name, folders)
}

fn find_in(name: &str, mut folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
}

/// Whether packages can be installed at all.
#[must_use]
pub fn can_install() -> bool {
    find_program("apt-get").is_some() && (is_root() || find_program("sudo").is_some())
}

/// Installs packages; the package lists are fetched once if the first try fails.
///
/// # Errors
/// `apt-get` failed, with its last lines.
pub fn install(packages: &[&str]) -> Outcome {
    note(&format!(
        "installing Debian packages: {}",
        packages.join(", ")
    ));
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    run_quietly(&mut apt_get(&arguments)).or_else(|_| {
        note("fetching the package lists first");
        run_quietly(&mut apt_get(&["update"]))?;
        run_quietly(&mut apt_get(&arguments))
    })
}

/// Makes sure that programs are there; each is a program and the package that has it.
///
/// # Errors
/// Some are missing and cannot be installed.
pub fn ensure(programs: &[(&str, &'static str)]) -> Outcome {
    let missing = missing(programs, |name| find_program(name).is_some());
    if missing.is_empty() {
        return Ok(());
    }
    if !can_install() {
        return Err(cannot_install(&missing));
    }
    install(&missing).map_err(|error| format!("{error}\n{}", cannot_install(&missing)))
}

fn missing(
    programs: &[(&str, &'static str)],
    is_there: impl Fn(&str) -> bool,
) -> Vec<&'static str> {
    programs
        .iter()
        .filter(|(name, _)| !is_there(name))
        .map(|(_, package)| *package)
        .collect()
}

fn cannot_install(packages: &[&str]) -> String {
    format!(
        "install these packages and run the command again: {}",
        packages.join(" ")
    )
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        // Without a terminal question: a prompt would wait for ever in a pipeline.
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments);
    command
}

fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).as_deref() == Some("0")
}

/// Whether a file of the system exists.
pub(crate) fn has_file(path: &str) -> bool {
    Path::new(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path_in_order() {
        let folders = || ["/nowhere".into(), "/bin".into(), "/usr/bin".into()].into_iter();
        assert_eq!(find_in("sh", folders()), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_in("no-such-program", folders()), None);
    }

    #[test]
    fn only_packages_of_missing_programs_are_installed() {
        let programs = [("nginx", "nginx-light"), ("wrk", "wrk")];
        assert_eq!(missing(&programs, |name| name == "wrk"), ["nginx-light"]);
        assert!(missing(&programs, |_| true).is_empty());
        assert!(cannot_install(&["wrk"]).ends_with(": wrk"));
    }
}
