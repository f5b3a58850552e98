//! The `wasi:http` side: one handler, which answers and then copies content as it arrives.

use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

use crate::greeting;

/// How much is asked for at once.
const PIECE: u64 = 16 * 1024;

/// How many bytes a host takes at once.
const WRITE: usize = 4096;

#[allow(
    unsafe_code,
    reason = "a component's export is a symbol with a fixed name"
)]
mod export {
    use super::Hello;
    wasip2::http::proxy::export!(Hello);
}

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or("/".into());
        let text = greeting(method(&request.method()), &path);
        let response = match head() {
            Ok(response) => response,
            Err(error) => return ResponseOutparam::set(outparam, Err(error)),
        };
        // The head is on its way before the first byte of content is.
        let body = response.body();
        ResponseOutparam::set(outparam, Ok(response));
        let Ok(body) = body else { return };
        if write(&body, &text, &request).is_ok() {
            // Without `finish` the response stays incomplete, which is what a failure is.
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

fn head() -> Result<OutgoingResponse, ErrorCode> {
    let fields = Fields::new();
    let kind = b"text/plain; charset=utf-8".to_vec();
    fields
        .append("content-type", &kind)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    Ok(OutgoingResponse::new(fields))
}

/// The greeting, then the request's content. Neither is ever held as a whole.
fn write(body: &OutgoingBody, text: &str, request: &IncomingRequest) -> Result<(), ()> {
    let output = body.write()?;
    for piece in text.as_bytes().chunks(WRITE) {
        output.blocking_write_and_flush(piece).map_err(drop)?;
    }
    let content = request.consume()?;
    let input = content.stream()?;
    loop {
        match output.blocking_splice(&input, PIECE) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return Err(()),
        }
    }
    output.blocking_flush().map_err(drop)
}

fn method(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => other,
    }
}
