//! Counts and measures: `/count/NAME/PLAN` adds one to a counter with the label `plan`,
//! `/observe/NAME/VALUE` a value to a histogram. Answers how that went.

use verge_sdk::http::StatusCode;
use verge_sdk::metrics::{counter, histogram};
use verge_sdk::{Error, Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn count(request: &mut Request) -> Result<Verdict, Error> {
    let path = request.path();
    let mut parts = path.split('/').skip(1);
    let (what, name, value) = (parts.next(), parts.next(), parts.next());
    let (name, value) = (name.unwrap_or_default(), value.unwrap_or_default());
    let done = match what {
        Some("count") => counter(name).label("plan", value).add(1),
        Some("observe") => histogram(name).observe(value.parse()?),
        _ => return Ok(Verdict::Next),
    };
    let answer = match done {
        Ok(()) => "counted".to_owned(),
        Err(error) => error.to_string(),
    };
    Ok(Verdict::Respond(
        Response::new(StatusCode::OK).with_body(answer),
    ))
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Host, Request};

    #[test]
    fn what_the_path_says_is_counted() {
        let host = Host::new();
        for path in [
            "/count/logins/pro",
            "/count/logins/pro",
            "/observe/basket/2.5",
        ] {
            let _ = super::count(&mut Request::get(path).build()).expect("it answers");
        }
        assert_eq!(host.counted("logins", &[("plan", "pro")]), 2);
        assert_eq!(host.observed("basket", &[]), [2.5]);
    }
}
