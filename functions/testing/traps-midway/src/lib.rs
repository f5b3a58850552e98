//! Hostile: answers, and traps in the middle of its content; at `/head` before any of it was
//! written.

use verge_sdk::http::StatusCode;
use verge_sdk::{BodyError, Request, Response, Verdict};

const PIECE: usize = 16 * 1024;

#[verge_sdk::viewer_request]
fn answer(request: &mut Request) -> Result<Verdict, BodyError> {
    let mut response = Response::new(StatusCode::OK);
    let mut writer = response.stream_body()?;
    let pieces = if request.path() == "/head" { 0 } else { 64 };
    for _ in 0..pieces {
        writer.write_piece(vec![b'x'; PIECE])?;
    }
    unreachable!("this function always traps midway")
}
