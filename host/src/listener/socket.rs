//! Listening sockets: one for each worker, all on one port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How sockets are bound.
#[derive(Clone, Copy, Debug)]
pub struct BindOptions {
    /// How many sockets share the address; one for each worker, at least one.
    pub sockets: usize,
    /// Connections that the operating system holds until they are accepted.
    pub backlog: i32,
    /// Whether another process that listens on the address is an error. False
    /// while a new process takes over from an old one.
    pub exclusive: bool,
}

/// Sockets that listen on one address.
#[derive(Debug)]
pub struct Bound {
    /// The address, with the port that was chosen if 0 was asked for.
    pub address: SocketAddr,
    /// The sockets, non-blocking, for each worker to take one.
    pub sockets: Vec<TcpListener>,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self {
            sockets: 1,
            backlog: 4096,
            exclusive: true,
        }
    }
}

/// Binds `address` with a socket for each worker. The kernel spreads new
/// connections over them (SO_REUSEPORT).
///
/// With port 0 the first socket decides the port. `[::]` serves IPv4 too.
///
/// # Errors
/// What the operating system says: the address is in use, is not local, or
/// needs a privilege.
pub fn bind(address: SocketAddr, options: BindOptions) -> io::Result<Bound> {
    if options.exclusive && address.port() != 0 {
        // SO_REUSEPORT would silently share the port with an older process of
        // the same user, which then takes half of the connections.
        drop(open(address, false)?);
    }
    let first = listen(address, options.backlog)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..options.sockets {
        sockets.push(listen(address, options.backlog)?);
    }
    Ok(Bound { address, sockets })
}

fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = open(address, true)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

fn open(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    // A restarted node must not wait for old connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn all_workers_share_the_port_that_the_first_was_given() {
        let options = BindOptions {
            sockets: 3,
            ..BindOptions::default()
        };
        let bound = bind(loopback(0), options).expect("bind");
        assert_ne!(bound.address.port(), 0);
        assert_eq!(bound.sockets.len(), 3);
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().expect("address"), bound.address);
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_unless_it_is_taken_over() {
        let held = bind(loopback(0), BindOptions::default()).expect("bind");
        let error = bind(held.address, BindOptions::default()).expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let takeover = BindOptions {
            exclusive: false,
            ..BindOptions::default()
        };
        assert!(bind(held.address, takeover).is_ok());
    }
}
