//! Answers with what the client hints of the request say.

use verge_sdk::http::StatusCode;
use verge_sdk::{Request, Response, Verdict, device};

#[verge_sdk::viewer_request]
fn read(request: &mut Request) -> Verdict {
    let hints = device::hints(request);
    let brands: Vec<String> = hints
        .brands
        .iter()
        .map(|brand| format!("{}/{}", brand.name, brand.version))
        .collect();
    let answer = format!(
        "{:?} {:?} {}",
        hints.mobile,
        hints.platform,
        brands.join(" ")
    );
    Verdict::Respond(Response::new(StatusCode::OK).with_body(answer))
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Request, responded};

    #[test]
    fn without_hints_nothing_is_known() {
        let verdict = super::read(&mut Request::get("/").build());
        let content = responded(verdict).read_body(1000).expect("it has content");
        assert_eq!(content, b"None None ");
    }
}
