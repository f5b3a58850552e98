//! The tour: commands that show what the node does, each to be copied as it is.
//! They stand in `tour.txt`; only ports and the folder are filled in.

use std::net::SocketAddr;

use anyhow::Context as _;
use verge::node::Addresses;

use crate::places::Places;

const TOUR: &str = include_str!("tour.txt");

/// Prints the tour for a node that listens on `addresses`.
#[expect(clippy::print_stdout, reason = "the tour is for the terminal")]
pub(crate) fn print(addresses: &Addresses, places: &Places) -> anyhow::Result<()> {
    let folder = places.folder.display().to_string();
    let text = TOUR
        .replace("{http}", &place("http", &addresses.http)?)
        .replace("{https}", &port("https", &addresses.https)?)
        .replace("{admin}", &place("admin", &addresses.admin)?)
        .replace("{folder}", &folder)
        .replace("{config}", &places.file.display().to_string());
    println!("{text}");
    Ok(())
}

fn place(key: &str, addresses: &[SocketAddr]) -> anyhow::Result<String> {
    let address = addresses.first();
    let address = address.with_context(|| format!("the demo needs `listen.{key}`"))?;
    Ok(address.to_string())
}

/// The certificate is for `localhost`.
fn port(key: &str, addresses: &[SocketAddr]) -> anyhow::Result<String> {
    let address = addresses.first();
    let address = address.with_context(|| format!("the demo needs `listen.{key}`"))?;
    Ok(format!("localhost:{}", address.port()))
}
