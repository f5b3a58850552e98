//! Answers with settings: `/NAME` as it was written, `/secret/NAME` the number of a secret's bytes.

use verge_sdk::http::StatusCode;
use verge_sdk::{Request, Response, Verdict, config, secret};

#[verge_sdk::viewer_request]
fn read(request: &mut Request) -> Verdict {
    let name = request.path().trim_start_matches('/').to_owned();
    let answer = match name.strip_prefix("secret/") {
        Some(name) => match secret::get(name) {
            Some(secret) => format!("{} bytes, {secret:?}", secret.expose().len()),
            None => "no such secret".to_owned(),
        },
        None => format!("{:?} {:?}", config::value(&name), config::get(&name)),
    };
    Verdict::Respond(Response::new(StatusCode::OK).with_body(answer))
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Host, Request, responded};

    #[test]
    fn settings_have_their_types() {
        let _host = Host::new().config("limit", 3).secret("key", "sesame");
        let answer = |path| {
            let verdict = super::read(&mut Request::get(path).build());
            responded(verdict).read_body(1000).expect("it has content")
        };
        assert_eq!(answer("/limit"), b"Some(Integer(3)) Some(\"3\")");
        assert_eq!(answer("/secret/key"), b"6 bytes, Secret(..)");
    }
}
