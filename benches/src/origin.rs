//! The origin behind the servers: content, 1 KiB of it if not told otherwise, that may be stored
//! for an hour.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::Result;

/// Bytes of content of its one response, if not told otherwise.
pub const CONTENT_BYTES: usize = 1024;

/// Threads that answer every request alike, for as long as the bench runs.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Origin {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> Result<Self> {
        Self::with_content(CONTENT_BYTES)
    }

    /// Starts it with so many bytes of content.
    ///
    /// # Errors
    /// When no port is free.
    pub fn with_content(bytes: usize) -> Result<Self> {
        let response: Arc<[u8]> = response(bytes).into();
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                // A client that goes away ends its thread with an error, and nothing else.
                let response = Arc::clone(&response);
                std::thread::spawn(move || serve(stream, &response));
            }
        });
        Ok(Self { address })
    }
}

fn serve(mut stream: TcpStream, response: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        // The empty line ends a head; requests have no content here.
        if line == "\r\n" {
            stream.write_all(response)?;
        }
    }
}

/// The fields that a site usually sends.
fn response(bytes: usize) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n\
         cache-control: public, max-age=3600\r\netag: \"5f2b-61a8\"\r\n\
         last-modified: Tue, 14 Oct 2025 09:30:00 GMT\r\ncontent-length: {bytes}\r\n\r\n"
    )
    .into_bytes();
    response.extend((0..bytes).map(|index| b'a' + (index % 26) as u8));
    response
}
