//! A standard `wasi:http` 0.2 component: it answers in place of an origin, here and under every
//! other host of such components.

/// How many bytes a host takes at once.
const PIECE: usize = 4096;

/// What it says.
fn greeting(path: &str) -> String {
    // The path is text for a terminal or a page: nothing in it is shown as anything else.
    let path: String = path.chars().filter(|c| !c.is_control()).collect();
    format!("Hello from {{name}}! You asked for {path}.\n")
}

#[cfg(target_arch = "wasm32")]
mod component {
    use wasip2::http::types::{
        Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
    };

    struct Handler;
    wasip2::http::proxy::export!(Handler);

    impl wasip2::exports::http::incoming_handler::Guest for Handler {
        fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
            let text = super::greeting(&request.path_with_query().unwrap_or("/".into()));
            let fields = Fields::new();
            // The name and the value are valid.
            let _ = fields.append("content-type", b"text/plain; charset=utf-8");
            let response = OutgoingResponse::new(fields);
            // The head is on its way before the first byte of content is.
            let body = response.body();
            ResponseOutparam::set(outparam, Ok(response));
            let Ok(body) = body else { return };
            let Ok(output) = body.write() else { return };
            let mut pieces = text.as_bytes().chunks(super::PIECE);
            let is_written = pieces.all(|piece| output.blocking_write_and_flush(piece).is_ok());
            drop(output);
            if is_written {
                // Without `finish` the response stays incomplete, which is what a failure is.
                let _ = OutgoingBody::finish(body, None);
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
const _: (fn(&str) -> String, usize) = (greeting, PIECE);

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn the_greeting_names_the_path() {
        let text = greeting("/a?b=c");
        assert_eq!(text, "Hello from {{name}}! You asked for /a?b=c.\n");
    }

    #[test]
    fn control_characters_are_not_repeated() {
        assert!(!greeting("/\u{1b}[31m").contains('\u{1b}'));
    }
}
