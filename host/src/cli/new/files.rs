//! The files of each template, and what is filled in. The text itself stands
//! in `templates/`, as the files that it becomes.

use std::path::Path;

use super::{Language, Template};

/// One file: its path below the function's folder, and its content.
type File = (&'static str, String);

/// What is common to all functions in Rust.
const RUST: [(&str, &str); 4] = [
    (".gitignore", include_str!("templates/gitignore")),
    ("README.md", include_str!("templates/README.md")),
    ("Cargo.toml", include_str!("templates/rust/Cargo.toml")),
    (
        ".cargo/config.toml",
        include_str!("templates/rust/cargo-config.toml"),
    ),
];

/// What is common to all functions in other languages: the parts of the contract that their
/// world names.
const SCRIPT: [(&str, &str); 7] = [
    (".gitignore", include_str!("templates/gitignore")),
    ("README.md", include_str!("templates/script-README.md")),
    ("wit/world.wit", include_str!("templates/world.wit")),
    (
        "wit/deps/verge-edge/types.wit",
        include_str!("../../../../guest-sdk/wit/types.wit"),
    ),
    (
        "wit/deps/verge-edge/triggers.wit",
        include_str!("../../../../guest-sdk/wit/triggers.wit"),
    ),
    (
        "wit/deps/verge-edge/config.wit",
        include_str!("../../../../guest-sdk/wit/config.wit"),
    ),
    (
        "wit/deps/verge-edge/log.wit",
        include_str!("../../../../guest-sdk/wit/log.wit"),
    ),
];

/// What functions in other languages need: they bring an interpreter along.
const SCRIPT_LIMITS: &str = "memory = \"64MiB\"\ncpu = \"100ms\"\ndeadline = \"1s\"\n";

/// What differs between templates.
struct Parts {
    /// Its name on the command line.
    template: &'static str,
    /// One sentence for the README.
    what: &'static str,
    /// The key of a route that names the function; a handler is a route's target.
    key: &'static str,
    /// The function's settings in `verge.toml`.
    settings: &'static str,
    code: Code,
    configuration: &'static str,
    scenario: &'static str,
}

/// The function itself, in each language that the template has.
struct Code {
    rust: &'static str,
    scripts: Option<[&'static str; 2]>,
}

/// The code of a trigger, in Rust, JavaScript and Python.
macro_rules! trigger {
    ($name:literal) => {
        Code {
            rust: include_str!(concat!("templates/rust/", $name, ".rs")),
            scripts: Some([
                include_str!(concat!("templates/javascript/", $name, ".js")),
                include_str!(concat!("templates/python/", $name, ".py")),
            ]),
        }
    };
}

/// What a middleware imports.
const NEXT: &str = include_str!("../../../../functions/testing/middleware/wit/next.wit");

const TRIGGER: &str = include_str!("templates/verge-trigger.toml");

fn parts(template: Template) -> Parts {
    match template {
        Template::ViewerRequest => Parts {
            template: "viewer-request",
            what: "It runs for each request, before the cache is asked.",
            key: "viewer_request",
            settings: "config = { greeting = \"Hello\" }",
            code: trigger!("viewer-request"),
            configuration: TRIGGER,
            scenario: include_str!("templates/viewer-request.scenario.toml"),
        },
        Template::OriginRequest => Parts {
            template: "origin-request",
            what: "It runs for each request that goes to an origin.",
            key: "origin_request",
            settings: "config = { edge = \"north\" }",
            code: trigger!("origin-request"),
            configuration: TRIGGER,
            scenario: include_str!("templates/origin-request.scenario.toml"),
        },
        Template::OriginResponse => Parts {
            template: "origin-response",
            what: "It runs for each response of an origin, before it is stored.",
            key: "origin_response",
            settings: "config = { lifetime = \"60\" }",
            code: trigger!("origin-response"),
            configuration: TRIGGER,
            scenario: include_str!("templates/origin-response.scenario.toml"),
        },
        Template::ViewerResponse => Parts {
            template: "viewer-response",
            what: "It runs for each response before it is sent, cache hits too.",
            key: "viewer_response",
            settings: "config = { referrer-policy = \"no-referrer\" }",
            code: trigger!("viewer-response"),
            configuration: TRIGGER,
            scenario: include_str!("templates/viewer-response.scenario.toml"),
        },
        Template::Handler => Parts {
            template: "handler",
            what: "It is a standard `wasi:http` 0.2 component, and answers in place of an origin.",
            key: "",
            settings: "",
            code: Code {
                rust: include_str!("templates/rust/handler.rs"),
                scripts: None,
            },
            configuration: include_str!("templates/verge-handler.toml"),
            scenario: include_str!("templates/handler.scenario.toml"),
        },
        Template::Middleware => Parts {
            template: "middleware",
            what: "It is a standard `wasi:http` 0.3 component around the cache: it sees each request and each \
                   response. As `origin_middleware` it runs around the origin, and what it makes is stored.",
            key: "viewer_middleware",
            settings: "",
            code: Code {
                rust: include_str!("templates/rust/middleware.rs"),
                scripts: None,
            },
            configuration: TRIGGER,
            scenario: include_str!("templates/middleware.scenario.toml"),
        },
    }
}

/// The files of a function `name` that begins as `template`, with the SDK at `sdk`.
pub(super) fn of(
    template: Template,
    language: Language,
    name: &str,
    sdk: Option<&Path>,
) -> Vec<File> {
    let parts = parts(template);
    let [javascript, python] = parts.code.scripts.unwrap_or_default();
    let mut files: Vec<(&str, &str)> = match language {
        Language::Rust => RUST.to_vec(),
        Language::Javascript | Language::Python => SCRIPT.to_vec(),
    };
    match language {
        Language::Rust => {
            files.push(("src/lib.rs", parts.code.rust));
            if template == Template::Middleware {
                files.push(("wit/next.wit", NEXT));
            }
        }
        Language::Javascript => {
            files.push(("function.js", javascript));
            files.push((
                "package.json",
                include_str!("templates/javascript/package.json"),
            ));
        }
        Language::Python => files.push(("app.py", python)),
    }
    files.push(("verge.toml", parts.configuration));
    files.push(("scenarios/first.toml", parts.scenario));
    let (word, install, limits) = match language {
        Language::Rust => ("rust", "", ""),
        Language::Javascript => (
            "javascript",
            "npm install     # what builds it",
            SCRIPT_LIMITS,
        ),
        Language::Python => (
            "python",
            "pip install componentize-py     # what builds it, once",
            SCRIPT_LIMITS,
        ),
    };
    let values = [
        ("{{name}}", name.to_owned()),
        ("{{file}}", name.replace('-', "_")),
        ("{{template}}", parts.template.to_owned()),
        ("{{what}}", parts.what.to_owned()),
        ("{{key}}", parts.key.to_owned()),
        ("{{settings}}", format!("{limits}{}", parts.settings)),
        ("{{dependencies}}", dependencies(template, sdk)),
        ("{{language}}", word.to_owned()),
        ("{{install}}", install.to_owned()),
    ];
    let fill = |text: &str| {
        let mut filled = text.to_owned();
        for (key, value) in &values {
            filled = filled.replace(key, value);
        }
        filled
    };
    let filled = files.into_iter().map(|(file, text)| (file, fill(text)));
    filled.collect()
}

fn dependencies(template: Template, sdk: Option<&Path>) -> String {
    match (template, sdk) {
        (Template::Middleware, _) => "# wasi:http 0.3.\n\
             [target.'cfg(target_arch = \"wasm32\")'.dependencies]\n\
             wasip3 = { version = \"0.10\", features = [\"async-spawn\", \"wit-bindgen-macros\"] }"
            .to_owned(),
        (Template::Handler, _) | (_, None) => "# wasi:http 0.2 as std itself uses it.\n\
             [target.'cfg(target_arch = \"wasm32\")'.dependencies]\nwasip2 = \"2\""
            .to_owned(),
        (_, Some(sdk)) => format!(
            "[dependencies]\nverge-sdk = {{ path = {:?} }}",
            sdk.display().to_string()
        ),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use verge_config::{Config, Scenario};

    use super::*;

    fn all() -> Vec<(Template, Vec<File>)> {
        let mut all = Vec::new();
        for template in Template::value_variants() {
            for language in Language::value_variants() {
                let files = of(*template, *language, "my-function", Some(Path::new("/sdk")));
                all.push((*template, files));
            }
        }
        all
    }

    #[test]
    fn every_template_is_filled_in() {
        for (template, files) in all() {
            for (file, text) in files {
                let is_code = file == "function.js" || file == "app.py";
                assert!(!text.contains("{{"), "{file} of {template:?}");
                let is_whole = text.ends_with('\n') || (is_code && template.is_standard());
                assert!(is_whole, "{file} of {template:?}");
            }
        }
    }

    #[test]
    fn every_configuration_and_scenario_of_a_template_is_valid() {
        for (template, files) in all() {
            let text = |wanted: &str| {
                let mut files = files.iter();
                let found = files.find(|(file, _)| *file == wanted);
                found.expect("each has one").1.clone()
            };
            let read = Config::from_toml(&text("verge.toml"), Path::new("verge.toml"));
            assert!(read.is_ok(), "{template:?}: {:?}", read.err());
            let read = Scenario::from_toml(&text("scenarios/first.toml"), Path::new("first.toml"));
            assert!(read.is_ok(), "{template:?}: {:?}", read.err());
        }
    }
}
