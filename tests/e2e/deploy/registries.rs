//! Components out of an OCI registry, and out of a folder.

use tempfile::TempDir;
use verge_tests::guests::version;
use verge_tests::node::Setup;
use verge_tests::registry::Registry;
use verge_tests::{Origin, TestNode, log};

use super::kit::{act, made_by, origin, toml};

/// The configuration of a node whose component is `component`, with the registry as `hub`.
fn config(origin: &Origin, registry: &Registry, component: &str, sections: &str) -> String {
    let sections = format!(
        "{sections}\n[registry.hub]\naddress = \"{}\"\nplain_http = true\n",
        registry.address()
    );
    toml(origin, "", &sections).replace("\"f.wasm\"", &format!("\"{component}\""))
}

async fn start(origin: &Origin, registry: &Registry, component: &str) -> TestNode {
    Setup::new()
        .start(&config(origin, registry, component, ""))
        .await
}

/// What a node says that does not start with this configuration.
async fn refused(text: String) -> String {
    let setup = Setup::new();
    let file = setup.path().join("verge.toml");
    std::fs::write(&file, setup.config(&text)).unwrap();
    let config = verge_config::Config::read(&file).unwrap();
    let started = tokio::task::spawn_blocking(|| verge::node::start(config)).await;
    started.unwrap().err().unwrap().to_string()
}

#[tokio::test]
async fn component_is_pulled_by_tag_and_by_digest() {
    let (origin, registry) = (origin().await, Registry::start().await);
    let one = registry.push("team/f", "v1", &version("one"), &[]).await;
    let node = start(&origin, &registry, "oci:hub/team/f:v1").await;
    assert_eq!(made_by(&node.get("/").await), "one");
    // A tag is asked for anew with each reload; a digest always means the same.
    registry.push("team/f", "v1", &version("two"), &[]).await;
    assert_eq!(node.ask_admin("POST", "/reload").await.status, 200);
    assert_eq!(made_by(&node.get("/").await), "two");
    let node = start(&origin, &registry, &format!("oci:hub/team/f@{one}")).await;
    assert_eq!(made_by(&node.get("/").await), "one");
}

#[tokio::test]
async fn what_is_wrong_with_a_registry_is_told_with_its_place() {
    let (origin, registry) = (origin().await, Registry::start().await);
    registry.push("f", "good", &version("one"), &[]).await;
    let none = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,
        "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
        "layers":[]}"#;
    registry.push_manifest("f", "none", none).await;
    for (component, said) in [
        ("oci:hub/f:missing", "cannot pull `oci:hub/f:missing`"),
        (
            "oci:hub/f:none",
            "not one layer of the type `application/wasm`",
        ),
    ] {
        let said_here = refused(config(&origin, &registry, component, "")).await;
        assert!(said_here.contains("function.f.component: "), "{said_here}");
        assert!(said_here.contains(said), "{said_here}");
    }
    let address = registry.address();
    drop(registry);
    let gone = toml(
        &origin,
        "",
        &format!("[registry.hub]\naddress = \"{address}\"\nplain_http = true\n"),
    );
    let said = refused(gone.replace("\"f.wasm\"", "\"oci:hub/f:good\"")).await;
    assert!(said.contains("cannot pull `oci:hub/f:good`"), "{said}");
}

#[tokio::test]
async fn node_with_versions_starts_while_its_registry_is_gone() {
    log::keep();
    let (origin, registry) = (origin().await, Registry::start().await);
    registry.push("f", "v1", &version("one"), &[]).await;
    let folder = TempDir::new().unwrap();
    let sections = format!("[deploy]\nfolder = \"{}\"\n", folder.path().display());
    let text = config(&origin, &registry, "oci:hub/f:v1", &sections);
    let node = Setup::new().start(&text).await;
    registry.push("f", "v1", &version("two"), &[]).await;
    assert_eq!(node.ask_admin("POST", "/reload").await.status, 200);
    assert_eq!(made_by(&node.get("/").await), "two");
    node.stop().await;
    drop(registry);
    let node = Setup::new().start(&text).await;
    assert_eq!(made_by(&node.get("/").await), "two");
    assert!(!log::lines_with("what ran last runs on").is_empty());
    act(&node, "rollback").await;
    assert_eq!(made_by(&node.get("/").await), "one");
}

#[tokio::test]
async fn signature_of_a_component_in_a_registry_is_an_annotation() {
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let sign = |component: &[u8]| {
        let signed = minisign::sign(None, &pair.sk, std::io::Cursor::new(component), None, None);
        signed.unwrap().into_string()
    };
    let (origin, registry) = (origin().await, Registry::start().await);
    let one = version("one");
    let good = [("dev.verge.minisig", &*sign(&one))];
    registry.push("f", "signed", &one, &good).await;
    registry.push("f", "unsigned", &one, &[]).await;
    registry.push("f", "other", &version("two"), &good).await;
    let keys = format!("[deploy]\nkeys = \"{}\"\n", pair.pk.to_base64());
    for (tag, said) in [
        ("unsigned", "it is not signed"),
        ("other", "not one of this component"),
    ] {
        let component = format!("oci:hub/f:{tag}");
        let told = refused(config(&origin, &registry, &component, &keys)).await;
        assert!(told.contains(said), "{told}");
    }
    let text = config(&origin, &registry, "oci:hub/f:signed", &keys);
    let node = Setup::new().start(&text).await;
    assert_eq!(made_by(&node.get("/").await), "one");
}

#[tokio::test]
async fn folder_holds_one_component_or_that_of_the_functions_name() {
    let origin = origin().await;
    let in_folder = toml(&origin, "", "").replace("\"f.wasm\"", "\"built\"");
    let setup = Setup::new();
    std::fs::create_dir(setup.path().join("built")).unwrap();
    std::fs::write(setup.path().join("built/any.wasm"), version("one")).unwrap();
    let node = setup.start(&in_folder).await;
    assert_eq!(made_by(&node.get("/").await), "one");
    std::fs::write(node.file("built/f.wasm"), version("two")).unwrap();
    assert_eq!(node.ask_admin("POST", "/reload").await.status, 200);
    assert_eq!(made_by(&node.get("/").await), "two");
    std::fs::rename(node.file("built/f.wasm"), node.file("built/other.wasm")).unwrap();
    let reply = node.ask_admin("POST", "/reload").await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(
        reply.text().contains("more than one component"),
        "{}",
        reply.text()
    );
}
