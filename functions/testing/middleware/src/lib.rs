//! A `wasi:http` 0.3 middleware. The first segment of the path says what it does: `/plain` hands
//! request and response on as they are, `/shout` makes the response's content capital letters and
//! `/upload` the request's, `/tier` sends on what it derives from the client, `/fixed` a field that is
//! always the same, `/move` asks for `/moved`, `/elsewhere` for another authority; `/answer` asks nobody,
//! `/flood` asks until it may no more and `/hold` until it may have no more answers at once; `/tell` hands on
//! what it derives from the client, and answers with that where it got it so; `/skip` hands the response on
//! but for its first three bytes, `/skip-upload` the request; `/double` sends the content twice; `/trap` traps at once, `/trap-after` once there is a response,
//! `/hang` waits for ever, `/after` works on when it has answered. Any other path gets a field into its
//! response.

#[cfg(target_arch = "wasm32")]
mod component {
    use std::time::Duration;

    use wasip3::clocks::monotonic_clock;
    use wasip3::http::types::{ErrorCode, Fields, Request, Response};
    use wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
    use wasip3::{spawn_local, wit_future, wit_stream};

    use self::bindings::wasi::http::handler;

    type Trailers = FutureReader<Result<Option<Fields>, ErrorCode>>;

    /// How much is read at once.
    const PIECE: usize = 16 * 1024;
    /// More requests than it may send.
    const MANY: u32 = 10_000;

    #[allow(
        unsafe_code,
        missing_docs,
        unreachable_pub,
        clippy::all,
        reason = "generated: an import is called by its address"
    )]
    mod bindings {
        wasip3::wit_bindgen::generate!({
            path: "wit",
            world: "next",
            runtime_path: "wasip3::wit_bindgen::rt",
            with: { "wasi:http/types@0.3.2": wasip3::http::types },
        });
    }

    #[allow(
        unsafe_code,
        reason = "a component's export is a symbol with a fixed name"
    )]
    mod export {
        use super::Middleware;
        wasip3::http::service::export!(Middleware);
    }

    struct Middleware;

    impl wasip3::exports::http::handler::Guest for Middleware {
        async fn handle(request: Request) -> Result<Response, ErrorCode> {
            let path = request.get_path_with_query().unwrap_or_default();
            let word = path.trim_start_matches('/').split(['/', '?']).next();
            match word.unwrap_or_default() {
                "plain" => handler::handle(request).await,
                "shout" => {
                    let (status, fields, content, trailers) =
                        taken(handler::handle(request).await?);
                    fields.delete("content-length").map_err(internal)?;
                    Ok(respond(status, fields, shouted(content), trailers))
                }
                "upload" => {
                    let fields = request.get_headers().clone();
                    fields.delete("content-length").map_err(internal)?;
                    let changed = rewritten(request, fields, shouted);
                    handler::handle(changed?).await
                }
                "tier" => {
                    let who = request.get_headers().get("cookie").into_iter().next();
                    let who = who.unwrap_or_else(|| b"nobody".to_vec());
                    with_field(request, "x-tier", &who).await
                }
                "fixed" => with_field(request, "x-fixed", b"always").await,
                "move" => {
                    let fields = request.get_headers().clone();
                    let changed = rewritten(request, fields, |content| content)?;
                    changed
                        .set_path_with_query(Some("/moved"))
                        .map_err(internal)?;
                    handler::handle(changed).await
                }
                "elsewhere" => {
                    request
                        .set_authority(Some("elsewhere.example"))
                        .map_err(internal)?;
                    handler::handle(request).await
                }
                "answer" => Ok(text(403, "the middleware answers".to_owned())),
                "flood" => {
                    for sent in 0..MANY {
                        let (asked, _) = Request::new(Fields::new(), None, none(), None);
                        if handler::handle(asked).await.is_err() {
                            return Ok(text(200, format!("sent {sent}")));
                        }
                    }
                    Ok(text(200, "without a bound".to_owned()))
                }
                "hold" => {
                    let mut held = Vec::new();
                    loop {
                        let (asked, _) = Request::new(Fields::new(), None, none(), None);
                        match handler::handle(asked).await {
                            Ok(response) => held.push(response),
                            Err(_) => return Ok(text(200, format!("held {}", held.len()))),
                        }
                    }
                }
                "tell" => {
                    let fields = request.get_headers();
                    if let Some(tier) = fields.get("x-tier").into_iter().next() {
                        return told(&tier);
                    }
                    let who = fields.get("cookie").into_iter().next();
                    drop(fields);
                    with_field(request, "x-tier", &who.unwrap_or_default()).await
                }
                "skip" => {
                    let (status, fields, content, trailers) =
                        taken(handler::handle(request).await?);
                    fields.delete("content-length").map_err(internal)?;
                    Ok(respond(status, fields, skipped(content).await, trailers))
                }
                "skip-upload" => {
                    let fields = request.get_headers().clone();
                    fields.delete("content-length").map_err(internal)?;
                    let method = request.get_method();
                    let (_, done) = wit_future::new(|| Ok(()));
                    let (content, trailers) = Request::consume_body(request, done);
                    let content = skipped(content).await;
                    let (asked, _) = Request::new(fields, Some(content), trailers, None);
                    asked.set_method(&method).map_err(internal)?;
                    handler::handle(asked).await
                }
                "double" => {
                    let fields = request.get_headers().clone();
                    fields.delete("content-length").map_err(internal)?;
                    handler::handle(rewritten(request, fields, doubled)?).await
                }
                "trap" => std::process::abort(),
                "trap-after" => {
                    let _response = handler::handle(request).await?;
                    std::process::abort();
                }
                "hang" => {
                    let day = Duration::from_secs(86_400).as_nanos() as u64;
                    monotonic_clock::wait_for(day).await;
                    Ok(text(200, "after a day".to_owned()))
                }
                "after" => {
                    spawn_local(async {
                        println!("works on");
                    });
                    handler::handle(request).await
                }
                _ => {
                    let (status, fields, content, trailers) =
                        taken(handler::handle(request).await?);
                    fields
                        .append("x-middleware", b"was here")
                        .map_err(internal)?;
                    Ok(respond(status, fields, content, trailers))
                }
            }
        }
    }

    fn internal(error: impl std::fmt::Debug) -> ErrorCode {
        ErrorCode::InternalError(Some(format!("{error:?}")))
    }

    async fn with_field(request: Request, name: &str, value: &[u8]) -> Result<Response, ErrorCode> {
        let fields = request.get_headers().clone();
        fields.append(name, value).map_err(internal)?;
        handler::handle(rewritten(request, fields, |content| content)?).await
    }

    /// The same request with other fields.
    fn rewritten(
        request: Request,
        fields: Fields,
        change: impl FnOnce(StreamReader<u8>) -> StreamReader<u8>,
    ) -> Result<Request, ErrorCode> {
        let method = request.get_method();
        let path = request.get_path_with_query();
        let (_, done) = wit_future::new(|| Ok(()));
        let (content, trailers) = Request::consume_body(request, done);
        let (changed, _) = Request::new(fields, Some(change(content)), trailers, None);
        changed.set_method(&method).map_err(internal)?;
        changed
            .set_path_with_query(path.as_deref())
            .map_err(internal)?;
        Ok(changed)
    }

    /// What a response is made of.
    fn taken(response: Response) -> (u16, Fields, StreamReader<u8>, Trailers) {
        let status = response.get_status_code();
        let fields = response.get_headers().clone();
        let (_, done) = wit_future::new(|| Ok(()));
        let (content, trailers) = Response::consume_body(response, done);
        (status, fields, content, trailers)
    }

    fn none() -> Trailers {
        let (_, trailers) = wit_future::new(|| Ok(None));
        trailers
    }

    fn respond(
        status: u16,
        fields: Fields,
        content: StreamReader<u8>,
        trailers: Trailers,
    ) -> Response {
        let (response, _) = Response::new(fields, Some(content), trailers);
        let _ = response.set_status_code(status);
        response
    }

    fn text(status: u16, text: String) -> Response {
        let (mut writer, content) = wit_stream::new();
        spawn_local(async move {
            writer.write_all(text.into_bytes()).await;
        });
        respond(status, Fields::new(), content, none())
    }

    /// An answer that depends on what an outer middleware derived, and says so.
    fn told(tier: &[u8]) -> Result<Response, ErrorCode> {
        let fields = Fields::new();
        for (name, value) in [("cache-control", "max-age=60"), ("vary", "x-tier")] {
            fields.append(name, value.as_bytes()).map_err(internal)?;
        }
        let (mut writer, content) = wit_stream::new();
        let text = tier.to_vec();
        spawn_local(async move {
            writer.write_all(text).await;
        });
        Ok(respond(200, fields, content, none()))
    }

    /// The same stream, of which three bytes were read.
    async fn skipped(mut content: StreamReader<u8>) -> StreamReader<u8> {
        let _ = content.read(Vec::with_capacity(3)).await;
        content
    }

    fn doubled(mut from: StreamReader<u8>) -> StreamReader<u8> {
        let (mut writer, content) = wit_stream::new();
        spawn_local(async move {
            let mut all = Vec::new();
            loop {
                let (status, piece) = from.read(Vec::with_capacity(PIECE)).await;
                all.extend(piece);
                if !matches!(status, StreamResult::Complete(_)) {
                    break;
                }
            }
            all.extend_from_within(..);
            writer.write_all(all).await;
        });
        content
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
}
