//! `/cache/explain`: what the cache has for a request, what would happen to
//! the next one, and by which rule. It changes nothing stored and asks no origin;
//! functions run only if that is asked for.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::content;
use super::purge::ScopeProblem;
use super::routes::{Source, json, refusal};

/// Most bytes of a request that is to be explained.
const EXPLAIN_BYTES_MAX: usize = 64 << 10;

/// The request that is to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// A whole URL.
    pub url: String,
    /// The method; GET by default.
    #[serde(default = "get")]
    pub method: String,
    /// Name and value of each field.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// The client's address; this machine's own by default.
    #[serde(default)]
    pub client: Option<IpAddr>,
    /// Whether functions in front of the cache are run, with all that they do.
    #[serde(default)]
    pub run_functions: bool,
}

/// What the cache makes of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The method.
    pub method: String,
    /// The URL in normal form.
    pub url: String,
    /// The site that serves it.
    pub site: String,
    /// The route that it takes.
    pub route: String,
    /// What answers: `origin NAME`, `function NAME`, `redirect` or `static answer`.
    pub answered_by: String,
    /// Functions in front of the cache.
    pub functions: Vec<String>,
    /// `wasi:http` middleware between them and the cache, the outermost first. It is never run for
    /// this: it may answer, or send on another request than this.
    #[serde(default)]
    pub middleware: Vec<String>,
    /// What they did, if they were run: all that follows is about the request behind them.
    pub run: Option<ExplainedRun>,
    /// Requests that the route sends past the cache, as `field x-preview` or `cookie session`.
    pub bypass: Vec<String>,
    /// What its response is found by.
    pub key: Option<ExplainedKey>,
    /// What would happen now.
    pub next: ExplainedNext,
    /// How what is stored would be compressed for this client, if it is what answers.
    pub coding: Option<ExplainedCoding>,
    /// All that is stored under the key, in every tier.
    pub stored: Vec<ExplainedResponse>,
    /// Parts of responses that are not stored whole.
    pub parts: Vec<ExplainedPart>,
    /// Tiers of which it cannot be told what they have.
    pub unknown: Vec<ExplainedTier>,
    /// The last purges that concern the URL, the latest first.
    pub purges: Vec<ExplainedPurge>,
    /// Why nothing was stored the last time that the origin was asked in vain.
    pub last_refusal: Option<ExplainedRefusal>,
}

/// What functions in front of the cache did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRun {
    /// `continued`, `answered` or `failed`.
    pub outcome: String,
    /// The status of their answer, or of their failure.
    pub status: Option<u16>,
    /// Fields of the request that they added, changed or removed.
    pub changed_fields: Vec<String>,
    /// The URL that they led the request to, if it is another one.
    pub url: Option<String>,
    /// The origin that they chose.
    pub origin: Option<String>,
    /// Names of the key parts that they declared.
    pub key_parts: Vec<String>,
}

/// What a response is found by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedKey {
    /// The target URI, and the names of further parts; their values may be secrets.
    pub text: String,
    /// What tiers find it by, in hex.
    pub digest: String,
    /// Parameters of the query that are no part of it.
    pub dropped: Vec<String>,
}

/// What would happen to a request, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedNext {
    /// `hit`, `validate`, `miss`, `collapsed`, `bypass`, `answered`, `error` or `fixed`.
    pub outcome: String,
    /// The word of Cache-Status and the access log.
    pub reason: String,
    /// The rule; empty where it is the node's own.
    pub section: String,
    /// The same in a sentence.
    pub what: String,
    /// The tier that has what answers or is validated: `memory`, `disk`, `l2`.
    pub tier: Option<String>,
    /// The status that the client gets, where that is known.
    pub status: Option<u16>,
}

/// How a response would be compressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedCoding {
    /// `br`, `zstd`, `gzip`, or `none`.
    pub coding: String,
    /// Why there is none, in the word of metrics.
    pub reason: Option<String>,
    /// The rule of that; empty where it is the node's own.
    pub section: String,
}

/// One stored response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedResponse {
    /// Whether the request selects it.
    pub is_selected: bool,
    /// `fresh` or `stale`.
    pub state: String,
    /// Where it is: `memory`, `disk` or `l2`.
    pub tier: String,
    /// Its status.
    pub status: u16,
    /// Its age.
    pub age_seconds: u64,
    /// Its freshness lifetime.
    pub lifetime_seconds: u64,
    /// Where the lifetime comes from.
    pub lifetime_source: String,
    /// The rule of that.
    pub lifetime_section: String,
    /// Seconds of freshness that remain, negative once it is stale.
    pub ttl_seconds: i64,
    /// For how long it may answer stale while it is validated (RFC 5861 3).
    pub stale_while_revalidate_seconds: Option<u64>,
    /// For how long it may answer stale if the origin fails (RFC 5861 4).
    pub stale_if_error_seconds: Option<u64>,
    /// What it forbids or promises: `no-cache`, `no-stale`, `immutable`.
    pub flags: Vec<String>,
    /// The fields that it varies by.
    pub varies_by: Vec<String>,
    /// Its ETag.
    pub etag: Option<String>,
    /// From Surrogate-Key and Cache-Tag.
    pub surrogate_keys: Vec<String>,
    /// From Cache-Groups.
    pub groups: Vec<String>,
    /// The site that it is purged with.
    pub site: Option<String>,
    /// The functions that had a part in it.
    pub made_by: Vec<String>,
    /// `none`, `soft` or `hard`.
    pub purged: String,
    /// Bytes of content that are stored.
    pub content_bytes: u64,
    /// Whether only parts of the content are stored.
    pub is_incomplete: bool,
}

/// Stored parts of a response that is not stored whole; they are in memory only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedPart {
    /// `pieces` as clients asked for them, or `slices` of the route's size.
    pub sort: String,
    /// `fresh` or `stale`; of slices, `stale` if any is.
    pub state: String,
    /// First and last byte of each, as `0-99`.
    pub ranges: Vec<String>,
    /// Bytes of the whole, where that is known.
    pub total_bytes: Option<u64>,
    /// Bytes that are stored.
    pub content_bytes: u64,
    /// The ETag of the whole.
    pub etag: Option<String>,
}

/// A tier of which it cannot be told what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedTier {
    /// `disk` or `l2`.
    pub tier: String,
    /// Why, in the word of metrics.
    pub reason: String,
}

/// A purge that concerns a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedPurge {
    /// `url`, `prefix`, `key`, `group`, `site`, `function`, `all`; `forgotten` for what is
    /// remembered no more, and counts as a purge of everything before it.
    pub scope: String,
    /// `hard` or `soft`.
    pub hardness: String,
    /// How long ago.
    pub seconds_ago: u64,
    /// Its number on this node.
    pub sequence: u64,
}

/// Why nothing was stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedRefusal {
    /// The word of the access log.
    pub reason: String,
    /// The rule; empty where it is the node's own.
    pub section: String,
    /// What would have to change.
    pub advice: String,
    /// How long ago.
    pub seconds_ago: u64,
    /// How long ago a response was stored all the same, if one was: then the reason is of the
    /// past.
    pub superseded_seconds_ago: Option<u64>,
}

/// `GET /cache/explain?url=..&method=..`.
pub(super) async fn by_query(
    State(source): State<Source>,
    query: Result<Query<ByQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    match query {
        Ok(Query(ByQuery { url, method })) => {
            let request = ExplainRequest {
                url,
                method,
                ..ExplainRequest::default()
            };
            answer(&source, &request).await
        }
        Err(_) => refusal(
            StatusCode::BAD_REQUEST,
            "the query does not say what to explain",
            "/cache/explain?url=https%3A%2F%2Fshop.example%2Fpath, and `method` if it is not GET",
        ),
    }
}

/// The query of [`by_query`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByQuery {
    url: String,
    #[serde(default = "get")]
    method: String,
}

/// `POST /cache/explain` with an [`ExplainRequest`].
pub(super) async fn by_content(State(source): State<Source>, body: Body) -> Response {
    let text = match content::read(body, EXPLAIN_BYTES_MAX).await {
        Ok(text) => text,
        Err(refused) => return refused,
    };
    match serde_json::from_slice(&text) {
        Ok(request) => answer(&source, &request).await,
        Err(error) => refusal(
            StatusCode::BAD_REQUEST,
            &format!("the content is no request to explain: {error}"),
            "{\"url\": \"https://shop.example/a\", \"method\": \"GET\", \"fields\": [[\"accept\", \"*/*\"]]}",
        ),
    }
}

async fn answer(source: &Source, request: &ExplainRequest) -> Response {
    match source.explain(request).await {
        Ok(explanation) => json(StatusCode::OK, &explanation),
        Err(ScopeProblem { what, expected }) => {
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &what, &expected)
        }
    }
}

fn get() -> String {
    "GET".to_owned()
}
