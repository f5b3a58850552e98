//! Tries what nothing grants: `/file` opens a file, `/folder` lists one, `/write` makes one,
//! `/connect` and `/listen` open sockets, `/resolve` asks for a name. Answers with the error.

use std::fs;

use verge_sdk::http::StatusCode;
use verge_sdk::{Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn reach(request: &mut Request) -> Verdict {
    let done = match request.path() {
        "/file" => file(fs::read("/etc/passwd").map(drop)),
        "/folder" => file(fs::read_dir("/").map(drop)),
        "/write" => file(fs::write("/tmp/verge-was-here", "x")),
        "/connect" => socket::connect(),
        "/listen" => socket::listen(),
        "/resolve" => socket::resolve(),
        _ => return Verdict::Next,
    };
    let answer = match done {
        Ok(()) => "it was allowed".to_owned(),
        Err(error) => error,
    };
    Verdict::Respond(Response::new(StatusCode::OK).with_body(answer))
}

fn file(done: std::io::Result<()>) -> Result<(), String> {
    done.map_err(|error| format!("{:?}: {error}", error.kind()))
}

/// Past std, whose sockets need a libc that has them; Debian's has not.
#[cfg(target_arch = "wasm32")]
mod socket {
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::ip_name_lookup::resolve_addresses;
    use wasip2::sockets::network::{
        ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
    };
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;

    const HERE: IpSocketAddress = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: 1,
        address: (127, 0, 0, 1),
    });

    fn told(error: ErrorCode) -> String {
        error.name().to_owned()
    }

    pub(super) fn connect() -> Result<(), String> {
        let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(told)?;
        let network = instance_network();
        socket.start_connect(&network, HERE).map_err(told)?;
        socket.subscribe().block();
        socket.finish_connect().map(drop).map_err(told)
    }

    pub(super) fn listen() -> Result<(), String> {
        let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(told)?;
        let network = instance_network();
        socket.start_bind(&network, HERE).map_err(told)?;
        socket.subscribe().block();
        socket.finish_bind().map_err(told)
    }

    pub(super) fn resolve() -> Result<(), String> {
        let addresses = resolve_addresses(&instance_network(), "localhost").map_err(told)?;
        addresses.subscribe().block();
        addresses.resolve_next_address().map(drop).map_err(told)
    }
}

/// Built for the machine itself, there is nothing to deny.
#[cfg(not(target_arch = "wasm32"))]
mod socket {
    const NONE: &str = "only a component has sockets to ask for";

    pub(super) fn connect() -> Result<(), String> {
        Err(NONE.to_owned())
    }

    pub(super) fn listen() -> Result<(), String> {
        Err(NONE.to_owned())
    }

    pub(super) fn resolve() -> Result<(), String> {
        Err(NONE.to_owned())
    }
}
