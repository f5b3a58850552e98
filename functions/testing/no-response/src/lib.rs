//! Hostile: a `wasi:http` 0.2 handler that returns without a response. At `/late` it sets a
//! response and never finishes its content.

#[cfg(target_arch = "wasm32")]
mod component {
    use wasip2::http::types::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};

    #[allow(
        unsafe_code,
        reason = "a component's export is a symbol with a fixed name"
    )]
    mod export {
        use super::NoResponse;
        wasip2::http::proxy::export!(NoResponse);
    }

    struct NoResponse;

    impl wasip2::exports::http::incoming_handler::Guest for NoResponse {
        fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
            if request.path_with_query().as_deref() != Some("/late") {
                return;
            }
            let response = OutgoingResponse::new(Fields::new());
            let body = response.body();
            ResponseOutparam::set(outparam, Ok(response));
            if let Ok(output) = body.as_ref().map_err(|()| ()).and_then(|body| body.write()) {
                let _ = output.blocking_write_and_flush(b"the beginning, and no end");
            }
        }
    }
}
