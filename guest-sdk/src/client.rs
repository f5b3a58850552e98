//! Who sent a request.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Version;

/// The client of a request, behind trusted proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// Its address; IPv4 in IPv6 is written as IPv4.
    pub address: IpAddr,
    /// The connection's port at its side; 0 behind a trusted proxy.
    pub port: u16,
    /// The protocol that it speaks.
    pub version: Version,
    /// `TLSv1.2` or `TLSv1.3`; `None` on a plaintext connection.
    pub tls: Option<String>,
}

/// The network that a client can move about in: its IPv4 address, or the /64 of its IPv6 address,
/// of which one subscriber owns every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Client {
    pub(crate) fn from_raw(raw: (String, u16, String, Option<String>)) -> Self {
        let (address, port, protocol, tls) = raw;
        // The host always gives an address; were it not one, all such clients count as one.
        let address: IpAddr = address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let version = match protocol.as_str() {
            "HTTP/1.0" => Version::HTTP_10,
            "HTTP/2" => Version::HTTP_2,
            "HTTP/3" => Version::HTTP_3,
            _ => Version::HTTP_11,
        };
        Self {
            address: address.to_canonical(),
            port,
            version,
            tls,
        }
    }

    /// What to count this client by.
    ///
    /// ```
    /// # use verge_sdk::testing::Request;
    /// let request = Request::get("/").client("2001:db8:1:2:3:4:5:6").build();
    /// assert_eq!(request.client().network().to_string(), "2001:db8:1:2::/64");
    /// ```
    #[must_use]
    pub fn network(&self) -> Network {
        match self.address {
            IpAddr::V4(_) => Network(self.address),
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & (u128::MAX << 64);
                Network(IpAddr::V6(Ipv6Addr::from_bits(prefix)))
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}
