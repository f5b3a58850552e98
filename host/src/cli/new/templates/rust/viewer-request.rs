//! Greets at `/hello`, and lets every other request go on to the cache and the origin.

use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict, config, log};

/// Runs for each request, before the cache is asked.
#[verge_sdk::viewer_request]
fn greet(request: &mut Request) -> Result<Verdict, Error> {
    if request.path() != "/hello" {
        return Ok(Verdict::Next);
    }
    let greeting = config::get("greeting").unwrap_or("Hello".into());
    let name = request.query().unwrap_or("world");
    log::info!("greeting {name}");
    let answer = Response::new(StatusCode::OK)
        .with_header("content-type", "text/plain; charset=utf-8")
        .with_body(format!("{greeting}, {name}!\n"));
    Ok(Verdict::Respond(answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use verge_sdk::testing;

    #[test]
    fn greets_by_name() {
        let _host = testing::Host::new().config("greeting", "Ciao");
        let mut request = testing::Request::get("/hello?Ada").build();
        let verdict = greet(&mut request).expect("it answers");
        let mut response = testing::responded(verdict);
        let content = response.read_body(100).expect("it has content");
        assert_eq!(content, b"Ciao, Ada!\n");
    }

    #[test]
    fn other_paths_go_on() {
        let _host = testing::Host::new();
        let mut request = testing::Request::get("/other").build();
        assert!(matches!(greet(&mut request), Ok(Verdict::Next)));
    }
}
