//! What was expected against what came, and the difference as a reader wants
//! to see it. Pure: values in, differences out.

use http::HeaderMap;
use serde_json::{Value, json};
use verge_config::{At, Expect};

use super::super::dev::{Colour, Paint};

/// What a step came to.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) status: u16,
    pub(super) fields: HeaderMap,
    pub(super) body: String,
    /// How often origins were asked.
    pub(super) origin_requests: u32,
    /// The receipt, as the access log has it.
    pub(super) receipt: Value,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The line of the scenario that expected it.
    pub(super) line: usize,
    /// What differs: `status`, `field etag`.
    pub(super) what: String,
    /// What was expected, in words or as it is.
    pub(super) expected: String,
    /// What came.
    pub(super) found: String,
}

impl Difference {
    pub(super) fn new(
        line: usize,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            line,
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// What was expected and what came, line by line, those that are the same once.
    pub(super) fn shown(&self, paint: Paint) -> String {
        let expected: Vec<&str> = self.expected.lines().collect();
        let found: Vec<&str> = self.found.lines().collect();
        let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| {
            pairs.take_while(|(left, right)| left == right).count()
        };
        let before = same(&mut expected.iter().zip(&found));
        let most = expected.len().min(found.len()) - before;
        let after = same(&mut expected.iter().rev().zip(found.iter().rev())).min(most);
        let mut text = format!("        {}, line {}\n", self.what, self.line);
        let mut add = |mark: &str, colour: Colour, lines: &[&str]| {
            for line in lines {
                let line = format!(
                    "{mark} {}",
                    line.escape_debug()
                        .to_string()
                        .replace("\\\"", "\"")
                        .replace("\\'", "'")
                );
                text.push_str(&format!("          {}\n", paint.paint(colour, &line)));
            }
        };
        add(" ", Colour::Dim, expected.get(..before).unwrap_or_default());
        add(
            "-",
            Colour::Red,
            expected
                .get(before..expected.len() - after)
                .unwrap_or_default(),
        );
        add(
            "+",
            Colour::Green,
            found.get(before..found.len() - after).unwrap_or_default(),
        );
        add(
            " ",
            Colour::Dim,
            expected.get(expected.len() - after..).unwrap_or_default(),
        );
        if expected == found {
            text.push_str("          they differ in line ends only\n");
        }
        text
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"line": self.line, "what": self.what, "expected": self.expected, "found": self.found})
    }
}

/// What fields are to be, each name once: lines of one field are a list (RFC 9110 5.2).
pub(super) fn wanted_fields(fields: &[(String, At<String>)]) -> Vec<(usize, &str, String)> {
    let mut wanted: Vec<(usize, &str, String)> = Vec::new();
    for (name, At { line, value }) in fields {
        match wanted.iter_mut().find(|(_, known, _)| known == name) {
            Some((.., values)) => {
                values.push_str(", ");
                values.push_str(value);
            }
            None => wanted.push((*line, name, value.clone())),
        }
    }
    wanted
}

/// Every difference between what was expected and what came.
pub(super) fn judge(expect: &Expect, observed: &Observed) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |line, what: String, expected: String, found: String| {
        differences.push(Difference::new(line, what, expected, found));
    };
    if let Some(At { line, value }) = &expect.status
        && *value != observed.status
    {
        differ(
            *line,
            "status".into(),
            value.to_string(),
            observed.status.to_string(),
        );
    }
    for (line, name, value) in wanted_fields(&expect.fields) {
        let found = field(&observed.fields, name);
        if found.as_ref() != Some(&value) {
            differ(line, format!("field {name}"), value, or_absent(found));
        }
    }
    for (name, At { line, value }) in &expect.contains {
        let found = field(&observed.fields, name);
        if !found.as_ref().is_some_and(|found| found.contains(value)) {
            differ(
                *line,
                format!("field {name}"),
                format!("contains {value}"),
                or_absent(found),
            );
        }
    }
    for At { line, value } in &expect.present {
        if !observed.fields.contains_key(value) {
            differ(
                *line,
                format!("field {value}"),
                "present".into(),
                "absent".into(),
            );
        }
    }
    for At { line, value } in &expect.absent {
        if let Some(found) = field(&observed.fields, value) {
            differ(*line, format!("field {value}"), "absent".into(), found);
        }
    }
    if let Some(At { line, value }) = &expect.body
        && *value != observed.body
    {
        differ(*line, "body".into(), value.clone(), observed.body.clone());
    }
    for At { line, value } in &expect.body_contains {
        if !observed.body.contains(value) {
            differ(
                *line,
                "body".into(),
                format!("contains {value}"),
                observed.body.clone(),
            );
        }
    }
    judge_node(expect, observed, &mut differences);
    differences
}

/// What the node says of itself.
fn judge_node(expect: &Expect, observed: &Observed, differences: &mut Vec<Difference>) {
    if let Some(At { line, value }) = &expect.cache_status {
        let status = field(&observed.fields, "cache-status").unwrap_or_default();
        // Caches before this one come first (RFC 9211 2).
        let own = status.rsplit(',').next().unwrap_or_default();
        let has: Vec<&str> = own.split(';').skip(1).map(str::trim).collect();
        let fits = |word: &str| match word.strip_prefix('!') {
            Some(word) => !has.contains(&word),
            None => has.contains(&word),
        };
        if !value.split_whitespace().all(fits) {
            differences.push(Difference::new(*line, "Cache-Status", value, has.join(" ")));
        }
    }
    if let Some(At { line, value }) = &expect.origin_requests
        && *value != observed.origin_requests
    {
        let (expected, found) = (value.to_string(), observed.origin_requests.to_string());
        differences.push(Difference::new(*line, "origin requests", expected, found));
    }
    if let Some(At { line, value }) = &expect.functions {
        let found = functions(&observed.receipt);
        if *value != found {
            let lines = |list: &[String]| match list {
                [] => "none".to_owned(),
                list => list.join("\n"),
            };
            let difference = Difference::new(*line, "functions", lines(value), lines(&found));
            differences.push(difference);
        }
    }
    if let Some(At { line, value }) = &expect.failure {
        let found = observed.receipt["failure"].as_str().unwrap_or("none");
        if value != found {
            differences.push(Difference::new(*line, "failure", value, found));
        }
    }
}

/// The functions that ran, as a scenario writes them.
fn functions(receipt: &Value) -> Vec<String> {
    let functions = receipt["functions"].as_array().into_iter().flatten();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    functions
        .map(|each| {
            let words = [&each["name"], &each["trigger"], &each["outcome"]].map(word);
            words.join(" ")
        })
        .collect()
}

/// The field's lines, joined.
pub(super) fn field(fields: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> = fields.get_all(name).iter().collect();
    let lines: Vec<_> = lines
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn or_absent(found: Option<String>) -> String {
    found.unwrap_or_else(|| "absent".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use verge_config::Scenario;

    use super::*;

    fn observed() -> Observed {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"1\""),
            ("cache-status", "inner; hit, verge; fwd=stale; stored"),
            ("vary", "a"),
        ] {
            fields.insert(name, value.parse().unwrap());
        }
        Observed {
            status: 200,
            fields,
            body: "one\ntwo\nthree\n".into(),
            origin_requests: 1,
            receipt: json!({"functions": [
                {"name": "f", "trigger": "viewer-request", "outcome": "continued"}]}),
        }
    }

    fn differences(expect: &str) -> Vec<Difference> {
        let text = format!("[[step]]\nrequest = \"GET /\"\n[step.expect]\n{expect}");
        let scenario = Scenario::from_toml(&text, Path::new("s.toml")).unwrap();
        judge(&scenario.steps[0].expect, &observed())
    }

    #[test]
    fn what_is_as_expected_differs_in_nothing() {
        let expect = "status = 200\nfields = { etag = '\"1\"' }\ncontains = { vary = \"a\" }\n\
            present = [\"etag\"]\nabsent = [\"age\"]\nbody = \"one\\ntwo\\nthree\\n\"\nbody_contains = \"two\"\n\
            cache_status = \"fwd=stale stored !hit\"\norigin_requests = 1\n\
            functions = [\"f viewer-request continued\"]\nfailure = \"none\"\n";
        assert_eq!(differences(expect), []);
    }

    #[test]
    fn each_difference_names_its_line() {
        for (expect, what, expected, found) in [
            ("status = 404", "status", "404", "200"),
            ("fields = { vary = \"b\" }", "field vary", "b", "a"),
            (
                "contains = { age = \"1\" }",
                "field age",
                "contains 1",
                "absent",
            ),
            ("present = [\"age\"]", "field age", "present", "absent"),
            ("absent = [\"vary\"]", "field vary", "absent", "a"),
            (
                "cache_status = \"hit\"",
                "Cache-Status",
                "hit",
                "fwd=stale stored",
            ),
            ("origin_requests = 0", "origin requests", "0", "1"),
            (
                "functions = []",
                "functions",
                "none",
                "f viewer-request continued",
            ),
            ("failure = \"x\"", "failure", "x", "none"),
        ] {
            let expected = Difference::new(4, what, expected, found);
            assert_eq!(differences(expect), [expected], "{expect}");
        }
    }

    #[test]
    fn lines_that_are_the_same_are_shown_once() {
        let difference = Difference::new(4, "body", "one\n2\nthree\n", "one\ntwo\nthree\n");
        assert_eq!(
            difference.shown(Paint::PLAIN),
            "        body, line 4\n            one\n          - 2\n          + two\n            three\n"
        );
    }
}
