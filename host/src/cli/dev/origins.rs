//! Origins of a node that a developer runs: one server in this process for
//! each origin of the configuration, in its place. It answers by itself, or
//! asks the real one, or does what it is told to do wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use verge_base::{Clock, ClockJumps, Random};
use verge_http::failure::ClientFault;
use verge_http::{Body, Failure};
use verge_origin::Origin;

use super::fault::{Fault, FaultKind};
use crate::generation::origin_settings;

/// How long a real origin may take to be found listening.
const PROBE_TIME: Duration = Duration::from_millis(500);
/// Between two tries to listen, or to accept, when the system refuses.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the answers of an origin come from.
enum Answers {
    /// Pages of our own.
    Embedded(AtomicU64),
    /// The origin of the configuration.
    Real(Origin),
}

/// What all connections of an origin share.
struct Server {
    answers: Answers,
    /// The node's clock.
    clock: Clock,
    /// By how much it is ahead of everybody else's.
    jumps: ClockJumps,
}

/// Which origins are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Which {
    /// The configured one if somebody listens there when `verge dev` starts, else the embedded one.
    Auto,
    /// Pages that `verge dev` makes.
    Embedded,
    /// Those of the configuration.
    Configured,
}

/// The server in place of one origin.
pub(super) struct LocalOrigin {
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    /// Where its answers come from, in words.
    pub(super) source: String,
    fault: watch::Sender<Told>,
}

/// What an origin was told last; the number tells it apart from the same fault told again.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    kind: FaultKind,
    number: u64,
}

impl LocalOrigin {
    /// Starts it, on a free port of the loopback.
    ///
    /// # Errors
    /// No port can be had, or the settings are not right.
    pub(super) async fn start(
        settings: &verge_config::Origin,
        which: Which,
        clock: &Clock,
        jumps: &ClockJumps,
    ) -> Result<Self, String> {
        let place = listed(settings);
        let is_real = match which {
            Which::Embedded => false,
            Which::Configured => true,
            Which::Auto => listens(settings).await,
        };
        let (answers, source) = if is_real {
            let wanted =
                origin_settings(settings).map_err(|(key, what)| format!("{key}: {what}"))?;
            let origin = Origin::new(wanted, clock.clone(), &Random::system())
                .map_err(|error| error.to_string())?;
            (Answers::Real(origin), place)
        } else {
            let why = match which {
                Which::Auto => format!("embedded, since nothing listens on {place}"),
                Which::Embedded | Which::Configured => "embedded".to_owned(),
            };
            (Answers::Embedded(AtomicU64::new(0)), why)
        };
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|error| format!("no port for the origin: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (fault, told) = watch::channel(Told::default());
        tokio::spawn(serve(
            listener,
            address,
            Arc::new(Server {
                answers,
                clock: clock.clone(),
                jumps: jumps.clone(),
            }),
            told,
        ));
        Ok(Self {
            name: Arc::clone(&settings.name),
            address,
            source,
            fault,
        })
    }
}

fn listed(settings: &verge_config::Origin) -> String {
    let addresses: Vec<String> = settings.addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// Whether somebody listens at one of the origin's addresses.
async fn listens(settings: &verge_config::Origin) -> bool {
    for address in &settings.addresses {
        let connecting = TcpStream::connect((address.host(), address.port()));
        if matches!(timeout(PROBE_TIME, connecting).await, Ok(Ok(_))) {
            return true;
        }
    }
    false
}

/// Tells all origins, or the one that is named, what to do wrong. Gives who was told.
///
/// # Errors
/// There is no origin of that name.
pub(super) fn tell(origins: &[LocalOrigin], fault: &Fault) -> Result<Vec<Arc<str>>, String> {
    let concerned: Vec<&LocalOrigin> = origins
        .iter()
        .filter(|origin| {
            fault
                .origin
                .as_deref()
                .is_none_or(|name| name == &*origin.name)
        })
        .collect();
    if concerned.is_empty() {
        let known: Vec<&str> = origins.iter().map(|origin| &*origin.name).collect();
        return Err(match &fault.origin {
            Some(name) => format!("there is no origin `{name}`; known: {}", known.join(", ")),
            None => "the configuration has no origin".to_owned(),
        });
    }
    for origin in &concerned {
        let number = origin.fault.borrow().number + 1;
        let kind = fault.kind;
        origin.fault.send_replace(Told { kind, number });
        if let Some(time) = fault.lasts {
            let told = origin.fault.clone();
            tokio::spawn(async move {
                sleep(time).await;
                // Another one that took its place stays.
                told.send_if_modified(|now| {
                    let is_it = now.number == number;
                    if is_it {
                        now.kind = FaultKind::None;
                    }
                    is_it
                });
            });
        }
    }
    Ok(concerned
        .iter()
        .map(|origin| Arc::clone(&origin.name))
        .collect())
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    server: Arc<Server>,
    mut told: watch::Receiver<Told>,
) {
    let mut listener = Some(listener);
    loop {
        let fault = told.borrow_and_update().kind;
        match (&listener, fault) {
            (Some(_), FaultKind::Refuse) => listener = None,
            (None, FaultKind::Refuse) => {
                if told.changed().await.is_err() {
                    return;
                }
            }
            (None, _) => match TcpListener::bind(address).await {
                Ok(again) => listener = Some(again),
                Err(_) => sleep(PAUSE).await,
            },
            (Some(open), _) => tokio::select! {
                changed = told.changed() => if changed.is_err() {
                    return;
                },
                accepted = open.accept() => match accepted {
                    Ok((stream, _)) => {
                        tokio::spawn(connection(stream, Arc::clone(&server), told.clone()));
                    }
                    Err(_) => sleep(PAUSE).await,
                },
            },
        }
    }
}

async fn connection(stream: TcpStream, server: Arc<Server>, mut told: watch::Receiver<Told>) {
    // Without it a small answer waits for more of it.
    let _ = stream.set_nodelay(true);
    let fault = told.clone();
    let service = service_fn(move |request| {
        let (server, fault) = (Arc::clone(&server), fault.borrow().kind);
        async move {
            let mut response = answer(&server.answers, fault, request).await?;
            server.shift_dates(response.headers_mut());
            Ok::<_, Failure>(response)
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let refused = async {
        // The sender going away ends the process.
        let _ = told.wait_for(|told| told.kind == FaultKind::Refuse).await;
    };
    tokio::select! {
        _ = serving => {}
        () = refused => {}
    }
}

impl Server {
    /// An origin in the node's own time: without it a clock that is ahead would make every new
    /// response old (RFC 9111 4.2.3).
    fn shift_dates(&self, fields: &mut HeaderMap) {
        let ahead = self.jumps.ahead();
        for name in [header::DATE, header::EXPIRES] {
            let date = fields.get(&name).and_then(|value| value.to_str().ok());
            if let Some(date) = date.and_then(|text| httpdate::parse_http_date(text).ok()) {
                put_date(fields, name, date.checked_add(ahead).unwrap_or(date));
            }
        }
        if !fields.contains_key(header::DATE) {
            put_date(fields, header::DATE, self.clock.wall());
        }
    }
}

/// The first moment that has no such date: five digits for its year.
const DATES_END: Duration = Duration::from_secs(253_402_300_800);

/// Puts a date there (RFC 9110 5.6.7), the last one that there is in place of a later one.
pub(in crate::cli) fn put_date(fields: &mut HeaderMap, name: header::HeaderName, date: SystemTime) {
    let last = SystemTime::UNIX_EPOCH + DATES_END - Duration::from_secs(1);
    let date = date.clamp(SystemTime::UNIX_EPOCH, last);
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(date)) {
        fields.insert(name, value);
    }
}

/// An error closes the connection without an answer.
async fn answer(
    answers: &Answers,
    fault: FaultKind,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    match fault {
        FaultKind::Status(status) => return Ok(failing(status)),
        FaultKind::Delay(delay) => sleep(delay).await,
        FaultKind::None | FaultKind::Refuse => {}
    }
    match answers {
        Answers::Embedded(asked) => Ok(page(asked.fetch_add(1, Ordering::Relaxed) + 1, &request)),
        Answers::Real(origin) => match origin.send(outgoing(request)).await {
            Ok(answered) => Ok(answered.response),
            Err(failed) => Err(failed.failure),
        },
    }
}

/// The request as it goes on to the real origin: its target with its authority.
fn outgoing(request: Request<Incoming>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    let authority = head.headers.get(header::HOST).cloned();
    let mut parts = head.uri.clone().into_parts();
    if let Some(authority) = authority.and_then(|value| value.as_bytes().try_into().ok()) {
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(authority);
        if let Ok(uri) = http::Uri::from_parts(parts) {
            head.uri = uri;
        }
    }
    let body = body.map_err(|_| Failure::Client(ClientFault::BodyIncomplete));
    Request::from_parts(head, Body::stream(body))
}

fn failing(status: StatusCode) -> Response<Body> {
    let text = format!("{} by order of `verge dev`\n", status.as_u16());
    with(status, "text/plain; charset=utf-8", text)
}

fn with(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The embedded origin's page: what it was asked, field by field.
fn page(number: u64, request: &Request<Incoming>) -> Response<Body> {
    let (method, path) = (request.method(), escaped(&request.uri().to_string()));
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{path}</title></head>\n<body>\n\
         <h1>{method} {path}</h1>\n<p>From the embedded origin of <code>verge dev</code>; it has answered {number} \
         requests. The request as it came here:</p>\n<pre>\n"
    );
    text.push_str(&fields(request.headers()));
    text.push_str("</pre>\n</body></html>\n");
    let mut response = with(StatusCode::OK, "text/html; charset=utf-8", text);
    if matches!(*method, Method::GET | Method::HEAD) {
        let minute = HeaderValue::from_static("max-age=60");
        response.headers_mut().insert(header::CACHE_CONTROL, minute);
    }
    response
}

fn fields(fields: &HeaderMap) -> String {
    let line = |(name, value): (&header::HeaderName, &HeaderValue)| {
        let value = escaped(&String::from_utf8_lossy(value.as_bytes()));
        format!("{name}: {value}\n")
    };
    fields.iter().map(line).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_four_digits_for_their_year() {
        let mut fields = HeaderMap::new();
        let end = SystemTime::UNIX_EPOCH + DATES_END;
        for (date, expected) in [
            (
                end - Duration::from_secs(1),
                "Fri, 31 Dec 9999 23:59:59 GMT",
            ),
            (
                end + Duration::from_secs(3600),
                "Fri, 31 Dec 9999 23:59:59 GMT",
            ),
            (SystemTime::UNIX_EPOCH, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            put_date(&mut fields, header::EXPIRES, date);
            assert_eq!(fields[header::EXPIRES], expected);
        }
    }
}
