//! Kinds of value that are network addresses.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::de::DeValue;

use crate::kinds::{Kind, quoted, text_of};

/// A socket address to listen on.
pub(crate) struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<SocketAddr, String> {
        let text = text_of(value)?;
        text.parse()
            .map_err(|_| format!("{} is not valid", quoted(text)))
    }

    fn show(&self, value: &SocketAddr) -> String {
        quoted(&value.to_string())
    }
}

/// A range of addresses, without the bits that do not count.
pub(crate) fn range(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok();
    let net = net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(net.trunc())
}

/// A range of addresses; a single address is a range of one.
pub(crate) struct Cidr;

impl Kind for Cidr {
    type Value = IpNet;

    fn expected(&self) -> String {
        "a range of addresses, such as \"10.0.0.0/8\" or \"fd00::/8\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<IpNet, String> {
        let text = text_of(value)?;
        range(text).ok_or_else(|| format!("{} is not valid", quoted(text)))
    }

    fn show(&self, value: &IpNet) -> String {
        quoted(&value.to_string())
    }
}
