//! Functions in JavaScript and Python: their componentizers build them, if
//! they are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use verge_runtime::Digest;
use verge_toolchain::{TARGET, packages};

use super::cargo::Children;
use super::{Artifact, BuildError};

/// The world in the function's folder `wit` that it is built for.
const WORLD: &str = "function";

/// A language whose functions a componentizer builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Script {
    /// `function.js`, with `componentize-js`.
    JavaScript,
    /// `app.py`, with `componentize-py`.
    Python,
}

impl Script {
    /// The language of the function in `folder`, if it is one of these.
    pub(in crate::cli) fn in_folder(folder: &Path) -> Option<Self> {
        [Self::JavaScript, Self::Python]
            .into_iter()
            .find(|script| folder.join(script.source()).is_file())
    }

    const fn source(self) -> &'static str {
        match self {
            Self::JavaScript => "function.js",
            Self::Python => "app.py",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::JavaScript => "componentize-js",
            Self::Python => "componentize-py",
        }
    }

    /// What helps when the componentizer is not installed.
    pub(in crate::cli) const fn remedy(self) -> &'static str {
        match self {
            Self::JavaScript => {
                "`componentize-js` is not installed: run `npm install` in the function's folder, or `npm install --global @bytecodealliance/componentize-js`"
            }
            Self::Python => {
                "`componentize-py` is not installed: run `pip install componentize-py`, in a virtual environment that is active"
            }
        }
    }

    /// The componentizer: npm's of the folder or one above it, or the one on the path.
    pub(in crate::cli) fn find(self, folder: &Path) -> Option<PathBuf> {
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let of_npm = absolute
            .ancestors()
            .map(|above| above.join("node_modules/.bin").join(self.program()))
            .find(|program| program.is_file());
        of_npm.or_else(|| packages::find_program(self.program()))
    }
}

/// Builds the function in `folder`.
pub(super) fn build(
    folder: &Path,
    script: Script,
    children: &Children,
) -> Result<Artifact, BuildError> {
    let problem = |text: String| BuildError::NotBegun(text);
    let program = script
        .find(folder)
        .ok_or_else(|| problem(script.remedy().to_owned()))?;
    let folder = folder
        .canonicalize()
        .map_err(|error| problem(format!("`{}`: {error}", folder.display())))?;
    let name = folder.file_name().unwrap_or_default();
    let name = name.to_string_lossy().replace('-', "_");
    let output = folder.join("target").join(TARGET).join("release");
    std::fs::create_dir_all(&output)
        .map_err(|error| problem(format!("`{}`: {error}", output.display())))?;
    let component = output.join(format!("{name}.wasm"));
    let mut command = Command::new(program);
    command.current_dir(&folder);
    match script {
        Script::JavaScript => {
            command.args(["function.js", "--wit", "wit", "--world-name", WORLD]);
            // They are a standard handler's; to a function, requests come through its trigger.
            if !names_http(&folder.join("wit")) {
                command.args(["--disable", "http", "--disable", "fetch-event"]);
            }
            command.arg("--out")
        }
        Script::Python => command.args(["--wit-path", "wit", "--world", WORLD]).args([
            "componentize",
            "app",
            "--output",
        ]),
    };
    command.arg(&component);
    // What they say of success is said again, with the size.
    let code = children.run(&mut command, |_| {})?;
    if code != 0 {
        return Err(BuildError::Failed { code });
    }
    let bytes = std::fs::read(&component)
        .map_err(|error| problem(format!("`{}`: {error}", component.display())))?;
    Ok(Artifact {
        name,
        bytes: bytes.len() as u64,
        digest: Digest::of(&bytes),
        component,
    })
}

/// Whether a world in the folder `wit` names `wasi:http`: then the engine's own `fetch` and `fetch`
/// events are built in.
fn names_http(wit: &Path) -> bool {
    let Ok(entries) = wit.read_dir() else {
        return false;
    };
    let mut files = entries.flatten().map(|entry| entry.path());
    files.any(|file| {
        let is_wit = file.extension().is_some_and(|extension| extension == "wit");
        // What cannot be read, the componentizer refuses.
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut code = text.lines().filter_map(|line| line.split("//").next());
        is_wit && code.any(|code| code.contains("wasi:http/"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_tells_the_language() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Script::in_folder(folder.path()), None);
        std::fs::write(folder.path().join("app.py"), "").unwrap();
        assert_eq!(Script::in_folder(folder.path()), Some(Script::Python));
    }

    #[test]
    fn the_world_tells_whether_the_engine_speaks_http() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!names_http(folder.path()));
        assert!(!names_http(&folder.path().join("wit")));
        let world = folder.path().join("world.wit");
        std::fs::write(&world, "world w {\n    // not wasi:http/types\n}\n").unwrap();
        assert!(!names_http(folder.path()));
        let text = "world w {\n    export wasi:http/incoming-handler@0.2.10;\n}\n";
        std::fs::write(folder.path().join("notes.txt"), text).unwrap();
        assert!(!names_http(folder.path()));
        std::fs::write(&world, text).unwrap();
        assert!(names_http(folder.path()));
    }

    #[test]
    fn the_componentizer_of_npm_is_found_above_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("functions/one");
        let programs = place.path().join("node_modules/.bin");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&programs).unwrap();
        let program = programs.join("componentize-js");
        std::fs::write(&program, "").unwrap();
        assert_eq!(Script::JavaScript.find(&folder), Some(program));
    }
}
