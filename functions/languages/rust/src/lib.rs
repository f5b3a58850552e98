//! Reads the field `x-name` and answers JSON at `/hello`; every other request goes on.

use serde_json::Value;
use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict};

/// Runs for each request, before the cache is asked.
#[verge_sdk::viewer_request]
fn greet(request: &mut Request) -> Result<Verdict, Error> {
    if request.path_and_query() != "/hello" {
        return Ok(Verdict::Next);
    }
    let name = request.header("x-name");
    let name = name.as_ref().map_or("world".into(), |name| {
        String::from_utf8_lossy(name.as_bytes())
    });
    let answer = Response::new(StatusCode::OK)
        .with_header("content-type", "application/json")
        .with_body(greeting(&name));
    Ok(Verdict::Respond(answer))
}

fn greeting(name: &str) -> String {
    format!(
        "{{\"language\":\"Rust\",\"hello\":{}}}\n",
        Value::from(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use verge_sdk::testing;

    #[test]
    fn the_name_is_quoted_as_json() {
        let text = greeting("Ada \"L\"");
        assert_eq!(
            text,
            "{\"language\":\"Rust\",\"hello\":\"Ada \\\"L\\\"\"}\n"
        );
    }

    #[test]
    fn other_paths_go_on() {
        let _host = testing::Host::new();
        let mut request = testing::Request::get("/hello?Ada").build();
        assert!(matches!(greet(&mut request), Ok(Verdict::Next)));
    }
}
