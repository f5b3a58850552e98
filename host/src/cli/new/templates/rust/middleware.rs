//! A standard `wasi:http` 0.3 middleware: it runs around the cache or around an origin, here and
//! under every other host of such components.

/// The field that responses get, and what it says.
const FIELD: (&str, &str) = ("x-served-by", "{{name}}");

/// Whether a request goes on to what is behind.
fn is_allowed(path: &str) -> bool {
    !path.starts_with("/private/")
}

#[cfg(target_arch = "wasm32")]
mod component {
    use wasip3::http::types::{ErrorCode, Fields, Request, Response};
    use wasip3::wit_future;

    use bindings::wasi::http::handler;

    /// What is behind, as `wit/next.wit` says.
    mod bindings {
        wasip3::wit_bindgen::generate!({
            path: "wit",
            world: "next",
            runtime_path: "wasip3::wit_bindgen::rt",
            with: { "wasi:http/types@0.3.2": wasip3::http::types },
        });
    }

    struct Middleware;
    wasip3::http::service::export!(Middleware);

    impl wasip3::exports::http::handler::Guest for Middleware {
        async fn handle(request: Request) -> Result<Response, ErrorCode> {
            let path = request.get_path_with_query().unwrap_or_default();
            if !super::is_allowed(&path) {
                let (_, trailers) = wit_future::new(|| Ok(None));
                let (response, _) = Response::new(Fields::new(), None, trailers);
                // The status is valid.
                let _ = response.set_status_code(403);
                return Ok(response);
            }
            let response = handler::handle(request).await?;
            let status = response.get_status_code();
            let fields = response.get_headers().clone();
            let (name, value) = super::FIELD;
            // The name and the value are valid.
            let _ = fields.append(name, value.as_bytes());
            // The content is handed on as it is: it never enters this component's memory.
            let (_, received) = wit_future::new(|| Ok(()));
            let (content, trailers) = Response::consume_body(response, received);
            let (response, _) = Response::new(fields, Some(content), trailers);
            let _ = response.set_status_code(status);
            Ok(response)
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
const _: (fn(&str) -> bool, (&str, &str)) = (is_allowed, FIELD);

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn what_is_private_stays_so() {
        assert!(is_allowed("/"));
        assert!(!is_allowed("/private/plans"));
    }
}
