//! A share of requests: how much, and by what a client stays on one side.
//!
//! A request's side is a hash of its key, the function and the version, so that it is the same on
//! every node and after every restart; a share that grows keeps those whom it had.

use std::fmt;
use std::net::IpAddr;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use verge_runtime::Digest;

use crate::telemetry::RequestId;

/// By what a client stays with one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sticky {
    /// By nothing: each request for itself.
    #[default]
    Request,
    /// By the client's address.
    Client,
    /// By a cookie; a client without it by its address.
    Cookie(String),
    /// By a field; a request without it by its client's address.
    Header(HeaderName),
}

/// Which part of the requests a version gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// In hundredths of a per cent; 1 to 9999.
    #[serde(with = "percent")]
    pub share: u16,
    /// By what a client stays with one version.
    #[serde(default)]
    pub sticky: Sticky,
}

/// What a request is known by.
pub struct Asker<'a> {
    /// Its fields, as the client sent them.
    pub fields: &'a HeaderMap,
    /// Who sent it.
    pub client: IpAddr,
    /// Its id.
    pub id: RequestId,
}

/// Which of a generation's shares a request is of; one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picks(u64);

impl Picks {
    /// With the share at `place`, below [`SHARES_MAX`](super::SHARES_MAX).
    #[must_use]
    pub fn with(self, place: usize) -> Self {
        Self(self.0 | Self::bit(place))
    }

    /// Whether the request is of the share at `place`.
    #[must_use]
    pub fn has(self, place: usize) -> bool {
        self.0 & Self::bit(place) != 0
    }

    /// None for a place that there is not.
    fn bit(place: usize) -> u64 {
        let place = u32::try_from(place).ok();
        place
            .and_then(|place| 1_u64.checked_shl(place))
            .unwrap_or(0)
    }
}

impl Share {
    /// All requests, in hundredths of a per cent.
    pub const WHOLE: u16 = 10_000;

    /// What a share is written as.
    pub const EXPECTED: &str = "a percentage from 0.01% to 99.99%, as 5% or 0.5%";

    /// Hundredths of a per cent out of `5%` or `0.25%`.
    #[must_use]
    pub fn parse_percent(text: &str) -> Option<u16> {
        let number = text.strip_suffix('%')?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 || whole.len() > 2 {
            return None;
        }
        let part: u16 = format!("{part:0<2}").parse().ok()?;
        let share = whole.parse::<u16>().ok()?.checked_mul(100)? + part;
        (share > 0).then_some(share)
    }

    /// Whether this request gets the version.
    #[must_use]
    pub fn has(&self, function: &str, digest: &Digest, asker: &Asker<'_>) -> bool {
        let mut text = Vec::with_capacity(128);
        text.extend_from_slice(digest.as_bytes());
        text.extend_from_slice(function.as_bytes());
        text.push(0);
        self.sticky.write_key(asker, &mut text);
        let hash = Digest::of(&text);
        let [a, b, c, d, ..] = *hash.as_bytes();
        // Of 2^32 numbers, 10000 parts are even to one in 400000.
        let part = (u64::from(u32::from_be_bytes([a, b, c, d])) * 10_000) >> 32;
        part < u64::from(self.share)
    }
}

impl Sticky {
    /// What it is written as.
    pub const EXPECTED: &str = "`request`, `client`, `cookie:NAME` or `header:NAME`";

    /// Out of `cookie:uid` and the like.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "request" => Some(Self::Request),
            None if text == "client" => Some(Self::Client),
            Some(("cookie", name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Some(Self::Cookie(name.to_owned()))
            }
            Some(("header", name)) => HeaderName::from_bytes(name.as_bytes())
                .ok()
                .map(Self::Header),
            _ => None,
        }
    }

    fn write_key(&self, asker: &Asker<'_>, text: &mut Vec<u8>) {
        let value = match self {
            Self::Request => {
                text.extend_from_slice(asker.id.to_string().as_bytes());
                return;
            }
            Self::Client => None,
            Self::Cookie(name) => cookie(asker.fields, name),
            Self::Header(name) => asker.fields.get(name).map(|value| value.as_bytes()),
        };
        match value {
            Some(value) => text.extend_from_slice(value),
            // Apart from every value of a field, which has no control characters.
            None => text.extend_from_slice(format!("\x01{}", asker.client).as_bytes()),
        }
    }
}

/// The first cookie of this name (RFC 6265 4.2).
fn cookie<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = fields.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("request"),
            Self::Client => f.write_str("client"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl Serialize for Sticky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sticky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let expected = Self::EXPECTED;
            serde::de::Error::custom(format!("`{text}` is no key; expected {expected}"))
        })
    }
}

/// A share as text with its sign.
pub(super) mod percent {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Share;

    /// `5%`, `0.25%`.
    pub(in crate::deploy) fn show(share: u16) -> String {
        match (share / 100, share % 100) {
            (whole, 0) => format!("{whole}%"),
            (whole, part) if part % 10 == 0 => format!("{whole}.{}%", part / 10),
            (whole, part) => format!("{whole}.{part:02}%"),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(share: &u16, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show(*share))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        let text = String::deserialize(from)?;
        Share::parse_percent(&text).ok_or_else(|| {
            let expected = Share::EXPECTED;
            serde::de::Error::custom(format!("`{text}` is no share; expected {expected}"))
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the requests", percent::show(self.share))?;
        match &self.sticky {
            Sticky::Request => Ok(()),
            sticky => write!(f, ", by {sticky}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use verge_base::Random;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn share(share: u16, sticky: &str) -> Share {
        Share {
            share,
            sticky: Sticky::parse(sticky).unwrap(),
        }
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.insert(name, value.parse().unwrap());
        fields
    }

    #[test]
    fn shares_are_percentages_with_two_places() {
        for (text, expected) in [
            ("5%", Some(500)),
            ("0.5%", Some(50)),
            ("0.05%", Some(5)),
            ("99.99%", Some(9999)),
            ("12.5%", Some(1250)),
            ("0%", None),
            ("100%", None),
            ("5", None),
            ("5.%", None),
            (".5%", None),
            ("0.001%", None),
            ("-1%", None),
            ("+1%", None),
        ] {
            assert_eq!(Share::parse_percent(text), expected, "{text}");
            if let Some(share) = expected {
                assert_eq!(percent::show(share), text);
            }
        }
    }

    #[test]
    fn keys_are_written_as_they_are_read() {
        for text in ["request", "client", "cookie:uid", "header:x-user"] {
            assert_eq!(Sticky::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "cookie",
            "cookie:",
            "header:a b",
            "cookies:a",
            "client:a",
        ] {
            assert_eq!(Sticky::parse(text), None, "{text}");
        }
    }

    #[test]
    fn share_of_many_keys_is_as_large_as_it_says() {
        let digest = Digest::of(b"component");
        let random = Random::system();
        for (part, sticky) in [
            (500, "cookie:uid"),
            (2500, "header:x-user"),
            (100, "request"),
        ] {
            let share = share(part, sticky);
            let picked = (0..20_000).filter(|number| {
                let mut fields = with("cookie", &format!("a=b; uid={number}"));
                fields.insert("x-user", number.to_string().parse().unwrap());
                let id = RequestId::new(&random);
                let (fields, client) = (&fields, CLIENT);
                share.has("f", &digest, &Asker { fields, client, id })
            });
            let (picked, expected) = (picked.count(), usize::from(part) * 2);
            // Six standard deviations of so many coins.
            let slack = usize::from(part).isqrt() * 9;
            assert!(picked.abs_diff(expected) < slack, "{picked} of {expected}");
        }
    }

    #[test]
    fn key_decides_alone_and_a_larger_share_keeps_its_clients() {
        let digest = Digest::of(b"component");
        let random = Random::system();
        let has = |share: &Share, fields: &HeaderMap, client| {
            let id = RequestId::new(&random);
            share.has("f", &digest, &Asker { fields, client, id })
        };
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        for number in 0..500 {
            let fields = with("cookie", &format!("uid={number}"));
            let small = has(&share(1000, "cookie:uid"), &fields, CLIENT);
            assert_eq!(small, has(&share(1000, "cookie:uid"), &fields, other));
            if small {
                assert!(has(&share(3000, "cookie:uid"), &fields, CLIENT));
            }
            let address = IpAddr::V4(Ipv4Addr::from(number));
            let none = HeaderMap::new();
            assert_eq!(
                has(&share(1000, "client"), &fields, address),
                has(&share(1000, "cookie:other"), &none, address)
            );
        }
    }

    #[test]
    fn picks_are_bits() {
        let picks = Picks::default().with(0).with(63).with(64);
        assert!(picks.has(0) && picks.has(63) && !picks.has(1));
        assert!(!Picks::default().has(64) && !picks.has(64) && !picks.has(usize::MAX));
    }
}
