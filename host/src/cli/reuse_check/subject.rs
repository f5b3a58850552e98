//! What is checked: each function twice, with fresh instances and with one that stays; and the
//! requests that it is given.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
use verge_base::Clock;
use verge_http::Body;
use verge_runtime::{
    CallEnd, CallId, Capabilities, ClientFacts, Context, EdgeRequest, Engine, EngineSettings,
    Function, FunctionSettings, Grants, Isolation, Limits, LogLevel, QuarantineSettings,
};

use super::super::check;
use super::shown;
use crate::deploy::store::COMPONENT_BYTES_MAX;
use crate::files;
use crate::generation;

/// Calls may take as long as a slow machine needs: this is about what they answer.
const PATIENCE: Duration = Duration::from_secs(10);

const AUTHORITY: &str = "reuse-check.example";
const CONTENT: &str = "content";

/// One instance for all calls.
const REUSED: Isolation = Isolation::Reused {
    idle: 1,
    requests: u32::MAX,
    time: Duration::from_secs(3600),
};

/// A function, once with fresh instances and once with one that stays.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) fresh: Function,
    pub(super) reused: Function,
}

/// The functions of a configuration, all of them or those named.
pub(super) fn of_config(path: &Path, names: &[String]) -> Result<Vec<Subject>, String> {
    let (generation, engine) = check::build(path).map_err(|problems| {
        let problems = problems.iter().map(ToString::to_string);
        problems.collect::<Vec<_>>().join("\n")
    })?;
    for name in names {
        if !generation.functions.contains_key(name.as_str()) {
            return Err(format!("{}: there is no [function.{name}]", shown(path)));
        }
    }
    let all = generation.functions.values();
    let chosen = all.filter(|entry| names.is_empty() || names.iter().any(|n| **n == *entry.name));
    let subjects = chosen.map(|entry| {
        let load = |isolation| {
            generation::isolated(&engine, entry, isolation)
                .map_err(|error| format!("function.{}: {error}", entry.name))
        };
        Ok(Subject {
            name: entry.name.to_string(),
            fresh: load(Isolation::Fresh)?,
            reused: load(REUSED)?,
        })
    });
    subjects.collect()
}

/// Components as they are.
pub(super) fn of_files(files: &[String]) -> Result<Vec<Subject>, String> {
    if files.is_empty() {
        return Err("nothing to check; give --config FILE, or component files".into());
    }
    let engine = Engine::new(EngineSettings::default(), Clock::system())
        .map_err(|error| error.to_string())?;
    let subjects = files.iter().map(|file| {
        let bytes = files::read_bounded(Path::new(file), COMPONENT_BYTES_MAX)?;
        let compiled = engine
            .compile(&bytes)
            .map_err(|error| format!("{file}: {error}"))?;
        let load = |isolation| {
            let settings = FunctionSettings {
                name: file.as_str().into(),
                limits: Limits {
                    cpu: PATIENCE,
                    deadline: PATIENCE,
                    ..Limits::default()
                },
                grants: Grants::ALL,
                capabilities: Arc::new(Nothing),
                quarantine: off(),
                isolation,
            };
            let loaded = engine.load(&compiled, settings);
            loaded.map_err(|error| format!("{file}: {error}"))
        };
        Ok(Subject {
            name: file.clone(),
            fresh: load(Isolation::Fresh)?,
            reused: load(REUSED)?,
        })
    });
    subjects.collect()
}

fn off() -> QuarantineSettings {
    QuarantineSettings {
        failures: 0,
        ..QuarantineSettings::default()
    }
}

/// Nothing behind a component's imports.
struct Nothing;

impl Capabilities for Nothing {
    fn config(&self, _name: &str) -> Option<String> {
        None
    }

    fn secret(&self, _name: &str) -> Option<Arc<[u8]>> {
        None
    }

    fn log(&self, _call: &CallId, _level: LogLevel, _message: &str) {}

    fn call_ended(&self, _call: &CallId, _end: &CallEnd) {}
}

/// A request for `target`; its cookie is the target too, so that requests differ in more than one
/// place.
pub(super) fn request_of(target: &str) -> Result<EdgeRequest, String> {
    let path_and_query = path_of(target)?;
    Ok(EdgeRequest {
        method: Method::GET,
        scheme: Scheme::HTTPS,
        authority: Authority::from_static(AUTHORITY),
        path_and_query,
        fields: fields_of(target)?,
        client: Arc::new(ClientFacts {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 40_000,
            protocol: Version::HTTP_2,
            tls: Some("TLSv1.3"),
        }),
        id: "reuse-check".into(),
        body: Body::Empty,
        context: Context::default(),
    })
}

/// The same for a handler.
pub(super) fn handled_request_of(target: &str) -> Result<http::Request<Body>, String> {
    path_of(target)?;
    let mut request = http::Request::get(format!("https://{AUTHORITY}{target}"))
        .body(Body::Empty)
        .map_err(|error| format!("{target}: {error}"))?;
    *request.headers_mut() = fields_of(target)?;
    Ok(request)
}

/// What response triggers are given.
pub(super) fn response() -> Response<Body> {
    let mut response = Response::new(Body::from(CONTENT));
    let fields = [
        ("content-type", "text/plain"),
        ("cache-control", "max-age=60"),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

fn path_of(target: &str) -> Result<PathAndQuery, String> {
    target
        .parse::<PathAndQuery>()
        .ok()
        .filter(|_| target.starts_with('/'))
        .ok_or_else(|| format!("`{target}` is no target; expected a path, such as \"/a?b=c\""))
}

fn fields_of(target: &str) -> Result<HeaderMap, String> {
    let cookie = HeaderValue::from_str(&format!("of={target}"))
        .map_err(|error| format!("{target}: {error}"))?;
    let mut fields = HeaderMap::new();
    fields.insert(http::header::ACCEPT, HeaderValue::from_static("text/html"));
    fields.insert(http::header::COOKIE, cookie);
    Ok(fields)
}
