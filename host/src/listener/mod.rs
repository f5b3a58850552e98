//! Connections: accepted under permits, TLS, protocol detection, and HTTP/1.1
//! and HTTP/2 served with every limit and deadline.
//!
//! What a request means is not known here: each one goes to a [`Handler`], and
//! everything that happens to a connection is told to it as a
//! [`ConnectionEvent`]. The request path of one connection: `accept` ->
//! `connection` -> (`tls`) -> `http1` over `scanned_io`, or `http2` over
//! `budgeted_io` -> `exchange` -> [`Handler::handle`].

#![warn(clippy::indexing_slicing)]

mod accept;
mod answer;
mod budgeted_io;
mod certificates;
mod client_body;
mod clients;
mod connection;
mod deadlines;
mod drain;
mod event;
mod exchange;
mod facts;
mod frame_budget;
mod frames;
mod handler;
mod http1;
mod http1_interim;
mod http1_state;
mod http2;
mod http2_body;
mod http2_driver;
mod http2_interim;
mod http2_keep_alive;
mod http2_pieces;
mod http2_state;
mod http2_stream;
mod inbound;
mod interim;
mod patience;
mod response_body;
mod scanned_io;
mod send_watch;
mod settings;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

pub use accept::{Admission, Listener, serve};
pub use certificates::{CertificateError, CertificateProblem, CertificateSource, CertificateTable};
pub use clients::ClientConnections;
pub use drain::{Drain, DrainGuard, DrainPhase};
pub use event::{CloseReason, ConnectionEvent, Limit};
pub use facts::{ConnectionFacts, Protocol, TlsFacts, TlsVersion, Transport};
pub use frame_budget::FrameLimits;
pub use handler::Handler;
pub use interim::InterimLimits;
pub use patience::RateFloor;
pub use settings::{Http2Settings, ListenerSettings};
pub use socket::{BindOptions, Bound, bind};
pub use tls::{TlsError, TlsTerminator};
