//! A node with the function `f` at all four triggers in front of an origin, and its admin API.

use serde_json::Value;
use verge_tests::client::Client;
use verge_tests::guests::{WIDE_LIMITS, component, runtime, version};
use verge_tests::node::{ADMIN_TOKEN, Setup};
use verge_tests::origin::respond;
use verge_tests::{Origin, Reply, TestNode};

/// An origin that says in `x-asked` what viewer-request and origin-request made of the request.
pub(super) async fn origin() -> Origin {
    Origin::start(async |request| {
        let viewer = request.field("x-viewer-request").unwrap_or("none");
        let origin = request.field("x-origin-request").unwrap_or("none");
        let asked = format!("{viewer} {origin}");
        let lasting = match request.path().starts_with("/stored") {
            true => "max-age=3600",
            false => "no-store",
        };
        let fields = [("x-asked", asked.as_str()), ("cache-control", lasting)];
        respond(200, &fields, "content")
    })
    .await
}

/// The configuration of such a node; `keys` are the function's, `sections` stand before it.
pub(super) fn toml(origin: &Origin, keys: &str, sections: &str) -> String {
    format!(
        "{}{sections}\n[origin.app]\naddresses = [\"{}\"]\n[function.f]\ncomponent = \"f.wasm\"\n\
         {WIDE_LIMITS}{keys}\n[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         origin = \"app\"\nviewer_request = [\"f\"]\norigin_request = [\"f\"]\n\
         origin_response = [\"f\"]\nviewer_response = [\"f\"]\n",
        runtime(),
        origin.address
    )
}

/// `[deploy]` with a folder beside the configuration.
pub(super) const FOLDER: &str = "[deploy]\nfolder = \"versions\"\n";

/// A node with version `one`, which keeps versions.
pub(super) async fn start(origin: &Origin) -> TestNode {
    start_with(origin, "", FOLDER).await
}

/// The same with further keys and other sections.
pub(super) async fn start_with(origin: &Origin, keys: &str, sections: &str) -> TestNode {
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    setup.start(&toml(origin, keys, sections)).await
}

/// Posts to the admin API.
pub(super) async fn post(node: &TestNode, path: &str, content: Vec<u8>) -> Reply {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let fields = [("authorization", bearer.as_str())];
    let mut client = Client::http1(node.admin()).await;
    client.send("POST", path, &fields, content).await
}

/// Deploys version `name` with this query, and gives the answer.
pub(super) async fn deploy(node: &TestNode, name: &str, query: &str) -> Value {
    let reply = post(
        node,
        &format!("/functions/f/versions{query}"),
        version(name),
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// Promotes or rolls back, and gives the answer.
pub(super) async fn act(node: &TestNode, action: &str) -> Value {
    let reply = post(node, &format!("/functions/f/{action}"), Vec::new()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// The versions that are listed: the beginnings of their digests and what becomes of each.
pub(super) async fn listed(node: &TestNode) -> Vec<(String, String)> {
    let reply = node.ask_admin("GET", "/functions/f").await;
    let function: Value = serde_json::from_slice(&reply.body).unwrap();
    let text = |version: &Value, key: &str| version[key].as_str().unwrap().to_owned();
    let versions = function["versions"].as_array().unwrap();
    let told = versions.iter().map(|version| {
        let name = ["one", "two", "three", "four", "five", "six", "seven"]
            .into_iter()
            .find(|name| digest(name) == text(version, "digest"));
        let name = name.map_or_else(|| text(version, "digest"), str::to_owned);
        (name, text(version, "status"))
    });
    told.collect()
}

/// The digest of version `name`, in hex.
pub(super) fn digest(name: &str) -> String {
    verge_runtime::Digest::of(&version(name)).to_string()
}

/// Every version that had a part in a response: one and the same, or the test is over.
pub(super) fn made_by(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let version = reply.field("x-viewer-response");
    assert_eq!(reply.field("x-asked"), format!("{version} {version}"));
    assert_eq!(reply.field("x-origin-response"), version);
    version
}

/// The same component once more, as another version: with a custom section at its end.
pub(super) fn again(guest: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(component(guest)).unwrap();
    bytes.extend_from_slice(&[0, 6, 5]);
    bytes.extend_from_slice(b"again");
    bytes
}

/// Waits until so many calls were compared.
pub(super) async fn compared(node: &TestNode, result: &str, times: f64) {
    let series = format!("verge_function_shadow_calls_total{{function=\"f\",result=\"{result}\"");
    node.settles(&series, times).await;
}
