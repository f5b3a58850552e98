//! What a version in the shadow reaches: nothing that changes by it.

use verge_tests::guests::{component, function, runtime, version};
use verge_tests::node::Setup;
use verge_tests::{Origin, Reply, TestNode, log};

use super::kit::{again, compared, origin, post};

/// A site whose routes `/one` and `/upload` have `f` in front, `/in` the function `inner`, which
/// tells its version at its origin, and `/stored` none. `f` may fetch from all of them.
async fn start(origin: &Origin, live: Vec<u8>, shadow: Vec<u8>) -> TestNode {
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), live).unwrap();
    let fetches = |path: &str| {
        format!(
            "[[site.route]]\npath = \"{path}\"\nstatic = {{ body = \"static\" }}\n\
             viewer_request = [\"f\"]\n"
        )
    };
    let toml = format!(
        "{}[deploy]\nfolder = \"versions\"\nshadow_calls = 64\n[origin.app]\n\
         addresses = [\"{}\"]\n[function.f]\ncomponent = \"f.wasm\"\n\
         cpu = \"10s\"\ndeadline = \"15s\"\n\
         grants = {{ fetch = [\"app\"], fetch_site = true }}\n{}\
         [[site]]\nnames = [\"shop.example\"]\n{}{}\
         [[site.route]]\npath = \"/in\"\norigin = \"app\"\norigin_request = [\"inner\"]\n\
         [[site.route]]\npath = \"/stored/{{*rest}}\"\norigin = \"app\"\n",
        runtime(),
        origin.address,
        function("inner", "tells-version", ""),
        fetches("/one"),
        fetches("/upload"),
    );
    let node = setup.start(&toml).await;
    let reply = post(&node, "/functions/f/versions?shadow=true", shadow).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    node
}

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(component(name)).unwrap()
}

async fn ask(node: &TestNode, path: &str) -> Reply {
    let mut client = node.client().await;
    client.set_authority("shop.example");
    client.get(path).await
}

#[tokio::test]
async fn functions_of_other_routes_do_not_run_for_a_shadow() {
    log::keep();
    let origin = origin().await;
    let node = start(&origin, guest("fetches"), again("fetches")).await;
    let reply = ask(&node, "/one?http://shop.example/in").await;
    assert_eq!(reply.text(), "content");
    compared(&node, "differing", 1.0).await;
    assert_eq!(origin.count(), 1, "the live version's request alone");
    node.settles("verge_function_version_calls_total{function=\"inner\"", 1.0)
        .await;
    assert!(
        !log::lines_with("runs in the shadow, and no other function for it").is_empty(),
        "why its answer differs is told"
    );
}

#[tokio::test]
async fn what_a_shadow_fetches_is_not_stored() {
    let origin = origin().await;
    // The shadow alone fetches.
    let node = start(&origin, version("one"), guest("fetches")).await;
    let uri = "/one?http://shop.example/stored/a";
    for times in [1.0, 2.0] {
        assert_eq!(ask(&node, uri).await.text(), "static");
        compared(&node, "differing", times).await;
    }
    assert_eq!(origin.count(), 2, "nothing was there the second time");
}

#[tokio::test]
async fn shadow_sends_no_request_that_changes_anything() {
    let origin = origin().await;
    let node = start(&origin, guest("fetches"), again("fetches")).await;
    let uri = "/upload?http://app/upload";
    assert_eq!(ask(&node, uri).await.text(), "content");
    compared(&node, "differing", 1.0).await;
    assert_eq!(ask(&node, "/one?http://app/a").await.status, 200);
    compared(&node, "same", 1.0).await;
    let asked = origin.requests();
    let posts = asked.iter().filter(|request| request.method == "POST");
    assert_eq!(posts.count(), 1, "the live version's");
    assert_eq!(asked.len(), 3, "what is safe is sent");
}
