//! Components that only run if somebody signed them.

use std::io::Cursor;

use minisign::KeyPair;
use verge_tests::guests::version;
use verge_tests::node::Setup;
use verge_tests::{Origin, TestNode};

use super::kit::{act, made_by, origin, post, toml};

/// Someone with a key.
struct Signer(KeyPair);

impl Signer {
    fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }

    fn key(&self) -> String {
        self.0.pk.to_base64()
    }

    fn sign(&self, component: &[u8]) -> String {
        let signed = minisign::sign(None, &self.0.sk, Cursor::new(component), None, None);
        signed.unwrap().into_string()
    }
}

/// A node whose function wants a signature of `keys`, with version `one`, signed by `by`.
async fn start(origin: &Origin, keys: &[&Signer], by: &Signer) -> TestNode {
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    setup.write("f.wasm.minisig", &by.sign(&version("one")));
    setup.start(&signed_toml(origin, keys)).await
}

fn signed_toml(origin: &Origin, keys: &[&Signer]) -> String {
    let keys: Vec<String> = keys.iter().map(|signer| signer.key()).collect();
    toml(
        origin,
        "",
        &format!("[deploy]\nfolder = \"versions\"\nkeys = {keys:?}\n"),
    )
}

/// The path of a deploy with this signature.
fn with(signature: &str) -> String {
    let escape = |byte: u8| format!("%{byte:02X}");
    let escaped: String = signature.bytes().map(escape).collect();
    format!("/functions/f/versions?signature={escaped}")
}

#[tokio::test]
async fn deploy_runs_if_one_of_the_keys_signed_it() {
    let (own, second, other) = (Signer::new(), Signer::new(), Signer::new());
    let origin = origin().await;
    let node = start(&origin, &[&own, &second], &own).await;
    assert_eq!(made_by(&node.get("/").await), "one");
    let two = version("two");
    for (path, said) in [
        ("/functions/f/versions".to_owned(), "it is not signed"),
        (with(&other.sign(&two)), "not one of this component"),
        (
            with(&own.sign(&version("three"))),
            "not one of this component",
        ),
        (with("own"), "none of minisign"),
    ] {
        let reply = post(&node, &path, two.clone()).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
        assert!(reply.text().contains(said), "{said}: {}", reply.text());
    }
    assert_eq!(made_by(&node.get("/").await), "one");
    let reply = post(&node, &with(&second.sign(&two)), two).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains(&second.key()), "{}", reply.text());
    assert_eq!(made_by(&node.get("/").await), "two");
}

#[tokio::test]
async fn configured_component_wants_its_signature_beside_it() {
    let (own, other) = (Signer::new(), Signer::new());
    let origin = origin().await;
    for (signature, said) in [
        (None, "it is not signed"),
        (
            Some(other.sign(&version("one"))),
            "not one of this component",
        ),
        (Some(own.sign(&version("two"))), "not one of this component"),
    ] {
        let setup = Setup::new();
        std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
        if let Some(signature) = signature {
            setup.write("f.wasm.minisig", &signature);
        }
        let file = setup.path().join("verge.toml");
        std::fs::write(&file, setup.config(&signed_toml(&origin, &[&own]))).unwrap();
        let config = verge_config::Config::read(&file).unwrap();
        let started = tokio::task::spawn_blocking(|| verge::node::start(config)).await;
        let error = started.unwrap().err().unwrap().to_string();
        assert!(error.contains("function.f.component"), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn version_of_a_key_that_is_taken_away_runs_no_more() {
    let (own, second) = (Signer::new(), Signer::new());
    let origin = origin().await;
    let node = start(&origin, &[&own, &second], &own).await;
    let two = version("two");
    let reply = post(&node, &with(&second.sign(&two)), two).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let three = version("three");
    let reply = post(&node, &with(&own.sign(&three)), three).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = node
        .config_text()
        .replace(&format!(", \"{}\"", second.key()), "");
    node.save("verge.toml", text);
    let reply = node.ask_admin("POST", "/reload").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(made_by(&node.get("/").await), "three");
    let reply = post(&node, "/functions/f/rollback", Vec::new()).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(
        reply.text().contains("no key of the function signed it"),
        "{}",
        reply.text()
    );
    assert_eq!(made_by(&node.get("/").await), "three");
    let one = super::kit::digest("one");
    act(&node, &format!("promote?version={one}")).await;
    assert_eq!(made_by(&node.get("/").await), "one");
}

#[tokio::test]
async fn running_version_of_a_key_that_is_taken_away_gives_way_to_the_configured_one() {
    let (own, second) = (Signer::new(), Signer::new());
    let origin = origin().await;
    let node = start(&origin, &[&own, &second], &own).await;
    let two = version("two");
    let reply = post(&node, &with(&second.sign(&two)), two).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(made_by(&node.get("/").await), "two");
    let text = node
        .config_text()
        .replace(&format!(", \"{}\"", second.key()), "");
    node.save("verge.toml", text);
    let reply = node.ask_admin("POST", "/reload").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(made_by(&node.get("/").await), "one");
}
