//! Where addresses are: MaxMind files, replaced while the node serves.

use verge_tests::mmdb::{asn, city, database};
use verge_tests::node::Setup;
use verge_tests::{TestNode, eventually};

use super::kit::toml;
use super::loading::refused;

const KEYS: &str = "grants = { geo = true }";
const BOTH: &str = "[geo]\ncity = \"city.mmdb\"\nasn = \"asn.mmdb\"\n";

fn cities(name: &'static str) -> Vec<u8> {
    let records = [
        ("192.0.2.0/24", city("NL", "NH", name)),
        ("2001:db8::/32", city("DE", "BE", "Berlin")),
    ];
    database("GeoLite2-City", &records)
}

fn systems() -> Vec<u8> {
    let records = [
        ("192.0.2.0/25", asn(64_496, "Example Net")),
        ("198.51.100.0/24", asn(64_497, "Other Net")),
    ];
    database("GeoLite2-ASN", &records)
}

fn with_files() -> Setup {
    let setup = Setup::new();
    std::fs::write(setup.path().join("city.mmdb"), cities("Amsterdam")).unwrap();
    std::fs::write(setup.path().join("asn.mmdb"), systems()).unwrap();
    setup
}

async fn answers(node: &TestNode, address: &str) -> String {
    node.get(&format!("/{address}")).await.text()
}

#[tokio::test]
async fn place_and_system_of_an_address_are_told() {
    let node = with_files().start(&toml("asks-places", KEYS, BOTH)).await;
    for (address, expected) in [
        (
            "192.0.2.1",
            "NL NH Amsterdam Europe/Amsterdam 52.25 -4.5 64496 Example Net",
        ),
        (
            "192.0.2.200",
            "NL NH Amsterdam Europe/Amsterdam 52.25 -4.5 - -",
        ),
        ("198.51.100.1", "- - - - - - 64497 Other Net"),
        (
            "2001:db8::1",
            "DE BE Berlin Europe/Amsterdam 52.25 -4.5 - -",
        ),
        (
            "::ffff:192.0.2.1",
            "NL NH Amsterdam Europe/Amsterdam 52.25 -4.5 64496 Example Net",
        ),
        ("203.0.113.1", "nothing"),
    ] {
        assert_eq!(answers(&node, address).await, expected, "{address}");
    }
}

#[tokio::test]
async fn a_replaced_file_is_used_and_a_damaged_or_missing_one_leaves_the_old() {
    let node = with_files().start(&toml("asks-places", KEYS, BOTH)).await;
    assert!(answers(&node, "192.0.2.1").await.contains("Amsterdam"));

    node.save("city.mmdb", cities("Haarlem"));
    eventually("the new file", async || {
        answers(&node, "192.0.2.1").await.contains("Haarlem")
    })
    .await;

    let whole = cities("Utrecht");
    node.save("city.mmdb", &whole[..whole.len() / 2]);
    let failed = "verge_reloads_total{result=\"failed\"}";
    node.settles(failed, 1.0).await;
    assert!(answers(&node, "192.0.2.1").await.contains("Haarlem"));
    let status = node.ask_admin("GET", "/status").await.text();
    assert!(status.contains("geo.city"), "{status}");
    assert!(status.contains("city.mmdb"), "{status}");

    std::fs::remove_file(node.file("city.mmdb")).unwrap();
    node.settles(failed, 2.0).await;
    assert!(answers(&node, "192.0.2.1").await.contains("Haarlem"));

    node.save("city.mmdb", &whole);
    eventually("the file that is whole again", async || {
        answers(&node, "192.0.2.1").await.contains("Utrecht")
    })
    .await;
}

#[test]
fn a_missing_or_damaged_file_is_named_at_the_start() {
    let setup = with_files();
    std::fs::remove_file(setup.path().join("asn.mmdb")).unwrap();
    std::fs::write(setup.path().join("city.mmdb"), b"no database").unwrap();
    let said = refused(&setup, &toml("asks-places", KEYS, BOTH));
    for part in ["geo.asn", "asn.mmdb`", "geo.city", "is no MaxMind database"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
