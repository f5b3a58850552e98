//! A `wasi:http` 0.3 handler. `/echo` gives the content back as it came, `/shout` in capital
//! letters, both with trailers; `/after` answers, and then sends a request to the field `x-to`;
//! `/to` passes the request on to the field `x-to`, `/skip-to` hands its answer on but for its first three
//! bytes; `/double` tells the Content-Length of its request; `/spin` computes for ever, `/spin-after` once
//! it has answered; `/trap` breaks off in the middle of its content, `/trap-at-once` before.

#[cfg(target_arch = "wasm32")]
mod component {
    use wasip3::http::client;
    use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
    use wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
    use wasip3::{spawn_local, wit_future, wit_stream};

    type Trailers = FutureReader<Result<Option<Fields>, ErrorCode>>;

    /// How much is read at once.
    const PIECE: usize = 16 * 1024;

    #[allow(
        unsafe_code,
        reason = "a component's export is a symbol with a fixed name"
    )]
    mod export {
        use super::Service;
        wasip3::http::service::export!(Service);
    }

    struct Service;

    impl wasip3::exports::http::handler::Guest for Service {
        async fn handle(request: Request) -> Result<Response, ErrorCode> {
            let path = request.get_path_with_query().unwrap_or_default();
            match path.as_str() {
                "/echo" => {
                    let fields = request.get_headers().clone();
                    let (content, trailers) = content(request);
                    Ok(respond(fields, content, trailers))
                }
                "/shout" => {
                    let fields = request.get_headers().clone();
                    let (content, trailers) = content(request);
                    Ok(respond(fields, shouted(content), trailers))
                }
                "/to" => {
                    let to = target(&request)?;
                    let fields = request.get_headers().clone();
                    fields.delete("content-length").map_err(internal)?;
                    let method = request.get_method();
                    let (content, trailers) = content(request);
                    client::send(ask(method, &to, fields, Some(content), trailers)?).await
                }
                "/after" => {
                    let to = target(&request)?;
                    spawn_local(async move {
                        let fields = Fields::new();
                        if let Ok(asked) = ask(Method::Get, &to, fields, None, none()) {
                            let _ = client::send(asked).await;
                        }
                    });
                    Ok(text(b"answered".to_vec()))
                }
                "/skip-to" => {
                    let to = target(&request)?;
                    let asked = ask(Method::Get, &to, Fields::new(), None, none())?;
                    let response = client::send(asked).await?;
                    let (_, done) = wit_future::new(|| Ok(()));
                    let (mut content, trailers) = Response::consume_body(response, done);
                    let _ = content.read(Vec::with_capacity(3)).await;
                    Ok(respond(Fields::new(), content, trailers))
                }
                "/double" => {
                    let length = request.get_headers().get("content-length");
                    let length = length.into_iter().next();
                    Ok(text(length.unwrap_or_else(|| b"none".to_vec())))
                }
                "/spin" => loop {
                    std::hint::black_box(());
                },
                "/spin-after" => {
                    let (mut writer, content) = wit_stream::new();
                    spawn_local(async move {
                        writer.write_all(b"answered".to_vec()).await;
                        drop(writer);
                        loop {
                            std::hint::black_box(());
                        }
                    });
                    Ok(respond(Fields::new(), content, none()))
                }
                "/trap-at-once" => std::process::abort(),
                "/trap" => {
                    let (mut writer, content) = wit_stream::new();
                    spawn_local(async move {
                        writer.write_all(b"the beginning".to_vec()).await;
                        std::process::abort();
                    });
                    Ok(respond(Fields::new(), content, none()))
                }
                _ => Ok(text(format!("Hello from 0.3 at {path}").into_bytes())),
            }
        }
    }

    fn internal(error: impl std::fmt::Debug) -> ErrorCode {
        ErrorCode::InternalError(Some(format!("{error:?}")))
    }

    /// Content and trailers of a request whose sender is told that all went well.
    fn content(request: Request) -> (StreamReader<u8>, Trailers) {
        let (_, done) = wit_future::new(|| Ok(()));
        Request::consume_body(request, done)
    }

    fn none() -> Trailers {
        let (_, trailers) = wit_future::new(|| Ok(None));
        trailers
    }

    fn respond(fields: Fields, content: StreamReader<u8>, trailers: Trailers) -> Response {
        let _ = fields.delete("content-length");
        let (response, _) = Response::new(fields, Some(content), trailers);
        response
    }

    fn text(text: Vec<u8>) -> Response {
        let (mut writer, content) = wit_stream::new();
        spawn_local(async move {
            writer.write_all(text).await;
        });
        respond(Fields::new(), content, none())
    }

    fn shouted(mut from: StreamReader<u8>) -> StreamReader<u8> {
        let (mut writer, content) = wit_stream::new();
        spawn_local(async move {
            loop {
                let (status, piece) = from.read(Vec::with_capacity(PIECE)).await;
                if !piece.is_empty()
                    && !writer
                        .write_all(piece.to_ascii_uppercase())
                        .await
                        .is_empty()
                {
                    return;
                }
                if !matches!(status, StreamResult::Complete(_)) {
                    return;
                }
            }
        });
        content
    }

    fn target(request: &Request) -> Result<String, ErrorCode> {
        let to = request.get_headers().get("x-to").into_iter().next();
        String::from_utf8(to.unwrap_or_default()).map_err(internal)
    }

    fn ask(
        method: Method,
        to: &str,
        fields: Fields,
        content: Option<StreamReader<u8>>,
        trailers: Trailers,
    ) -> Result<Request, ErrorCode> {
        let rest = to.strip_prefix("http://").ok_or(internal("x-to"))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let (request, _) = Request::new(fields, content, trailers, None);
        request.set_method(&method).map_err(internal)?;
        request.set_scheme(Some(&Scheme::Http)).map_err(internal)?;
        request.set_authority(Some(authority)).map_err(internal)?;
        request.set_path_with_query(Some(path)).map_err(internal)?;
        Ok(request)
    }
}
