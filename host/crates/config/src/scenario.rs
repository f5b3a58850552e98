//! Scenario files: what an origin answers, what a client asks, and what is
//! expected of the node in between. Read by the same walker as the
//! configuration, so that every problem is told with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use toml::de::{DeTable, DeValue};

use crate::config::syntax_errors;
use crate::function::read_settings;
use crate::kinds::{ANY_TEXT, Choice, Count, FIELD_NAME, Kind, Text, found, is_token, time};
use crate::problem::ConfigErrors;
use crate::setting::Setting;
use crate::table::Table;
use crate::walk::{Item, Walk};

/// A value and the line that it stands on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The line.
    pub line: usize,
    /// The value.
    pub value: T,
}

/// One scenario: steps that follow each other, against one node that begins empty.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// The file that it came from.
    pub file: PathBuf,
    /// What it is about; the file's name without it.
    pub name: Option<String>,
    /// The configuration (`config`), if it is not the nearest `verge.toml`.
    pub config: Option<PathBuf>,
    /// The time at which it begins (`clock`); the first second of 2026 without it.
    pub clock: Option<SystemTime>,
    /// `[function.NAME]`: settings that take the place of those of the configuration.
    pub settings: BTreeMap<String, BTreeMap<String, Setting>>,
    /// `[secret]`: the secrets' texts by name.
    pub secrets: BTreeMap<String, String>,
    /// `[[origin]]`: answers, the first that fits is given.
    pub answers: Vec<Answer>,
    /// `[[step]]`, in order; at least one.
    pub steps: Vec<Step>,
}

/// `[[origin]]`: what an origin answers to some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The line of the table.
    pub line: usize,
    /// Only for requests to the origin of this name; default any.
    pub name: Option<String>,
    /// Only for this method; default any.
    pub method: Option<String>,
    /// The path, exactly; with `*` at its end, what begins so. Default `*`.
    pub path: String,
    /// How often it is given; then the next that fits is. Default for ever.
    pub times: Option<u32>,
    /// Fields that the request must have, exactly.
    pub expect: Vec<(String, At<String>)>,
    /// The status; default 200.
    pub status: u16,
    /// Its fields.
    pub fields: Vec<(String, String)>,
    /// Its content; default none.
    pub body: String,
    /// How long it takes, in real time; 0s to 1m, default 0s.
    pub delay: Duration,
    /// What goes wrong with it.
    pub fail: Option<Failing>,
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// The connection is closed without an answer.
    Close,
    /// The connection is closed in the middle of the content.
    Cut,
}

const FAILING: Choice<Failing> =
    Choice(&[("close", Ok(Failing::Close)), ("cut", Ok(Failing::Cut))]);

/// `[[step]]`: time passes, a client asks, something is expected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The line of the table.
    pub line: usize,
    /// What it is about.
    pub name: Option<String>,
    /// How much time passes before it; 0s to 3650d, default 0s.
    pub advance: Duration,
    /// What the client asks, if it does.
    pub request: Option<StepRequest>,
    /// What is expected of the answer.
    pub expect: Expect,
}

/// A request: `request = "GET /path"`, `fields` and `body`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepRequest {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its fields; `host` says whom it is for.
    pub fields: Vec<(String, String)>,
    /// Its content; default none.
    pub body: String,
}

/// `[step.expect]`: what is not named is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expect {
    /// The status.
    pub status: Option<At<u16>>,
    /// Fields and their values, exactly; lines of one field are joined with `, `.
    pub fields: Vec<(String, At<String>)>,
    /// Fields and what their values contain.
    pub contains: Vec<(String, At<String>)>,
    /// Fields that are there, whatever their value.
    pub present: Vec<At<String>>,
    /// Fields that are not there.
    pub absent: Vec<At<String>>,
    /// The content, exactly.
    pub body: Option<At<String>>,
    /// What the content contains.
    pub body_contains: Vec<At<String>>,
    /// Words of the node's member of Cache-Status; a word with `!` before it must not be there.
    pub cache_status: Option<At<String>>,
    /// How often origins were asked in this step, in the background too.
    pub origin_requests: Option<At<u32>>,
    /// The functions that ran, in order: `NAME TRIGGER OUTCOME` of each.
    pub functions: Option<At<Vec<String>>>,
    /// Why the request failed, as the access log says it; `none` if it must not.
    pub failure: Option<At<String>>,
}

impl Scenario {
    /// Reads a scenario from its text. `file` is where it came from: relative paths start at its
    /// folder, and problems name it.
    ///
    /// # Errors
    ///
    /// All syntax errors; or, if the syntax is right, all problems with keys and values.
    pub fn from_toml(text: &str, file: &Path) -> Result<Self, ConfigErrors> {
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(syntax_errors(&errors, text, file));
        }
        let walk = Walk::new(file, text);
        let scenario = read(&walk.root(&document), file);
        let problems = walk.finish().problems;
        if problems.is_empty() {
            Ok(scenario)
        } else {
            Err(ConfigErrors::new(problems))
        }
    }
}

fn read(root: &Table<'_, '_>, file: &Path) -> Scenario {
    let functions = root.named("function").into_iter().map(|(name, table)| {
        let settings = read_settings(&table.table("config"));
        (name, settings)
    });
    let steps = root.tables("step");
    if steps.is_empty() {
        root.missing("step", "one or more [[step]] with a `request`");
    }
    Scenario {
        file: file.to_owned(),
        name: root.maybe("name", ANY_TEXT),
        config: root.file("config"),
        clock: root.maybe("clock", Moment),
        settings: functions.collect(),
        secrets: texts(&root.table("secret")),
        answers: root.tables("origin").iter().map(read_answer).collect(),
        steps: steps.iter().map(read_step).collect(),
    }
}

fn texts(table: &Table<'_, '_>) -> BTreeMap<String, String> {
    let entries = table.entries().into_iter();
    entries
        .filter_map(|(name, item)| Some((name, item.read(&ANY_TEXT)?)))
        .collect()
}

const PATH: Text = Text {
    what: "a path that begins with `/`, `*` at its end for all that begin so",
    accepts: |text| text == "*" || (text.starts_with('/') && !text.contains([' ', '?'])),
};

const METHOD: Text = Text {
    what: "a method, such as \"GET\"",
    accepts: is_token,
};

fn read_answer(table: &Table<'_, '_>) -> Answer {
    Answer {
        line: table.line(),
        name: table.maybe("name", ANY_TEXT),
        method: table.maybe("method", METHOD),
        path: table.or("path", &PATH, "*".to_owned()),
        times: table.maybe("times", Count(1..=1_000_000)),
        expect: fields_at(&table.table("expect")),
        status: table.or("status", &Count(200..=599), 200),
        fields: fields(&table.table("fields")),
        body: table.or("body", &ANY_TEXT, String::new()),
        delay: table.or("delay", &time("0s", "1m"), Duration::ZERO),
        fail: table.maybe("fail", FAILING),
    }
}

fn read_step(table: &Table<'_, '_>) -> Step {
    let request = table.maybe("request", RequestLine);
    let (fields, body) = (
        fields(&table.table("fields")),
        table.or("body", &ANY_TEXT, String::new()),
    );
    let advance = table.or("advance", &time("0s", "3650d"), Duration::ZERO);
    let expect = table.table("expect");
    if request.is_none() && (expect.is_given() || !fields.is_empty() || !body.is_empty()) {
        table.problem("asks nothing", "expected `request = \"GET /path\"`");
    }
    Step {
        line: table.line(),
        name: table.maybe("name", ANY_TEXT),
        advance,
        request: request.map(|(method, target)| StepRequest {
            method,
            target,
            fields,
            body,
        }),
        expect: read_expect(&expect),
    }
}

fn read_expect(table: &Table<'_, '_>) -> Expect {
    Expect {
        status: at(table, "status", &Count(200..=599)),
        fields: fields_at(&table.table("fields")),
        contains: fields_at(&table.table("contains")),
        present: list_at(table, "present", &FIELD_NAME),
        absent: list_at(table, "absent", &FIELD_NAME),
        body: at(table, "body", &ANY_TEXT),
        body_contains: list_at(table, "body_contains", &ANY_TEXT),
        cache_status: at(table, "cache_status", &ANY_TEXT),
        origin_requests: at(table, "origin_requests", &Count(0..=1_000_000)),
        functions: table.item("functions").map(|item| At {
            line: item.line(),
            value: table.list("functions", FUNCTIONS.what, false, &FUNCTIONS),
        }),
        failure: at(table, "failure", &ANY_TEXT),
    }
}

const FUNCTIONS: Text = Text {
    what: "a name, a trigger and an outcome, such as \"greeter viewer-request responded\"",
    accepts: |text| text.split(' ').filter(|word| !word.is_empty()).count() == 3,
};

fn at<K: Kind>(table: &Table<'_, '_>, key: &'static str, kind: &K) -> Option<At<K::Value>> {
    let item = table.item(key)?;
    let line = item.line();
    item.read(kind).map(|value| At { line, value })
}

fn list_at<K: Kind>(table: &Table<'_, '_>, key: &'static str, kind: &K) -> Vec<At<K::Value>> {
    let items = table.items(key, &kind.expected(), true);
    let value = |item: &Item<'_, '_>| {
        let line = item.line();
        item.read(kind).map(|value| At { line, value })
    };
    items.iter().filter_map(value).collect()
}

/// Fields by name; a list of values is a line for each.
fn fields_at(table: &Table<'_, '_>) -> Vec<(String, At<String>)> {
    let mut fields = Vec::new();
    for (name, item) in table.entries() {
        if !is_token(&name) {
            item.problem(
                format!("\"{}\" is not a field name", name.escape_debug()),
                "expected a token, such as `cache-control`",
            );
            continue;
        }
        let values = match item.value {
            DeValue::Array(_) => item.items("field values"),
            _ => vec![item],
        };
        for value in values {
            let line = value.line();
            if let Some(text) = value.read(&VALUE) {
                fields.push((name.to_ascii_lowercase(), At { line, value: text }));
            }
        }
    }
    fields
}

fn fields(table: &Table<'_, '_>) -> Vec<(String, String)> {
    let fields = fields_at(table).into_iter();
    fields.map(|(name, at)| (name, at.value)).collect()
}

const VALUE: Text = Text {
    what: "a field value, or a list of them",
    accepts: crate::kinds::is_field_value,
};

/// `METHOD /path?query`.
struct RequestLine;

impl Kind for RequestLine {
    type Value = (String, String);

    fn expected(&self) -> String {
        "a method and a path, such as \"GET /path?query\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, String> {
        let text = value.as_str().ok_or_else(|| found(value))?;
        let parts = text.split_once(' ').filter(|(method, target)| {
            is_token(method)
                && target.starts_with('/')
                && target.bytes().all(|byte| byte.is_ascii_graphic())
        });
        parts
            .map(|(method, target)| (method.to_owned(), target.to_owned()))
            .ok_or_else(|| format!("\"{}\" is not valid", text.escape_debug()))
    }

    fn show(&self, (method, target): &Self::Value) -> String {
        format!("\"{method} {target}\"")
    }
}

/// A moment with its offset: `2026-01-01T00:00:00Z`.
struct Moment;

impl Kind for Moment {
    type Value = SystemTime;

    fn expected(&self) -> String {
        "a moment since 1970, such as 2026-01-01T00:00:00Z".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<SystemTime, String> {
        let DeValue::Datetime(moment) = value else {
            return Err(found(value));
        };
        let wrong = || format!("{moment} is no such moment");
        let (Some(date), Some(time), Some(offset)) = (moment.date, moment.time, moment.offset)
        else {
            return Err(wrong());
        };
        let minutes = match offset {
            toml::value::Offset::Z => 0,
            toml::value::Offset::Custom { minutes } => i64::from(minutes),
        };
        let days = days_since_1970(i64::from(date.year), date.month.into(), date.day.into());
        let seconds = days * 86_400 + i64::from(time.hour) * 3600 + i64::from(time.minute) * 60
            - minutes * 60
            + i64::from(time.second.unwrap_or(0));
        u64::try_from(seconds)
            .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .map_err(|_| wrong())
    }

    fn show(&self, value: &SystemTime) -> String {
        format!("{value:?}")
    }
}

/// Days of the Gregorian calendar, counted in years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Scenario, String> {
        Scenario::from_toml(text, Path::new("s.toml")).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_whole_scenario_is_read_with_its_lines() {
        let text = "clock = 2026-01-01T01:00:00+01:00\n[secret]\nkey = \"k\"\n\
            [[origin]]\npath = \"/a*\"\nfields = { Vary = [\"a\", \"b\"] }\nfail = \"cut\"\n\
            [[step]]\nadvance = \"61s\"\nrequest = \"GET /a?b\"\n[step.expect]\nstatus = 200\n\
            fields = { etag = '\"1\"' }\nabsent = \"set-cookie\"\nfunctions = []\n";
        let scenario = read(text).unwrap();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert_eq!(scenario.clock, Some(start));
        assert_eq!(scenario.secrets["key"], "k");
        let [answer] = &scenario.answers[..] else {
            panic!()
        };
        let lines = [("vary".into(), "a".into()), ("vary".into(), "b".into())];
        assert_eq!(answer.fields, lines);
        assert_eq!(answer.fail, Some(Failing::Cut));
        let [step] = &scenario.steps[..] else {
            panic!()
        };
        assert_eq!(step.request.as_ref().unwrap().target, "/a?b");
        assert_eq!(
            step.expect.status,
            Some(At {
                line: 12,
                value: 200
            })
        );
        assert_eq!(step.expect.absent[0].line, 14);
        assert_eq!(
            step.expect.functions,
            Some(At {
                line: 15,
                value: vec![]
            })
        );
    }

    #[test]
    fn every_problem_has_its_line_and_what_would_be_right() {
        let text = "[[origin]]\nstats = 200\n[[step]]\nrequest = \"get it\"\n[step.expect]\n\
            body_contain = \"x\"\nfunctions = [\"greeter\"]\n[[step]]\nbody = \"x\"\n";
        let refused = read(text).unwrap_err();
        for expected in [
            "s.toml:2:1: origin[0].stats: unknown key; did you mean `status`?",
            "s.toml:4:11: step[0].request: \"get it\" is not valid; expected a method and a path",
            "s.toml:6:1: step[0].expect.body_contain: unknown key; did you mean `body_contains`?",
            "s.toml:7:14: step[0].expect.functions[0]: \"greeter\" is not valid; expected a name, a trigger",
            "s.toml:8:1: step[1]: asks nothing; expected `request",
        ] {
            assert!(refused.contains(expected), "{expected}\n{refused}");
        }
        assert!(read("").unwrap_err().contains("one or more [[step]]"));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((2000, 3, 1), 11_017),
            ((2026, 1, 1), 20_454),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days, "{date:?}");
        }
    }
}
