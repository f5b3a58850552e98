//! Keeps what it should not: at `/tell` it answers with the query of the request before, at `/first`
//! with that of the first one there, at `/mark` it lets the request go on with a field that says how
//! many there were. Anywhere else it answers with its own query, and remembers all the same.

#![allow(
    clippy::disallowed_types,
    reason = "a guest has one thread, and what it keeps is a static"
)]

use std::sync::{Mutex, OnceLock};

use verge_sdk::http::StatusCode;
use verge_sdk::{EditError, Request, Response, Verdict};

#[derive(Default)]
struct Memory {
    query: String,
    requests: u32,
}

static MEMORY: Mutex<Memory> = Mutex::new(Memory {
    query: String::new(),
    requests: 0,
});

/// What is made for the first request, and stays: as a client or a setting that was built for it.
static FIRST: OnceLock<String> = OnceLock::new();

#[verge_sdk::viewer_request]
fn remember(request: &mut Request) -> Result<Verdict, EditError> {
    let query = request.query().unwrap_or_default().to_owned();
    let before = {
        let mut memory = MEMORY.lock().unwrap_or_else(|held| held.into_inner());
        let requests = memory.requests + 1;
        std::mem::replace(
            &mut *memory,
            Memory {
                query: query.clone(),
                requests,
            },
        )
    };
    let answer = match request.path() {
        "/tell" => before.query,
        "/first" => FIRST.get_or_init(|| query).clone(),
        "/mark" => {
            let number = before.requests.to_string();
            request.edit().set("x-before", &number).apply()?;
            return Ok(Verdict::Next);
        }
        _ => query,
    };
    Ok(Verdict::Respond(
        Response::new(StatusCode::OK).with_body(answer),
    ))
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Host, Request, responded};

    #[test]
    fn it_tells_what_was_asked_before() {
        let _host = Host::new();
        let answer = |path| {
            let verdict = super::remember(&mut Request::get(path).build()).expect("it answers");
            responded(verdict).read_body(1000).expect("it has content")
        };
        assert_eq!(answer("/a?user=ada"), b"user=ada");
        assert_eq!(answer("/tell?user=bob"), b"user=ada");
        assert_eq!(answer("/tell"), b"user=bob");
        assert_eq!(answer("/first?user=ada"), b"user=ada");
        assert_eq!(answer("/first?user=bob"), b"user=ada");
    }
}
