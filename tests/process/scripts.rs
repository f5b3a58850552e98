//! Functions in JavaScript and Python, from `verge new` to an answer, with the compilers that
//! `cargo xtask languages` installs.

use std::path::PathBuf;

use crate::workshop::{Dev, Workshop, repository, text};

/// A language, the folder with its compiler, and the templates that it lacks.
struct Language {
    name: &'static str,
    programs: &'static str,
    lacks: &'static [&'static str],
}

const JAVASCRIPT: Language = Language {
    name: "javascript",
    programs: "npm/node_modules/.bin",
    lacks: &["middleware"],
};

const PYTHON: Language = Language {
    name: "python",
    programs: "python/bin",
    lacks: &[],
};

impl Language {
    /// A workshop with the compiler.
    fn workshop(&self) -> Workshop {
        let programs = repository()
            .join("functions/target/languages")
            .join(self.programs);
        assert!(
            programs.is_dir(),
            "{} is missing: run `cargo xtask languages` first",
            programs.display()
        );
        Workshop::with_programs(&programs)
    }

    /// A new function in this language, with limits that a busy machine does not pass.
    fn make(&self, workshop: &Workshop, name: &str, template: &str) {
        let made = self.begin(workshop, name, template);
        made.unwrap_or_else(|said| panic!("{template} in {}: {said}", self.name));
        let config: PathBuf = workshop.folder(name).join("verge.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let wide = text.replace(
            "cpu = \"100ms\"\ndeadline = \"1s\"\n",
            verge_tests::guests::WIDE_LIMITS,
        );
        assert_ne!(wide, text);
        std::fs::write(&config, wide).unwrap();
    }

    /// `verge new`; what it says if it refuses.
    fn begin(&self, workshop: &Workshop, name: &str, template: &str) -> Result<(), String> {
        let arguments = ["new", name, "--template", template, "--language", self.name];
        let made = workshop.run(&arguments);
        let said = text(&made.stderr);
        if made.status.success() {
            Ok(())
        } else {
            Err(said)
        }
    }
}

fn every_template_passes_its_own_scenario(language: &Language) {
    let workshop = language.workshop();
    let mut lacks = Vec::new();
    for template in workshop.templates() {
        let name = format!("made-{template}");
        if language.lacks.contains(&&*template) {
            let said = language.begin(&workshop, &name, &template).unwrap_err();
            assert!(said.contains("choose `--language rust`"), "{said}");
            lacks.push(template);
            continue;
        }
        language.make(&workshop, &name, &template);
        let scenarios = workshop.add_scenarios(&name, &template);
        let tested = workshop.run(&["test", &name]);
        let (out, errors) = (text(&tested.stdout), text(&tested.stderr));
        assert!(tested.status.success(), "{template}\n{out}{errors}");
        let passed = format!("{scenarios} passed, 0 failed");
        assert!(out.contains(&passed), "{template}\n{out}");
    }
    assert_eq!(lacks, language.lacks);
}

#[test]
fn every_template_in_javascript_passes_its_own_scenario() {
    every_template_passes_its_own_scenario(&JAVASCRIPT);
}

#[test]
fn every_template_in_python_passes_its_own_scenario() {
    every_template_passes_its_own_scenario(&PYTHON);
}

#[tokio::test]
async fn a_handler_in_javascript_is_served_while_it_is_written() {
    let workshop = JAVASCRIPT.workshop();
    JAVASCRIPT.make(&workshop, "greeter", "handler");
    let dev = Dev::start(&workshop, &["greeter"]);
    dev.wait_for("live greeter", 1);
    let answer = dev.get("/hello?Ada%1b").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
    let expected = "Hello from greeter! You asked for /hello?Ada%1b.\n";
    assert_eq!(answer.text(), expected);
    assert_eq!(dev.interrupt(), Some(0));
}
