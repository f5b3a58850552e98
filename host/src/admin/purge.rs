//! `POST /purge`: a batch of scopes, each purged or refused with its place and
//! what would be right.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content;
use super::routes::{Source, json, refusal};

/// Most bytes of one batch.
pub const PURGE_BYTES_MAX: usize = 1 << 20;

/// One scope, as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeScopeText {
    /// One URL: all variants, all declared key parts.
    Url(String),
    /// A URL of which the path is a prefix, at borders of segments.
    Prefix(String),
    /// A surrogate key.
    Key(String),
    /// A cache group of one origin (RFC 9875).
    Group {
        /// The group.
        group: String,
        /// The origin, as a URL without a path.
        origin: String,
    },
    /// A site, by any of its names.
    Site(String),
    /// A function, by name or digest.
    Function(String),
    /// Everything.
    All,
}

/// One purge that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeItem {
    /// What is purged.
    pub scope: PurgeScopeText,
    /// Whether it only becomes stale.
    pub soft: bool,
}

/// One purge that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurgeDone {
    /// What was purged, in normal form.
    pub scope: String,
    /// `hard` or `soft`.
    pub hardness: String,
    /// The number of the purge on this node.
    pub sequence: u64,
    /// Its name among all nodes.
    pub id: String,
}

/// One purge that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeProblem {
    /// Where in the request, as `purge[2].url`.
    pub at: String,
    /// What is wrong.
    pub error: String,
    /// What would be right.
    pub expected: String,
}

/// What came of one item.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PurgeResult {
    /// It was purged.
    Done(PurgeDone),
    /// It was not.
    Problem(PurgeProblem),
}

/// What came of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Scopes that were purged.
    pub purged: usize,
    /// Scopes that were not.
    pub failed: usize,
    /// One for each item, in the order of the request.
    pub items: Vec<PurgeResult>,
}

/// What is wrong with an item, by whoever finds it: the place is added here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeProblem {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: String,
}

pub(super) async fn purge(State(source): State<Source>, body: Body) -> Response {
    let text = match content::read(body, PURGE_BYTES_MAX).await {
        Ok(text) => text,
        Err(refused) => return refused,
    };
    let most = source.purge_batch_max();
    let items = match parse(&text, most) {
        Ok(items) => items,
        Err(BatchRefused::Wrong(problem)) => {
            return refusal(StatusCode::BAD_REQUEST, &problem.what, &problem.expected);
        }
        Err(BatchRefused::TooMany(items)) => {
            source.metrics().record_limit("purge-batch");
            return json(
                StatusCode::BAD_REQUEST,
                &BatchTooLarge {
                    error: format!("`purge` has {items} scopes"),
                    expected: format!("at most {most} (`limits.purge_batch`)"),
                    most,
                },
            );
        }
    };
    let results = items.into_iter().enumerate().map(|(index, item)| {
        let item = item.map_err(|(key, problem)| at(index, &key, problem))?;
        let key = item.scope.word();
        source.purge(&item).map_err(|p| at(index, key, p))
    });
    let items: Vec<PurgeResult> = results
        .map(|result| result.map_or_else(PurgeResult::Problem, PurgeResult::Done))
        .collect();
    source.settle_purges().await;
    let failed = items
        .iter()
        .filter(|item| matches!(item, PurgeResult::Problem(_)))
        .count();
    let status = match failed {
        0 => StatusCode::OK,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let report = PurgeReport {
        purged: items.len() - failed,
        failed,
        items,
    };
    json(status, &report)
}

fn at(index: usize, key: &str, problem: ScopeProblem) -> PurgeProblem {
    let dot = if key.is_empty() { "" } else { "." };
    PurgeProblem {
        at: format!("purge[{index}]{dot}{key}"),
        error: problem.what,
        expected: problem.expected,
    }
}

/// An item, or the key that is wrong and how.
type ParsedItem = Result<PurgeItem, (String, ScopeProblem)>;

const EXPECTED: &str = "{\"purge\": [{\"url\": \"https://shop.example/a\"}], \"soft\": false}";
const EXPECTED_ITEM: &str = "one of `url`, `prefix`, `key`, `group` with `origin`, `site`, `function` and `all`, \
     and `soft` if it differs from the batch's";

fn problem(what: impl Into<String>, expected: impl Into<String>) -> ScopeProblem {
    ScopeProblem {
        what: what.into(),
        expected: expected.into(),
    }
}

/// Why none of a batch was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum BatchRefused {
    /// It is not one.
    Wrong(ScopeProblem),
    /// It has so many scopes.
    TooMany(usize),
}

impl From<ScopeProblem> for BatchRefused {
    fn from(problem: ScopeProblem) -> Self {
        Self::Wrong(problem)
    }
}

/// The refusal of a batch that could be sent in parts.
#[derive(Debug, Serialize, Deserialize)]
pub struct BatchTooLarge {
    /// What is wrong.
    pub error: String,
    /// What would be right.
    pub expected: String,
    /// Most scopes of one batch.
    pub most: usize,
}

fn parse(text: &[u8], most: usize) -> Result<Vec<ParsedItem>, BatchRefused> {
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| problem(format!("the content is no JSON: {error}"), EXPECTED))?;
    let Value::Object(mut batch) = value else {
        return Err(problem("the content is no JSON object", EXPECTED).into());
    };
    let soft = flag(&mut batch, "soft", false).map_err(|(_, problem)| problem)?;
    let Some(Value::Array(items)) = batch.remove("purge") else {
        return Err(problem("there is no list `purge`", EXPECTED).into());
    };
    if let Some(unknown) = batch.keys().next() {
        return Err(problem(format!("there is no key `{unknown}`"), EXPECTED).into());
    }
    if items.is_empty() {
        return Err(problem("`purge` is empty", EXPECTED).into());
    }
    if items.len() > most {
        return Err(BatchRefused::TooMany(items.len()));
    }
    Ok(items
        .into_iter()
        .map(|item| parse_item(item, soft))
        .collect())
}

fn parse_item(value: Value, soft: bool) -> ParsedItem {
    let Value::Object(mut item) = value else {
        return Err((
            String::new(),
            problem("it is no JSON object", EXPECTED_ITEM),
        ));
    };
    let soft = flag(&mut item, "soft", soft)?;
    let origin = item.remove("origin");
    let mut scopes = item.into_iter();
    let (Some((key, value)), None) = (scopes.next(), scopes.next()) else {
        return Err((
            String::new(),
            problem("it names not exactly one scope", EXPECTED_ITEM),
        ));
    };
    if origin.is_some() && key != "group" {
        let wrong = problem("`origin` stands only beside `group`", EXPECTED_ITEM);
        return Err(("origin".to_owned(), wrong));
    }
    let text = || match &value {
        Value::String(text) => Ok(text.clone()),
        _ => Err((key.clone(), problem("it is no text", "a text"))),
    };
    let scope = match key.as_str() {
        "url" => PurgeScopeText::Url(text()?),
        "prefix" => PurgeScopeText::Prefix(text()?),
        "key" => PurgeScopeText::Key(text()?),
        "group" => match origin {
            Some(Value::String(origin)) => PurgeScopeText::Group {
                group: text()?,
                origin,
            },
            _ => {
                let wrong = problem(
                    "a group is one of an origin",
                    "`origin`, as https://shop.example",
                );
                return Err(("origin".to_owned(), wrong));
            }
        },
        "site" => PurgeScopeText::Site(text()?),
        "function" => PurgeScopeText::Function(text()?),
        "all" if value == Value::Bool(true) => PurgeScopeText::All,
        "all" => return Err((key, problem("it is not `true`", "\"all\": true"))),
        _ => {
            let wrong = problem(format!("there is no scope `{key}`"), EXPECTED_ITEM);
            return Err((key, wrong));
        }
    };
    Ok(PurgeItem { scope, soft })
}

fn flag(
    map: &mut Map<String, Value>,
    key: &str,
    default: bool,
) -> Result<bool, (String, ScopeProblem)> {
    match map.remove(key) {
        None => Ok(default),
        Some(Value::Bool(value)) => Ok(value),
        Some(_) => Err((
            key.to_owned(),
            problem(
                format!("`{key}` is neither true nor false"),
                "true or false",
            ),
        )),
    }
}

impl PurgeScopeText {
    /// The key that names it in a request.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Prefix(_) => "prefix",
            Self::Key(_) => "key",
            Self::Group { .. } => "group",
            Self::Site(_) => "site",
            Self::Function(_) => "function",
            Self::All => "all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 10;

    #[test]
    fn every_scope_is_read() {
        let text = br#"{"soft": true, "purge": [{"url": "u"}, {"prefix": "p", "soft": false}, {"key": "k"},
            {"group": "g", "origin": "o"}, {"site": "s"}, {"function": "f"}, {"all": true}]}"#;
        let items: Vec<PurgeItem> = parse(text, MOST)
            .unwrap()
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let words: Vec<_> = items.iter().map(|item| item.scope.word()).collect();
        assert_eq!(
            words,
            ["url", "prefix", "key", "group", "site", "function", "all"]
        );
        let soft: Vec<_> = items.iter().map(|item| item.soft).collect();
        assert_eq!(soft, [true, false, true, true, true, true, true]);
    }

    #[test]
    fn a_wrong_batch_is_told() {
        let many = format!("{{\"purge\": [{}]}}", ["{}"; MOST + 1].join(","));
        let refused = parse(many.as_bytes(), MOST).unwrap_err();
        assert_eq!(refused, BatchRefused::TooMany(MOST + 1));
        let rows = [
            ("", "the content is no JSON"),
            ("[]", "the content is no JSON object"),
            ("{}", "there is no list `purge`"),
            ("{\"purge\": {}}", "there is no list `purge`"),
            ("{\"purge\": []}", "`purge` is empty"),
            ("{\"purge\": [1], \"x\": 1}", "there is no key `x`"),
            (
                "{\"purge\": [1], \"soft\": 1}",
                "`soft` is neither true nor false",
            ),
        ];
        for (text, what) in rows {
            let Err(BatchRefused::Wrong(problem)) = parse(text.as_bytes(), MOST) else {
                panic!("{text} is read");
            };
            assert!(problem.what.starts_with(what), "{text}: {problem:?}");
        }
    }

    #[test]
    fn a_wrong_item_is_told_with_its_key() {
        let rows = [
            ("1", "", "it is no JSON object"),
            ("{}", "", "it names not exactly one scope"),
            (
                r#"{"url": "u", "key": "k"}"#,
                "",
                "it names not exactly one scope",
            ),
            (r#"{"url": 1}"#, "url", "it is no text"),
            (r#"{"urls": "u"}"#, "urls", "there is no scope `urls`"),
            (r#"{"all": false}"#, "all", "it is not `true`"),
            (r#"{"group": "g"}"#, "origin", "a group is one of an origin"),
            (
                r#"{"url": "u", "origin": "o"}"#,
                "origin",
                "`origin` stands only beside `group`",
            ),
            (
                r#"{"url": "u", "soft": "yes"}"#,
                "soft",
                "`soft` is neither true nor false",
            ),
        ];
        for (text, key, what) in rows {
            let batch = format!("{{\"purge\": [{text}]}}");
            let items = parse(batch.as_bytes(), MOST).unwrap();
            let (at, problem) = items[0].as_ref().unwrap_err();
            assert_eq!((at.as_str(), problem.what.as_str()), (key, what), "{text}");
        }
    }
}
