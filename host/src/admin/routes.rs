//! The paths of the admin API and their answers.
//!
//! `/healthz` and `/readyz` answer anybody; every other path, known or not,
//! wants the token first. Errors are JSON that says what would be right.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body::Body as _;
use serde::Serialize;
use tokio::time::timeout;

use super::auth::{AdminAuth, Admission};
use super::explain;
use super::functions;
use super::purge::{self, PURGE_BYTES_MAX};
use super::source::{AdminSource, Readiness, ReloadResult, Status};
use crate::telemetry::{Sample, metrics};

/// A request with more content is refused, in bytes.
const MOST_CONTENT_BYTES: u64 = PURGE_BYTES_MAX as u64;

/// How long an answer waits for a reload. The reload itself goes on.
pub(super) const RELOAD_TIME: Duration = Duration::from_secs(60);

pub(super) type Source = Arc<dyn AdminSource>;

/// The whole API.
pub(super) fn router(auth: AdminAuth, source: Source) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/", get(index))
        .route("/metrics", get(metrics_text))
        .route("/status", get(status))
        .route("/reload", post(reload))
        .route("/functions", get(functions::list))
        .route("/functions/{name}", get(functions::one))
        .route("/functions/{name}/versions", post(functions::deploy))
        .route("/functions/{name}/promote", post(functions::promote))
        .route("/functions/{name}/rollback", post(functions::roll_back))
        .route("/purge", post(purge::purge))
        .route(
            "/cache/explain",
            get(explain::by_query).post(explain::by_content),
        )
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(auth, guard))
        .with_state(source)
}

/// Stands before every path.
async fn guard(State(auth): State<AdminAuth>, request: Request, next: Next) -> Response {
    let is_open = matches!(request.uri().path(), "/healthz" | "/readyz");
    // Who reads it bounds it more exactly.
    let path = request.uri().path();
    let most = match path.starts_with("/functions/") && path.ends_with("/versions") {
        true => functions::COMPONENT_BYTES_MAX as u64,
        false => MOST_CONTENT_BYTES,
    };
    let mut response = if request.body().size_hint().lower() > most {
        let explanation = "the request has too much content";
        refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            explanation,
            "at most 1 MiB, which only /purge reads, or a component of 32 MiB",
        )
    } else if is_open {
        next.run(request).await
    } else {
        match auth.decide_admission(request.headers()) {
            Admission::Granted => next.run(request).await,
            refused => refuse(refused),
        }
    };
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderName::from_static("x-content-type-options");
    fields.insert(nosniff, HeaderValue::from_static("nosniff"));
    response
}

fn refuse(admission: Admission) -> Response {
    let challenge = match admission {
        Admission::Granted | Admission::NotConfigured => {
            return refusal(
                StatusCode::FORBIDDEN,
                "no token is configured, so that only /healthz and /readyz answer",
                "set `token_file` or `token_env` in the section `[admin]` of the configuration",
            );
        }
        // RFC 6750 3.1: no error code where no token was shown.
        Admission::Missing => "Bearer realm=\"verge admin\"",
        Admission::Wrong => "Bearer realm=\"verge admin\", error=\"invalid_token\"",
    };
    let mut response = refusal(
        StatusCode::UNAUTHORIZED,
        "this path needs the admin token",
        "send `Authorization: Bearer TOKEN`",
    );
    let fields = response.headers_mut();
    fields.insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    );
    response
}

/// Depends on nothing: it answers for as long as the process can answer at all.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(source): State<Source>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        ready: bool,
        reason: Option<&'static str>,
    }
    let (status, reason) = match source.readiness() {
        Readiness::Ready => (StatusCode::OK, None),
        Readiness::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, Some(reason)),
    };
    let ready = reason.is_none();
    json(status, &Answer { ready, reason })
}

async fn index(State(source): State<Source>) -> Response {
    #[derive(Serialize)]
    struct Entry {
        method: &'static str,
        path: &'static str,
        what: &'static str,
    }
    #[derive(Serialize)]
    struct Answer {
        name: &'static str,
        version: &'static str,
        paths: [Entry; 13],
    }
    let entry = |method, path, what| Entry { method, path, what };
    let answer = Answer {
        name: "verge",
        version: source.status().version,
        paths: [
            entry("GET", "/", "this list"),
            entry(
                "GET",
                "/healthz",
                "whether the process lives; needs no token",
            ),
            entry(
                "GET",
                "/readyz",
                "whether the node wants traffic; needs no token",
            ),
            entry(
                "GET",
                "/metrics",
                "everything that is counted, as OpenMetrics text",
            ),
            entry("GET", "/status", "what the node is running"),
            entry("POST", "/reload", "read configuration and functions anew"),
            entry("GET", "/functions", "the versions of all functions"),
            entry("GET", "/functions/NAME", "the versions of a function"),
            entry(
                "POST",
                "/functions/NAME/versions",
                "deploy the component that is the content, for all requests, for `?share=` or with `?shadow=true`",
            ),
            entry(
                "POST",
                "/functions/NAME/promote",
                "make the version beside the live one, or `?version=`, the live one",
            ),
            entry(
                "POST",
                "/functions/NAME/rollback",
                "go back to the version before; `?purge=true` purges what the other made",
            ),
            entry("POST", "/purge", "take stored responses out of the cache"),
            entry(
                "GET",
                "/cache/explain",
                "what the cache makes of `?url=`; POST for a whole request",
            ),
        ],
    };
    json(StatusCode::OK, &answer)
}

async fn metrics_text(State(source): State<Source>) -> impl IntoResponse {
    let text = source.metrics().encode(source.sample());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

async fn status(State(source): State<Source>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        #[serde(flatten)]
        status: Status,
        reason: Option<&'static str>,
        levels: Sample,
    }
    let answer = Answer {
        status: source.status(),
        reason: match source.readiness() {
            Readiness::Ready => None,
            Readiness::NotReady(reason) => Some(reason),
        },
        levels: source.sample(),
    };
    json(StatusCode::OK, &answer)
}

async fn reload(State(source): State<Source>) -> Response {
    // A task of its own: a client that goes away, or a slow compilation, must
    // not leave a reload half done.
    let task = tokio::spawn(async move { source.reload().await });
    match timeout(RELOAD_TIME, task).await {
        Ok(Ok(report)) => {
            let status = match report.result {
                ReloadResult::Applied | ReloadResult::Unchanged => StatusCode::OK,
                ReloadResult::Failed if report.problems.is_empty() => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
                ReloadResult::Failed => StatusCode::UNPROCESSABLE_ENTITY,
            };
            json(status, &report)
        }
        Ok(Err(_panicked)) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the reload ended without a result; the old generation serves on",
            "the node's log says more",
        ),
        Err(_elapsed) => refusal(
            StatusCode::GATEWAY_TIMEOUT,
            "the reload is still going on",
            "ask /status for its result",
        ),
    }
}

async fn unknown_path() -> Response {
    let explanation = "there is no such path";
    refusal(StatusCode::NOT_FOUND, explanation, "GET / lists every path")
}

async fn wrong_method() -> Response {
    let explanation = "this path does not take this method";
    refusal(
        StatusCode::METHOD_NOT_ALLOWED,
        explanation,
        "GET / lists every path and its method",
    )
}

/// An error: what is wrong, and what would be right.
pub(super) fn refusal(status: StatusCode, error: &str, expected: &str) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        error: &'a str,
        expected: &'a str,
    }
    json(status, &Answer { error, expected })
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Indented, because it is read by people with curl as often as by programs.
    let Ok(mut text) = serde_json::to_vec_pretty(value) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    text.push(b'\n');
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, Body::from(text)).into_response()
}
