//! `/functions`: the versions of functions, and what changes which of them run.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::content;
use super::routes::{Source, json, refusal};
use crate::deploy::actions::{NewVersion, Refusal, RefusalKind};
use crate::deploy::state::BesideMode;
use crate::deploy::store;
use crate::deploy::{Share, Sticky};

/// Most bytes of a component; a node may take less (`deploy.component`).
pub const COMPONENT_BYTES_MAX: usize = store::COMPONENT_BYTES_MAX as usize;

/// A function and its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionVersions {
    /// Its name.
    pub name: String,
    /// The triggers that the live version exports.
    pub triggers: Vec<String>,
    /// The digest of the live version.
    pub live: String,
    /// Whether versions can be deployed here.
    pub is_kept: bool,
    /// Those that are kept, the one deployed last first.
    pub versions: Vec<VersionStatus>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionStatus {
    /// The SHA-256 of its component, in hex.
    pub digest: String,
    /// `live`, `share`, `shadow`, `kept` or `rolled-back`.
    pub status: String,
    /// When it was deployed, RFC 3339; empty where that is not kept.
    pub deployed: String,
    /// What brought it: `configuration` or `deploy`.
    pub source: String,
    /// The key that its signature was checked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Bytes of its component; 0 where that is not kept.
    pub bytes: u64,
    /// For whom it runs, or why it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The last differences from the live version, for one in its shadow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionChange {
    /// The version that it was about.
    pub version: String,
    /// Whether what that version had a part in was purged.
    pub purged: bool,
    /// What is to be said of it beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is wrong, although it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The function as it is now.
    pub function: FunctionVersions,
}

/// What is to change.
pub enum FunctionAction {
    /// A new version.
    Deploy(NewVersion),
    /// The version beside the live one, or the one whose digest begins so, becomes the live one.
    Promote(Option<String>),
    /// The version beside the live one is taken away, or the one before it becomes the live one.
    RollBack {
        /// Whether what it had a part in is purged.
        purge: bool,
    },
}

/// How a version is deployed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeployQuery {
    share: Option<String>,
    sticky: Option<String>,
    #[serde(default)]
    shadow: bool,
    signature: Option<String>,
}

/// Which version is promoted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromoteQuery {
    version: Option<String>,
}

/// What a rollback does beside.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollBackQuery {
    #[serde(default)]
    purge: bool,
}

type Asked<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

pub(super) async fn list(State(source): State<Source>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        functions: Vec<FunctionVersions>,
    }
    let functions = source.functions();
    json(StatusCode::OK, &Answer { functions })
}

pub(super) async fn one(State(source): State<Source>, Path(name): Path<String>) -> Response {
    match source.function(&name) {
        Ok(function) => json(StatusCode::OK, &function),
        Err(refused) => refuse(&refused),
    }
}

pub(super) async fn deploy(
    State(source): State<Source>,
    Path(name): Path<String>,
    query: Asked<DeployQuery>,
    body: Body,
) -> Response {
    let how = match query {
        Ok(Query(query)) => mode(&query).map(|mode| (mode, query.signature)),
        Err(wrong) => Err((
            wrong.body_text(),
            "`share` and `sticky` or `shadow=true`, and `signature`",
        )),
    };
    let (mode, signature) = match how {
        Ok(how) => how,
        Err((what, expected)) => return refusal(StatusCode::BAD_REQUEST, &what, expected),
    };
    // Before megabytes are read for nothing.
    if let Err(refused) = source.function(&name) {
        return refuse(&refused);
    }
    let component = match content::read_component(body, source.component_bytes_max()).await {
        Ok(component) => component.into(),
        Err(refused) => return refused,
    };
    let new = NewVersion {
        component,
        mode,
        signature,
    };
    change(source, name, FunctionAction::Deploy(new)).await
}

fn mode(query: &DeployQuery) -> Result<Option<BesideMode>, (String, &'static str)> {
    let sticky = match &query.sticky {
        None => None,
        Some(text) => Some(Sticky::parse(text).ok_or_else(|| {
            (
                format!("`sticky` is `{}`", text.escape_debug()),
                Sticky::EXPECTED,
            )
        })?),
    };
    if query.shadow {
        return match (&query.share, sticky) {
            (None, None) => Ok(Some(BesideMode::Shadow)),
            _ => Err((
                "a version in the shadow has no share".to_owned(),
                "`share` or `shadow`",
            )),
        };
    }
    let Some(text) = &query.share else {
        return match sticky {
            None => Ok(None),
            Some(_) => Err(("`sticky` without `share`".to_owned(), Share::EXPECTED)),
        };
    };
    let share = Share::parse_percent(text).ok_or_else(|| {
        (
            format!("`share` is `{}`", text.escape_debug()),
            Share::EXPECTED,
        )
    })?;
    Ok(Some(BesideMode::Share(Share {
        share,
        sticky: sticky.unwrap_or_default(),
    })))
}

pub(super) async fn promote(
    State(source): State<Source>,
    Path(name): Path<String>,
    query: Asked<PromoteQuery>,
) -> Response {
    match query {
        Ok(Query(query)) => change(source, name, FunctionAction::Promote(query.version)).await,
        Err(wrong) => {
            let expected = "`version`, the beginning of a digest, or nothing";
            refusal(StatusCode::BAD_REQUEST, &wrong.body_text(), expected)
        }
    }
}

pub(super) async fn roll_back(
    State(source): State<Source>,
    Path(name): Path<String>,
    query: Asked<RollBackQuery>,
) -> Response {
    match query {
        Ok(Query(RollBackQuery { purge })) => {
            change(source, name, FunctionAction::RollBack { purge }).await
        }
        Err(wrong) => {
            let expected = "`purge=true` or nothing";
            refusal(StatusCode::BAD_REQUEST, &wrong.body_text(), expected)
        }
    }
}

/// On a task of its own: a client that goes away does not leave an action half done.
async fn change(source: Source, name: String, action: FunctionAction) -> Response {
    let task = tokio::spawn(async move { source.change_function(name, action).await });
    match task.await {
        Ok(Ok(changed)) => json(StatusCode::OK, &changed),
        Ok(Err(refused)) => refuse(&refused),
        Err(_panicked) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the action ended without a result; what served before serves on",
            "the node's log says more",
        ),
    }
}

fn refuse(refused: &Refusal) -> Response {
    let status = match refused.kind {
        RefusalKind::Unknown => StatusCode::NOT_FOUND,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::Unfit => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refusal(status, &refused.what, &refused.expected)
}
