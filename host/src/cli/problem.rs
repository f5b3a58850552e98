//! What a command says when it fails: a line or two for people on standard error, or, where
//! `--json` was given, one object on standard output, as the admin API says it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommandProblem {
    /// What is wrong.
    pub(super) error: String,
    /// What would be right, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expected: Option<String>,
}

impl CommandProblem {
    /// A problem, and what would be right.
    pub(super) fn new(error: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            expected: Some(expected.into()),
        }
    }

    /// Tells it where whoever runs the command looks for it.
    #[expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "a command's own output"
    )]
    pub(super) fn tell(&self, is_json: bool) {
        match serde_json::to_string(self) {
            Ok(text) if is_json => println!("{text}"),
            _ => eprintln!("{self}"),
        }
    }
}

impl fmt::Display for CommandProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.error)?;
        match &self.expected {
            Some(expected) => write!(formatter, "\n  expected: {expected}"),
            None => Ok(()),
        }
    }
}

impl From<String> for CommandProblem {
    fn from(error: String) -> Self {
        Self {
            error,
            expected: None,
        }
    }
}

impl From<&str> for CommandProblem {
    fn from(error: &str) -> Self {
        error.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_to_people_and_to_programs() {
        let problem = CommandProblem::new("no node answers", "a node");
        assert_eq!(problem.to_string(), "no node answers\n  expected: a node");
        let told = serde_json::to_string(&problem).unwrap();
        assert_eq!(told, r#"{"error":"no node answers","expected":"a node"}"#);
        let plain = CommandProblem::from("no node answers");
        assert_eq!(plain.to_string(), "no node answers");
        let told = serde_json::to_string(&plain).unwrap();
        assert_eq!(told, r#"{"error":"no node answers"}"#);
    }
}
