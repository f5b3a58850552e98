//! Interim responses (RFC 9110 15.2) on their way from an origin to the client
//! whose request it is working on: which are passed on, and as what.
//!
//! Nothing is sent here: a listener that can send them hands out a sink.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, StatusCode};

use crate::fields;

/// Whether an origin's interim response goes on to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interim {
    /// It does.
    Pass,
    /// It was for this hop: 100 answers our own expectation (RFC 9110 10.1.1), 101 switches
    /// the protocol of this connection (RFC 9110 15.2.2).
    OfThisHop,
    /// It is final.
    Final,
}

/// Takes interim responses to one client connection.
pub trait InterimSink: Send + Sync + fmt::Debug {
    /// The exchange that may have interim responses now; `None` if the client must get none.
    fn current(&self) -> Option<u64>;

    /// Sends one, unless `exchange` has its final response already. Never waits.
    fn send(&self, exchange: u64, status: StatusCode, fields: &HeaderMap);
}

/// Sends interim responses to the client of one request.
#[derive(Clone, Debug)]
pub struct InterimSender {
    sink: Arc<dyn InterimSink>,
    exchange: u64,
}

/// Decides about an interim response of an origin.
#[must_use]
pub fn decide_interim(status: StatusCode) -> Interim {
    if !status.is_informational() {
        Interim::Final
    } else if status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS {
        Interim::OfThisHop
    } else {
        Interim::Pass
    }
}

impl InterimSender {
    /// For the exchange that `sink` is at; `None` if its client must get no interim response.
    #[must_use]
    pub fn now(sink: &Arc<dyn InterimSink>) -> Option<Self> {
        let exchange = sink.current()?;
        Some(Self {
            sink: Arc::clone(sink),
            exchange,
        })
    }

    /// Passes an origin's interim response on, as far as it goes on, without the fields of its
    /// own hop and those of content, which it has none of (RFC 9110 8.6).
    pub fn pass(&self, status: StatusCode, fields: &HeaderMap) {
        if decide_interim(status) != Interim::Pass {
            return;
        }
        let mut fields = fields.clone();
        fields::remove_connection_fields_of_response(&mut fields);
        fields.remove(CONTENT_LENGTH);
        fields.remove(TRAILER);
        self.sink.send(self.exchange, status, &fields);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[derive(Debug)]
    struct Taken(mpsc::Sender<(u64, StatusCode, HeaderMap)>);

    impl InterimSink for Taken {
        fn current(&self) -> Option<u64> {
            Some(7)
        }

        fn send(&self, exchange: u64, status: StatusCode, fields: &HeaderMap) {
            let _ = self.0.send((exchange, status, fields.clone()));
        }
    }

    #[test]
    fn what_is_for_this_hop_stays_here_rfc_9110_15_2() {
        let rows = [
            (100, Interim::OfThisHop),
            (101, Interim::OfThisHop),
            (102, Interim::Pass),
            (103, Interim::Pass),
            (199, Interim::Pass),
            (200, Interim::Final),
        ];
        for (status, expected) in rows {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(decide_interim(status), expected, "{status}");
        }
    }

    #[test]
    fn fields_of_the_hop_and_of_content_are_removed() {
        let (sent, taken) = mpsc::channel();
        let sink: Arc<dyn InterimSink> = Arc::new(Taken(sent));
        let sender = InterimSender::now(&sink).expect("an exchange");
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("link", "</a>; rel=preload"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
        ] {
            fields.insert(name, value.parse().expect("a value"));
        }
        sender.pass(StatusCode::CONTINUE, &fields);
        sender.pass(StatusCode::from_u16(103).expect("a status"), &fields);
        let taken: Vec<_> = taken.try_iter().collect();
        let [(exchange, status, fields)] = taken.as_slice() else {
            panic!("{taken:?}");
        };
        assert_eq!((*exchange, status.as_u16(), fields.len()), (7, 103, 1));
        assert!(fields.contains_key("link"));
    }
}
