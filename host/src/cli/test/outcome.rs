//! How scenarios went, for people and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use verge_config::{Scenario, Step};

use super::super::dev::{Colour, Paint};
use super::judge::Difference;

/// How one step went.
#[derive(Debug)]
pub(super) struct StepOutcome {
    pub(super) line: usize,
    /// What was asked, and what it is about.
    pub(super) title: String,
    pub(super) differences: Vec<Difference>,
    /// Its receipt as a line, and what was logged: for a step that failed.
    pub(super) context: String,
}

impl StepOutcome {
    pub(super) fn of(step: &Step) -> Self {
        let request = step.request.as_ref().map_or_else(
            || "time passes".to_owned(),
            |request| format!("{} {}", request.method, request.target),
        );
        Self {
            line: step.line,
            title: match &step.name {
                Some(name) => format!("{request}: {name}"),
                None => request,
            },
            differences: Vec::new(),
            context: String::new(),
        }
    }
}

/// How one scenario went; it ends with the first step that fails.
#[derive(Debug)]
pub(super) struct Outcome {
    file: String,
    name: Option<String>,
    steps: usize,
    pub(super) done: Vec<StepOutcome>,
    /// Why it could not be run.
    pub(super) problem: Option<String>,
    pub(super) took: Duration,
}

impl Outcome {
    /// Nothing of it has run.
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            file: scenario.file.display().to_string(),
            name: scenario.name.clone(),
            steps: scenario.steps.len(),
            done: Vec::new(),
            problem: None,
            took: Duration::ZERO,
        }
    }

    /// It could not be run.
    pub(super) fn not_begun(scenario: &Scenario, problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..Self::new(scenario)
        }
    }

    fn passed(&self) -> bool {
        self.problem.is_none() && self.done.iter().all(|step| step.differences.is_empty())
    }

    /// A line, and for a failure all that differs.
    pub(super) fn shown(&self, paint: Paint) -> String {
        let milliseconds = self.took.as_secs_f64() * 1000.0;
        let name = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!("  {name}"));
        if self.passed() {
            let ok = paint.paint(Colour::Green, "ok  ");
            let steps = super::super::count(self.steps, "step");
            return format!("{ok}  {}{name}  {steps}, {milliseconds:.0} ms\n", self.file);
        }
        let failed = paint.paint(Colour::Red, "FAIL");
        let (number, of) = (self.done.len(), self.steps);
        let mut text = format!(
            "{failed}  {}{name}  step {number} of {of}, {milliseconds:.0} ms\n",
            self.file
        );
        if let Some(problem) = &self.problem {
            for line in problem.lines() {
                let _ = writeln!(text, "      {line}");
            }
        }
        for step in self.done.iter().filter(|step| !step.differences.is_empty()) {
            let title = paint.paint(Colour::Bold, &step.title);
            let _ = writeln!(text, "      {}:{}  {title}", self.file, step.line);
            for difference in &step.differences {
                text.push_str(&difference.shown(paint));
            }
            for line in step.context.lines() {
                let _ = writeln!(text, "        {line}");
            }
        }
        text
    }

    fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .done
            .iter()
            .map(|step| {
                let differences = step.differences.iter().map(Difference::to_json);
                json!({
                    "line": step.line,
                    "title": step.title,
                    "passed": step.differences.is_empty(),
                    "differences": differences.collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "file": self.file,
            "name": self.name,
            "passed": self.passed(),
            "took_ms": self.took.as_secs_f64() * 1000.0,
            "problem": self.problem,
            "steps": steps,
        })
    }
}

/// How all scenarios went.
pub(super) struct Report(pub(super) Vec<Outcome>);

impl Report {
    pub(super) fn passed(&self) -> bool {
        self.0.iter().all(Outcome::passed)
    }

    /// The last line.
    pub(super) fn summary(&self, paint: Paint) -> String {
        let passed = self.0.iter().filter(|outcome| outcome.passed()).count();
        let failed = self.0.len() - passed;
        let took: Duration = self.0.iter().map(|outcome| outcome.took).sum();
        let text = format!("{passed} passed, {failed} failed, {} ms", took.as_millis());
        let colour = if failed == 0 {
            Colour::Green
        } else {
            Colour::Red
        };
        paint.paint(colour, &text)
    }

    pub(super) fn to_json(&self) -> Value {
        let passed = self.0.iter().filter(|outcome| outcome.passed()).count();
        json!({
            "passed": passed,
            "failed": self.0.len() - passed,
            "scenarios": self.0.iter().map(Outcome::to_json).collect::<Vec<_>>(),
        })
    }
}
