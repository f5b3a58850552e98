//! Interim responses (RFC 9110 15.2) on their way from an origin to the client
//! whose request it is working on: which are passed on, and as what.
//!
//! Nothing is sent here: a listener that can send them hands out a sink.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, LINK, TRAILER};
use http::{HeaderMap, StatusCode};

use crate::{fields, surrogate};

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

/// Which fields of an interim response go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InterimFields {
    /// All that are not for this hop.
    All,
    /// Link alone, what early hints are for (RFC 8297 2): functions change the response that
    /// follows, and a field that they would take away must not run ahead of it.
    Hints,
}

/// Takes interim responses to one client.
pub trait InterimSink: Send + Sync + fmt::Debug {
    /// Sends one, unless `exchange` has its final response already. Never waits.
    fn send(&self, exchange: u64, status: StatusCode, fields: HeaderMap);
}

/// Sends interim responses to the client of one request.
#[derive(Clone, Debug)]
pub struct InterimSender {
    sink: Arc<dyn InterimSink>,
    exchange: u64,
    fields: InterimFields,
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
    /// For the exchange that `sink` knows by this number.
    #[must_use]
    pub fn new(sink: Arc<dyn InterimSink>, exchange: u64) -> Self {
        Self {
            sink,
            exchange,
            fields: InterimFields::All,
        }
    }

    /// Lets only these fields through.
    #[must_use]
    pub fn only(mut self, fields: InterimFields) -> Self {
        self.fields = fields;
        self
    }

    /// Passes an origin's interim response on, as far as it goes on, without the fields of its
    /// own hop, those of content, which it has none of (RFC 9110 8.6), and those for this node alone.
    pub fn pass(&self, status: StatusCode, fields: &HeaderMap) {
        if decide_interim(status) != Interim::Pass {
            return;
        }
        let passed = match self.fields {
            InterimFields::All => {
                let mut passed = fields.clone();
                fields::remove_connection_fields_of_response(&mut passed);
                passed.remove(CONTENT_LENGTH);
                passed.remove(TRAILER);
                surrogate::remove_keys(&mut passed);
                passed
            }
            InterimFields::Hints => fields
                .get_all(LINK)
                .iter()
                .map(|value| (LINK, value.clone()))
                .collect(),
        };
        self.sink.send(self.exchange, status, passed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[derive(Debug)]
    struct Taken(mpsc::Sender<(u64, StatusCode, HeaderMap)>);

    impl InterimSink for Taken {
        fn send(&self, exchange: u64, status: StatusCode, fields: HeaderMap) {
            let _ = self.0.send((exchange, status, fields));
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
        let sender = InterimSender::new(Arc::new(Taken(sent)), 7);
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("link", "</a>; rel=preload"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("surrogate-key", "a b"),
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

    #[test]
    fn ahead_of_a_response_that_functions_change_only_links_go_rfc_8297_2() {
        let (sent, taken) = mpsc::channel();
        let sender = InterimSender::new(Arc::new(Taken(sent)), 0).only(InterimFields::Hints);
        let mut fields = HeaderMap::new();
        for (name, value) in [
            (LINK, "</a>; rel=preload"),
            (LINK, "</b>; rel=preload"),
            (http::header::SET_COOKIE, "a=b"),
            (http::header::SERVER, "origin/1"),
        ] {
            fields.append(name, value.parse().expect("a value"));
        }
        let hints = StatusCode::from_u16(103).expect("a status");
        sender.pass(hints, &fields);
        let (_, status, passed) = taken.try_recv().expect("one");
        assert_eq!((status, passed.len()), (hints, 2));
        assert_eq!(passed.get_all(LINK).iter().count(), 2);
    }
}
