//! A `wasi:http` 0.2 handler that passes requests on to the URI in their field `x-to`, with fields,
//! content and trailers, and the answer back. An error is answered with 502 and its name.

#[cfg(target_arch = "wasm32")]
mod component {
    use wasip2::http::outgoing_handler;
    use wasip2::http::types::{
        ErrorCode, Fields, FutureTrailers, IncomingBody, IncomingRequest, IncomingResponse,
        OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
    };
    use wasip2::io::streams::StreamError;

    /// How much is asked for at once.
    const PIECE: u64 = 16 * 1024;

    #[allow(
        unsafe_code,
        reason = "a component's export is a symbol with a fixed name"
    )]
    mod export {
        use super::Gateway;
        wasip2::http::proxy::export!(Gateway);
    }

    struct Gateway;

    impl wasip2::exports::http::incoming_handler::Guest for Gateway {
        fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
            match forward(&request) {
                Ok(response) => answer(&response, outparam),
                Err(error) => refuse(&error, outparam),
            }
        }
    }

    fn internal(what: &str) -> ErrorCode {
        ErrorCode::InternalError(Some(what.to_owned()))
    }

    fn forward(request: &IncomingRequest) -> Result<IncomingResponse, ErrorCode> {
        let fields = request.headers();
        let uri = fields.get("x-to").into_iter().next().unwrap_or_default();
        let uri = String::from_utf8(uri).map_err(|_| internal("x-to"))?;
        let (scheme, rest) = uri.split_once("://").ok_or(internal("x-to"))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let outgoing = OutgoingRequest::new(copy(&fields)?);
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        let refused = |()| internal("target");
        outgoing.set_method(&request.method()).map_err(refused)?;
        outgoing.set_scheme(Some(&scheme)).map_err(refused)?;
        outgoing.set_authority(Some(authority)).map_err(refused)?;
        outgoing.set_path_with_query(Some(path)).map_err(refused)?;
        let to = outgoing.body().map_err(refused)?;
        let from = request.consume().map_err(refused)?;
        // On its way before its content is there.
        let answer = outgoing_handler::handle(outgoing, None)?;
        match copy_content(from, to) {
            // An answer that came early says more than a request that was not taken.
            Ok(()) | Err(()) => {}
        }
        answer.subscribe().block();
        match answer.get() {
            Some(Ok(answered)) => answered,
            Some(Err(())) | None => Err(internal("no answer")),
        }
    }

    fn copy(fields: &Fields) -> Result<Fields, ErrorCode> {
        let own = fields.entries();
        let own = own
            .into_iter()
            .filter(|(name, _)| name != "host" && name != "content-length");
        Fields::from_list(&own.collect::<Vec<_>>()).map_err(|error| internal(&error.to_string()))
    }

    fn answer(response: &IncomingResponse, outparam: ResponseOutparam) {
        let fields = match copy(&response.headers()) {
            Ok(fields) => fields,
            Err(error) => return ResponseOutparam::set(outparam, Err(error)),
        };
        let answer = OutgoingResponse::new(fields);
        let _ = answer.set_status_code(response.status());
        let bodies = answer.body().and_then(|to| Ok((response.consume()?, to)));
        ResponseOutparam::set(outparam, Ok(answer));
        if let Ok((from, to)) = bodies {
            // Without an end the answer stays incomplete, which is what a failure is.
            let _ = copy_content(from, to);
        }
    }

    /// Content and trailers, as they arrive.
    fn copy_content(from: IncomingBody, to: OutgoingBody) -> Result<(), ()> {
        {
            let (input, output) = (from.stream()?, to.write()?);
            loop {
                match output.blocking_splice(&input, PIECE) {
                    Ok(_) => {}
                    Err(StreamError::Closed) => break,
                    Err(StreamError::LastOperationFailed(_)) => return Err(()),
                }
            }
            output.blocking_flush().map_err(drop)?;
        }
        let trailers = IncomingBody::finish(from);
        OutgoingBody::finish(to, ended(&trailers)?).map_err(drop)
    }

    fn ended(trailers: &FutureTrailers) -> Result<Option<Fields>, ()> {
        trailers.subscribe().block();
        match trailers.get() {
            Some(Ok(Ok(Some(fields)))) => copy(&fields).map(Some).map_err(drop),
            Some(Ok(Ok(None))) => Ok(None),
            _ => Err(()),
        }
    }

    fn refuse(error: &ErrorCode, outparam: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let _ = response.set_status_code(502);
        let body = response.body();
        ResponseOutparam::set(outparam, Ok(response));
        let Ok(body) = body else { return };
        if let Ok(output) = body.write() {
            let _ = output.blocking_write_and_flush(format!("{error:?}").as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}
