//! `verge new`: a function's folder, complete: it builds, its tests pass, and
//! it runs, wherever it stands.

mod files;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use verge_toolchain::packages;

use super::build::Script;

/// Where the SDK of this build of `verge` stood.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk");

#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// The folder to make; its last part is the function's name.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// Where in the request path the function runs.
    #[arg(long, short, value_enum, default_value_t = Template::ViewerRequest)]
    template: Template,
    /// What it is written in.
    #[arg(long, short, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// The folder `guest-sdk` of Verge's repository, if it is not where this program was built.
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

/// What a function can begin as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Template {
    /// Runs for each request, before the cache is asked.
    ViewerRequest,
    /// Runs for each request that goes to an origin.
    OriginRequest,
    /// Runs for each response of an origin, before it is stored.
    OriginResponse,
    /// Runs for each response before it is sent, cache hits too.
    ViewerResponse,
    /// A standard `wasi:http` 0.2 component that answers in place of an origin.
    Handler,
    /// A standard `wasi:http` 0.3 component around the cache, or around an origin.
    Middleware,
}

impl Template {
    /// Whether it is a standard component, which needs no SDK.
    pub(super) fn is_standard(self) -> bool {
        matches!(self, Self::Handler | Self::Middleware)
    }
}

/// What a function can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Built by cargo, with the SDK.
    Rust,
    /// Built by `componentize-js`, which npm installs.
    Javascript,
    /// Built by `componentize-py`, which pip installs.
    Python,
}

/// Makes the folder that `arguments` name.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
pub(super) fn new(arguments: &NewArguments) -> ExitCode {
    match make(arguments) {
        Ok(name) => {
            let folder = arguments.folder.display();
            println!("{name} is in {folder}. Next:\n");
            println!("    cd {folder}");
            match arguments.language {
                Language::Rust => println!("    cargo test     the function by itself, natively"),
                Language::Javascript => println!("    npm install    what builds it"),
                Language::Python => {}
            }
            println!("    verge test     its scenarios, in a real node");
            println!("    verge dev      serves it, and rebuilds it when a file is saved");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &NewArguments) -> Result<String, String> {
    let folder = &arguments.folder;
    let name = name_of(folder)?;
    let is_taken = folder
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
        || folder.is_file();
    if is_taken {
        return Err(format!("`{}` is there already", folder.display()));
    }
    let sdk = match (arguments.template, arguments.language, &arguments.sdk) {
        (template, _, None) if template.is_standard() => None,
        (_, Language::Javascript | Language::Python, _) => None,
        (_, Language::Rust, sdk) => Some(sdk_folder(sdk.as_deref())?),
    };
    let (template, language) = (arguments.template, arguments.language);
    let files = files::of(template, language, &name, sdk.as_deref());
    let files = files.ok_or(NO_MIDDLEWARE)?;
    check_tools(arguments)?;
    for (file, content) in files {
        write(&folder.join(file), &content)?;
    }
    Ok(name)
}

/// Why the one pair that is missing is, and what there is instead.
const NO_MIDDLEWARE: &str = "the template `middleware` is not there in JavaScript: `wasi:http` 0.3 needs asynchronous \
     imports and exports, which `componentize-js` does not build; choose `--language rust` or `--language python`, or \
     the triggers `viewer-request` and `viewer-response`";

/// What builds functions in other languages has to be there, or be had with npm.
fn check_tools(arguments: &NewArguments) -> Result<(), String> {
    let (script, installer) = match arguments.language {
        Language::Rust => return Ok(()),
        Language::Javascript => (Script::JavaScript, Some("npm")),
        Language::Python => (Script::Python, None),
    };
    let above = arguments.folder.parent().unwrap_or(Path::new(""));
    let is_there = script.find(above).is_some()
        || installer.is_some_and(|installer| packages::find_program(installer).is_some());
    match (is_there, script) {
        (true, _) => Ok(()),
        (false, Script::JavaScript) => Err(
            "neither `componentize-js` nor `npm` is installed: install Node.js, which has npm"
                .to_owned(),
        ),
        (false, Script::Python) => Err(script.remedy().to_owned()),
    }
}

/// The function's name: the folder's, if it is a name for a package and for a function.
fn name_of(folder: &Path) -> Result<String, String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.ends_with('-')
        && !RESERVED.contains(&&*name);
    if is_name {
        return Ok(name.into_owned());
    }
    Err(format!(
        "`{name}` is not a name for a function; expected lower-case letters, digits and `-`, a letter first, such as `greeter`"
    ))
}

/// Names that cargo or the compiler keep for themselves.
const RESERVED: [&str; 8] = [
    "test", "core", "std", "alloc", "self", "super", "crate", "build",
];

fn sdk_folder(named: Option<&Path>) -> Result<PathBuf, String> {
    let is_default = named.is_none();
    let folder = named.unwrap_or(Path::new(SDK));
    if let Ok(found) = folder.canonicalize()
        && found.join("wit/world.wit").is_file()
        && found.join("Cargo.toml").is_file()
    {
        return Ok(found);
    }
    Err(if is_default {
        format!(
            "the SDK is not where this program was built (`{SDK}`); name it with `--sdk PATH`: the folder `guest-sdk` of Verge's repository"
        )
    } else {
        format!(
            "`{}` is not the SDK; expected the folder `guest-sdk` of Verge's repository",
            folder.display()
        )
    })
}

fn write(file: &Path, content: &str) -> Result<(), String> {
    let made = match file.parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    };
    made.and_then(|()| std::fs::write(file, content))
        .map_err(|error| format!("`{}` cannot be written: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_folder_is_the_name() {
        assert_eq!(name_of(Path::new("a/b/greeter-2")), Ok("greeter-2".into()));
        for refused in ["Greeter", "2fast", "a_b", "a-", "..", "", "core", "a b"] {
            assert!(name_of(Path::new(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_folder_with_files_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("greeter");
        let arguments = NewArguments {
            folder: folder.clone(),
            template: Template::ViewerRequest,
            language: Language::Rust,
            sdk: None,
        };
        assert_eq!(make(&arguments), Ok("greeter".to_owned()));
        assert!(folder.join("src/lib.rs").is_file());
        assert!(make(&arguments).unwrap_err().ends_with("is there already"));
    }

    #[test]
    fn a_template_that_a_language_lacks_says_what_there_is_instead() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("greeter");
        let refused = make(&NewArguments {
            folder: folder.clone(),
            template: Template::Middleware,
            language: Language::Javascript,
            sdk: None,
        });
        let refused = refused.unwrap_err();
        assert!(refused.contains("asynchronous"), "{refused}");
        assert!(refused.contains("--language python"), "{refused}");
        assert!(!folder.exists());
    }

    #[test]
    fn what_is_no_sdk_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let refused = sdk_folder(Some(place.path())).unwrap_err();
        assert!(refused.contains("is not the SDK"), "{refused}");
        assert!(sdk_folder(None).is_ok());
    }
}
