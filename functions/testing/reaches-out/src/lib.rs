//! Tries what nothing grants: `/file` opens a file, `/folder` lists one, `/write` makes one,
//! `/connect` and `/listen` open sockets, `/resolve` asks for a name. Answers with the error.

use std::fs;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};

use verge_sdk::http::StatusCode;
use verge_sdk::{Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn reach(request: &mut Request) -> Verdict {
    let done = match request.path() {
        "/file" => fs::read("/etc/passwd").map(drop),
        "/folder" => fs::read_dir("/").map(drop),
        "/write" => fs::write("/tmp/verge-was-here", "x"),
        "/connect" => TcpStream::connect("127.0.0.1:1").map(drop),
        "/listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "/resolve" => "localhost:80".to_socket_addrs().map(drop),
        _ => return Verdict::Next,
    };
    let answer = match done {
        Ok(()) => "it was allowed".to_owned(),
        Err(error) => format!("{:?}: {error}", error.kind()),
    };
    Verdict::Respond(Response::new(StatusCode::OK).with_body(answer))
}
