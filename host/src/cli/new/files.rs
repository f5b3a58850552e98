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

/// What is common to all functions in other languages.
const SCRIPT: [(&str, &str); 2] = [
    (".gitignore", include_str!("templates/gitignore")),
    ("README.md", include_str!("templates/script-README.md")),
];

/// The world of a trigger, and the parts of the contract that it names.
const TRIGGER_WIT: [(&str, &str); 5] = [
    ("wit/world.wit", include_str!("templates/wit/trigger.wit")),
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

/// The world of a handler. The version is that of the engine which `componentize-js` brings along.
const HANDLER_WIT: [(&str, &str); 4] = [
    ("wit/world.wit", include_str!("templates/wit/handler.wit")),
    (
        "wit/deps/wasi-http/http.wit",
        include_str!("templates/wit/0.2/http.wit"),
    ),
    (
        "wit/deps/wasi-io/io.wit",
        include_str!("templates/wit/0.2/io.wit"),
    ),
    (
        "wit/deps/wasi-clocks/clocks.wit",
        include_str!("templates/wit/0.2/clocks.wit"),
    ),
];

/// The world of a middleware.
const MIDDLEWARE_WIT: [(&str, &str); 3] = [
    (
        "wit/world.wit",
        include_str!("templates/wit/middleware.wit"),
    ),
    (
        "wit/deps/wasi-http/http.wit",
        include_str!("templates/wit/0.3/http.wit"),
    ),
    (
        "wit/deps/wasi-clocks/clocks.wit",
        include_str!("templates/wit/0.3/clocks.wit"),
    ),
];

/// What functions in other languages need: they bring an interpreter along.
const SCRIPT_LIMITS: &str = "memory = \"64MiB\"\ncpu = \"100ms\"\ndeadline = \"1s\"";

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
    javascript: Option<&'static str>,
    python: Option<&'static str>,
}

/// The code of a template that is there in all languages.
macro_rules! in_all {
    ($name:literal) => {
        Code {
            rust: include_str!(concat!("templates/rust/", $name, ".rs")),
            javascript: Some(include_str!(concat!("templates/javascript/", $name, ".js"))),
            python: Some(include_str!(concat!("templates/python/", $name, ".py"))),
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
            code: in_all!("viewer-request"),
            configuration: TRIGGER,
            scenario: include_str!("templates/viewer-request.scenario.toml"),
        },
        Template::OriginRequest => Parts {
            template: "origin-request",
            what: "It runs for each request that goes to an origin.",
            key: "origin_request",
            settings: "config = { edge = \"north\" }",
            code: in_all!("origin-request"),
            configuration: TRIGGER,
            scenario: include_str!("templates/origin-request.scenario.toml"),
        },
        Template::OriginResponse => Parts {
            template: "origin-response",
            what: "It runs for each response of an origin, before it is stored.",
            key: "origin_response",
            settings: "config = { lifetime = \"60\" }",
            code: in_all!("origin-response"),
            configuration: TRIGGER,
            scenario: include_str!("templates/origin-response.scenario.toml"),
        },
        Template::ViewerResponse => Parts {
            template: "viewer-response",
            what: "It runs for each response before it is sent, cache hits too.",
            key: "viewer_response",
            settings: "config = { referrer-policy = \"no-referrer\" }",
            code: in_all!("viewer-response"),
            configuration: TRIGGER,
            scenario: include_str!("templates/viewer-response.scenario.toml"),
        },
        Template::Handler => Parts {
            template: "handler",
            what: "It is a standard `wasi:http` 0.2 component, and answers in place of an origin.",
            key: "",
            settings: "",
            code: in_all!("handler"),
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
                javascript: None,
                python: Some(include_str!("templates/python/middleware.py")),
            },
            configuration: TRIGGER,
            scenario: include_str!("templates/middleware.scenario.toml"),
        },
    }
}

/// The files of a function `name` that begins as `template`, with the SDK at `sdk`; `None` when
/// the template is not there in that language.
pub(super) fn of(
    template: Template,
    language: Language,
    name: &str,
    sdk: Option<&Path>,
) -> Option<Vec<File>> {
    let parts = parts(template);
    let mut files = sources(template, language, parts.code)?;
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
    let contract = if template.is_standard() {
        "the interfaces of the standard"
    } else {
        "the contract of Verge"
    };
    let values = [
        ("{{name}}", name.to_owned()),
        ("{{file}}", name.replace('-', "_")),
        ("{{template}}", parts.template.to_owned()),
        ("{{what}}", parts.what.to_owned()),
        ("{{key}}", parts.key.to_owned()),
        ("{{settings}}\n", lines(&[limits, parts.settings])),
        ("{{dependencies}}", dependencies(template, sdk)),
        ("{{language}}", word.to_owned()),
        ("{{install}}", install.to_owned()),
        ("{{contract}}", contract.to_owned()),
    ];
    let fill = |text: &str| {
        let mut filled = text.to_owned();
        for (key, value) in &values {
            filled = filled.replace(key, value);
        }
        filled
    };
    let filled = files.into_iter().map(|(file, text)| (file, fill(text)));
    Some(filled.collect())
}

/// What it is built from: what is common to a language, the code, and what that is built for.
fn sources(
    template: Template,
    language: Language,
    code: Code,
) -> Option<Vec<(&'static str, &'static str)>> {
    let mut files: Vec<_> = match language {
        Language::Rust => {
            let next = (template == Template::Middleware).then_some(("wit/next.wit", NEXT));
            let own = ("src/lib.rs", code.rust);
            RUST.into_iter().chain([own]).chain(next).collect()
        }
        Language::Javascript => {
            let package = include_str!("templates/javascript/package.json");
            let package = ("package.json", package);
            let own = ("function.js", code.javascript?);
            SCRIPT.into_iter().chain([own, package]).collect()
        }
        Language::Python => {
            let own = ("app.py", code.python?);
            SCRIPT.into_iter().chain([own]).collect()
        }
    };
    if language != Language::Rust {
        files.extend_from_slice(wit(template));
    }
    Some(files)
}

/// What a function in a language without the SDK is built for.
fn wit(template: Template) -> &'static [(&'static str, &'static str)] {
    match template {
        Template::Handler => &HANDLER_WIT,
        Template::Middleware => &MIDDLEWARE_WIT,
        Template::ViewerRequest
        | Template::OriginRequest
        | Template::OriginResponse
        | Template::ViewerResponse => &TRIGGER_WIT,
    }
}

/// Those of `parts` that say something, each on lines of its own.
fn lines(parts: &[&str]) -> String {
    let said = parts.iter().filter(|part| !part.is_empty());
    said.map(|part| format!("{part}\n")).collect()
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
                all.extend(files.map(|files| (*template, files)));
            }
        }
        all
    }

    #[test]
    fn every_template_is_filled_in() {
        for (template, files) in all() {
            for (file, text) in files {
                assert!(!text.contains("{{"), "{file} of {template:?}");
                assert!(text.ends_with('\n'), "{file} of {template:?}");
                let has_gap = file.ends_with(".toml") && text.contains("\n\n\n");
                assert!(!has_gap, "{file} of {template:?}");
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
