//! What is checked: each function, with fresh instances and with ones that stay; and the requests
//! that it is given.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
use verge_base::Clock;
use verge_http::Body;
use verge_runtime::{
    Capabilities, ClientFacts, Context, EdgeRequest, Engine, EngineSettings, Function,
    FunctionSettings, Grants, Isolation, Limits, LoadError, QuarantineSettings,
};

use super::super::check;
use super::shown;
use super::watched::{Missed, Watched};
use crate::deploy::store::COMPONENT_BYTES_MAX;
use crate::files;
use crate::generation;

/// Calls may take as long as a slow machine needs: this is about what they answer.
const PATIENCE: Duration = Duration::from_secs(10);

const AUTHORITY: &str = "reuse-check.example";

/// One instance for all calls.
const REUSED: Isolation = Isolation::Reused {
    idle: 1,
    requests: u32::MAX,
    time: Duration::from_secs(3600),
};

/// A function, with fresh instances and with ones that stay.
pub(super) struct Subject {
    pub(super) fresh: Function,
    /// One for each order of requests.
    pub(super) reused: [Function; 2],
    /// What it asked for and was not there.
    pub(super) missed: Arc<Missed>,
}

/// A function's name, and why it cannot be checked if it cannot.
pub(super) type Named = (String, Result<Subject, String>);

/// The functions of a configuration, all of them or those named.
pub(super) fn of_config(path: &Path, names: &[String]) -> Result<Vec<Named>, String> {
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
        let own = Arc::clone(&entry.capabilities) as Arc<dyn Capabilities>;
        let subject = Subject::load(Some(own), |isolation, capabilities| {
            generation::isolated(&engine, entry, isolation, capabilities)
        });
        let subject = subject.map_err(|error| format!("function.{}: {error}", entry.name));
        (entry.name.to_string(), subject)
    });
    Ok(subjects.collect())
}

/// Components as they are.
pub(super) fn of_files(files: &[String]) -> Result<Vec<Named>, String> {
    if files.is_empty() {
        return Err("nothing to check; give --config FILE, or component files".into());
    }
    let engine = Engine::new(EngineSettings::default(), Clock::system())
        .map_err(|error| error.to_string())?;
    let subjects = files
        .iter()
        .map(|file| (file.clone(), of_file(&engine, file)));
    Ok(subjects.collect())
}

fn of_file(engine: &Engine, file: &str) -> Result<Subject, String> {
    let bytes = files::read_bounded(Path::new(file), COMPONENT_BYTES_MAX)?;
    let compiled = engine
        .compile(&bytes)
        .map_err(|error| format!("{file}: {error}"))?;
    let subject = Subject::load(None, |isolation, capabilities| {
        let settings = FunctionSettings {
            name: file.into(),
            limits: Limits {
                cpu: PATIENCE,
                deadline: PATIENCE,
                ..Limits::default()
            },
            grants: Grants::ALL,
            capabilities,
            quarantine: off(),
            isolation,
        };
        engine.load(&compiled, settings)
    });
    subject.map_err(|error| format!("{file}: {error}"))
}

impl Subject {
    fn load(
        own: Option<Arc<dyn Capabilities>>,
        load: impl Fn(Isolation, Arc<dyn Capabilities>) -> Result<Function, LoadError>,
    ) -> Result<Self, LoadError> {
        let missed = Arc::new(Missed::default());
        let capabilities = Arc::new(Watched {
            own,
            missed: Arc::clone(&missed),
        });
        let load = |isolation| {
            load(
                isolation,
                Arc::clone(&capabilities) as Arc<dyn Capabilities>,
            )
        };
        Ok(Self {
            fresh: load(Isolation::Fresh)?,
            reused: [load(REUSED)?, load(REUSED)?],
            missed,
        })
    }
}

fn off() -> QuarantineSettings {
    QuarantineSettings {
        failures: 0,
        ..QuarantineSettings::default()
    }
}

/// A request of one of the two, A or B, from an address of its own.
pub(super) struct Sample<'a> {
    target: &'a str,
    address: IpAddr,
    has_content: bool,
}

impl<'a> Sample<'a> {
    /// A and B without content, and both with.
    ///
    /// # Errors
    /// One of them is no target.
    pub(super) fn all(a: &'a str, b: &'a str) -> Result<[Self; 4], String> {
        // Addresses that are nobody's (RFC 5737).
        let sample = |target, last, has_content| {
            path_of(target)?;
            fields_of(target)?;
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
            Ok::<_, String>(Self {
                target,
                address,
                has_content,
            })
        };
        Ok([
            sample(a, 1, false)?,
            sample(b, 2, false)?,
            sample(a, 1, true)?,
            sample(b, 2, true)?,
        ])
    }

    fn method(&self) -> Method {
        match self.has_content {
            true => Method::POST,
            false => Method::GET,
        }
    }

    fn body(&self) -> Body {
        match self.has_content {
            true => Body::from(Bytes::from(format!("content of {}", self.target))),
            false => Body::Empty,
        }
    }

    /// For triggers. Its cookie is the target too, so that requests differ in more than one
    /// place.
    pub(super) fn request(&self) -> Result<EdgeRequest, String> {
        Ok(EdgeRequest {
            method: self.method(),
            scheme: Scheme::HTTPS,
            authority: Authority::from_static(AUTHORITY),
            path_and_query: path_of(self.target)?,
            fields: fields_of(self.target)?,
            client: Arc::new(ClientFacts {
                address: self.address,
                port: 40_000,
                protocol: Version::HTTP_2,
                tls: Some("TLSv1.3"),
            }),
            id: "reuse-check".into(),
            body: self.body(),
            context: Context::default(),
        })
    }

    /// The same for a handler, which is told the address as origins are.
    pub(super) fn handled_request(&self) -> Result<http::Request<Body>, String> {
        let target = self.target;
        let mut request = http::Request::builder()
            .method(self.method())
            .uri(format!("https://{AUTHORITY}{target}"))
            .header("x-forwarded-for", self.address.to_string())
            .body(self.body())
            .map_err(|error| format!("{target}: {error}"))?;
        request.headers_mut().extend(fields_of(target)?);
        Ok(request)
    }

    /// What response triggers are given, and what middleware has behind it.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(Bytes::from(format!(
            "content for {}",
            self.target
        ))));
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
