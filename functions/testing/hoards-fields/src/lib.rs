//! Hostile: a `wasi:http` 0.2 handler that makes a gigabyte of fields, with whatever the host says
//! to it, and answers with them.

#[cfg(target_arch = "wasm32")]
mod component {
    use wasip2::http::types::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};

    #[allow(
        unsafe_code,
        reason = "a component's export is a symbol with a fixed name"
    )]
    mod export {
        use super::HoardsFields;
        wasip2::http::proxy::export!(HoardsFields);
    }

    struct HoardsFields;

    impl wasip2::exports::http::incoming_handler::Guest for HoardsFields {
        fn handle(_request: IncomingRequest, outparam: ResponseOutparam) {
            let value = vec![b'x'; 1 << 20];
            let fields = Fields::new();
            for _ in 0..1024 {
                let _ = fields.append("x-hoard", &value);
            }
            ResponseOutparam::set(outparam, Ok(OutgoingResponse::new(fields)));
        }
    }
}
