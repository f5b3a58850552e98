//! Leaves work for after the response, in every trigger: its name and the path. The query `times=N`
//! leaves N payloads, `bytes=N` one of that size, each in viewer-request alone. The work is a log
//! line `after TRIGGER PATH`; a path that begins with `/spin` computes without end, one with
//! `/again` tries to leave work itself, one with `/fail` fails.

use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict, defer, log};

#[verge_sdk::viewer_request]
fn before_cache(request: &mut Request) -> Result<Verdict, Error> {
    let query = request.query().unwrap_or_default().to_owned();
    if let Some(times) = query.strip_prefix("times=") {
        let mut last = "left".to_owned();
        for _ in 0..times.parse::<u32>()? {
            if let Err(error) = defer::later(format!("viewer-request {}", request.path())) {
                last = error.to_string();
            }
        }
        return Ok(Verdict::Respond(
            Response::new(StatusCode::OK).with_body(last),
        ));
    }
    if let Some(bytes) = query.strip_prefix("bytes=") {
        let left = defer::later(vec![b'x'; bytes.parse()?]);
        let answer = left.map_or_else(|error| error.to_string(), |()| "left".into());
        return Ok(Verdict::Respond(
            Response::new(StatusCode::OK).with_body(answer),
        ));
    }
    defer::later(format!("viewer-request {}", request.path()))?;
    Ok(Verdict::Next)
}

#[verge_sdk::origin_request]
fn before_origin(request: &mut Request) -> Result<Verdict, Error> {
    defer::later(format!("origin-request {}", request.path()))?;
    Ok(Verdict::Next)
}

#[verge_sdk::origin_response]
fn behind_origin(request: &Request, _response: &mut Response) -> Result<(), Error> {
    Ok(defer::later(format!("origin-response {}", request.path()))?)
}

#[verge_sdk::viewer_response]
fn behind_cache(request: &Request, _response: &mut Response) -> Result<(), Error> {
    Ok(defer::later(format!("viewer-response {}", request.path()))?)
}

#[verge_sdk::deferred]
fn after(payload: &[u8]) -> Result<(), Error> {
    let text = String::from_utf8_lossy(payload);
    let path = text.split(' ').nth(1).unwrap_or_default();
    if path.starts_with("/spin") {
        loop {
            std::hint::spin_loop();
        }
    }
    if path.starts_with("/again") {
        let again = defer::later("more").map_err(|error| error.to_string());
        log::info!("again {again:?}");
    }
    if path.starts_with("/fail") {
        return Err(Error::new("it failed on purpose"));
    }
    log::info!("after {text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Host, Request};

    #[test]
    fn what_is_left_is_logged_after_the_response() {
        let host = Host::new();
        let _ = super::before_cache(&mut Request::get("/a").build()).expect("it goes on");
        assert!(host.logged().is_empty());
        for payload in host.deferred() {
            super::after(&payload).expect("it works");
        }
        let lines = host.logged();
        let first = lines.first().map(|line| line.message.as_str());
        assert_eq!(first, Some("after viewer-request /a"));
    }
}
