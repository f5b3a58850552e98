//! Sends requests and answers with what came back. `/one?URI` fetches a URI, `/hasty?URI` with
//! little patience, `/many?URI` ten times at once and then again one after the other, `/upload?URI`
//! passes the client's content on; `/leave?URI` does not wait; `/claim?URI` says who the client is;
//! `/heavy?URI` sends a MiB five times, the last time a byte more, and `/heaviest?URI` eight at once,
//! without waiting. A field `x-pass` is passed on.

use std::time::Duration;

use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict, fetch};

const LIMIT: usize = 1 << 20;
const MEBI: usize = 1 << 20;

/// What only this node's word is good for.
const CLAIMS: [(&str, &str); 4] = [
    ("x-forwarded-for", "203.0.113.9"),
    ("forwarded", "for=203.0.113.9"),
    ("x-real-ip", "203.0.113.9"),
    ("via", "1.1 elsewhere"),
];

#[verge_sdk::viewer_request]
fn handle(request: &mut Request) -> Result<Verdict, Error> {
    let uri = request.query().unwrap_or_default().to_owned();
    let answer = match request.path() {
        "/one" => tell(get(request, &uri).send()),
        "/hasty" => tell(
            get(request, &uri)
                .head_within(Duration::from_millis(50))
                .send(),
        ),
        "/upload" => tell(fetch::Request::post(&uri).pass_on(request.body()?)),
        "/many" => many(&uri, request),
        "/claim" => {
            let mut claims = fetch::Request::get(&uri);
            for (name, value) in CLAIMS {
                claims = claims.header(name, value);
            }
            tell(claims.send())
        }
        "/heavy" => heavy(&uri, &[MEBI, MEBI, MEBI, MEBI, MEBI + 1]),
        "/heaviest" => heavy(&uri, &[8 * MEBI]),
        "/leave" => match fetch::Request::get(&uri).send() {
            Ok(_) => Response::new(StatusCode::OK).with_body("left"),
            Err(error) => Response::new(StatusCode::BAD_GATEWAY).with_body(error.to_string()),
        },
        _ => return Ok(Verdict::Next),
    };
    Ok(answer.into())
}

fn get(request: &Request, uri: &str) -> fetch::Request {
    let fetched = fetch::Request::get(uri);
    match request.header("x-pass") {
        Some(value) => fetched.header("x-pass", value),
        None => fetched,
    }
}

fn tell(sent: Result<fetch::Pending, fetch::FetchError>) -> Response {
    let fetched = sent.and_then(fetch::Pending::wait);
    let mut fetched = match fetched {
        Ok(fetched) => fetched,
        Err(error) => return Response::new(StatusCode::BAD_GATEWAY).with_body(error.to_string()),
    };
    let mut answer = Response::new(fetched.status());
    for name in ["x-origin", "cache-status", "age"] {
        if let Some(value) = fetched.header(name) {
            answer = answer.with_header(format!("x-fetched-{name}"), value);
        }
    }
    match fetched.read_body(LIMIT) {
        Ok(content) => answer.with_body(content),
        Err(error) => Response::new(StatusCode::BAD_GATEWAY).with_body(error.to_string()),
    }
}

/// What became of ten requests at once, then of ten one after the other.
fn many(uri: &str, request: &Request) -> Response {
    let get = || match request.header("x-to") {
        Some(value) => fetch::Request::get(uri).header("x-to", value),
        None => fetch::Request::get(uri),
    };
    let sent: Vec<_> = (0..10).map(|_| get().send()).collect();
    let at_once = sent
        .into_iter()
        .map(|sent| word(sent.and_then(fetch::Pending::wait)));
    let at_once: Vec<String> = at_once.collect();
    let serial = (0..10).map(|_| {
        let sent = fetch::Request::get(uri).send();
        word(sent.and_then(fetch::Pending::wait))
    });
    let serial: Vec<String> = serial.collect();
    let text = format!("{}\n{}", at_once.join(","), serial.join(","));
    Response::new(StatusCode::OK).with_body(text)
}

/// What becomes of requests with so much content, which nobody waits for.
fn heavy(uri: &str, lengths: &[usize]) -> Response {
    let mut pending = Vec::new();
    let mut words = Vec::new();
    for length in lengths {
        match fetch::Request::post(uri).body(vec![b'x'; *length]).send() {
            Ok(sent) => {
                pending.push(sent);
                words.push("sent".to_owned());
            }
            Err(error) => words.push(error.to_string()),
        }
    }
    Response::new(StatusCode::OK).with_body(words.join(","))
}

fn word(fetched: Result<fetch::Response, fetch::FetchError>) -> String {
    match fetched {
        Ok(response) => response.status().as_str().to_owned(),
        Err(error) => error.to_string(),
    }
}
