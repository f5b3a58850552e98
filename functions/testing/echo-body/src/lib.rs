//! Streams content through itself, in capital letters, piece by piece: of a stored response in
//! `origin-response`, of any response in `viewer-response`. In `viewer-request` it answers a `POST`
//! with the request's content.

use verge_sdk::http::{Method, StatusCode};
use verge_sdk::{BodyError, Error, Request, Response, Verdict};

const PIECE: u32 = 16 * 1024;
const LIMIT: usize = 1 << 20;

#[verge_sdk::viewer_request]
fn answer(request: &mut Request) -> Result<Verdict, Error> {
    if request.method() != Method::POST {
        return Ok(Verdict::Next);
    }
    match request.read_body(LIMIT) {
        Ok(content) => Ok(Response::new(StatusCode::OK).with_body(content).into()),
        Err(BodyError::TooLarge) => Ok(Response::new(StatusCode::PAYLOAD_TOO_LARGE).into()),
        Err(error) => Err(error.into()),
    }
}

#[verge_sdk::origin_response]
fn stored(_request: &Request, response: &mut Response) -> Result<(), BodyError> {
    shout(response)
}

#[verge_sdk::viewer_response]
fn sent(_request: &Request, response: &mut Response) -> Result<(), BodyError> {
    shout(response)
}

fn shout(response: &mut Response) -> Result<(), BodyError> {
    // Neither can have content (RFC 9110 6.4.1).
    if matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        return Ok(());
    }
    let mut reader = response.body()?;
    let mut writer = response.stream_body()?;
    while let Some(mut piece) = reader.next_piece(PIECE)? {
        piece.make_ascii_uppercase();
        writer.write_piece(piece)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing;

    use super::*;

    #[test]
    fn content_comes_through_whole() {
        let request = testing::Request::get("/").build();
        let content = "piece by piece ".repeat(10_000);
        let mut response = testing::Response::ok().body(&content).build();
        stored(&request, &mut response).expect("it streams");
        let all = response.read_body(1 << 20).expect("it is complete");
        assert_eq!(all, content.to_ascii_uppercase().as_bytes());
    }

    #[test]
    fn content_cut_short_stays_incomplete() {
        let request = testing::Request::get("/").build();
        let mut response = testing::Response::ok().incomplete_body("half").build();
        assert_eq!(sent(&request, &mut response), Err(BodyError::Incomplete));
        assert_eq!(response.read_body(10), Err(BodyError::Incomplete));
    }

    #[test]
    fn post_is_answered_with_its_content() {
        let mut request = testing::Request::post("/").body("ping").build();
        let verdict = answer(&mut request).expect("it answers");
        let mut response = testing::responded(verdict);
        assert_eq!(response.read_body(10).expect("it has content"), b"ping");
    }
}
