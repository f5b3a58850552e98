//! What is done at once, whatever else the node is at.

use std::cell::Cell;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use verge_tests::TestNode;
use verge_tests::guests::{component, version};
use verge_tests::node::Setup;

use super::kit::{act, deploy, listed, made_by, origin, post};

/// A component that takes seconds to compile, and that is none of a trigger: a core module with so
/// many functions, told apart by `nonce`.
fn laborious(nonce: u32) -> Vec<u8> {
    const FUNCTIONS: u32 = 3000;
    let mut text = String::from("(component (core module\n");
    for number in 0..FUNCTIONS {
        let _ = write!(text, "(func (param i32) (result i32) local.get 0");
        for step in 0..40 {
            let constant = nonce.wrapping_add(number * 64 + step);
            let _ = write!(
                text,
                "\ni32.const {constant} i32.mul local.get 0 i32.rotl local.tee 0"
            );
        }
        text.push_str(")\n");
    }
    text.push_str(") (core instance (instantiate 0)))");
    text.into_bytes()
}

/// A node with `f` before an origin, and with the function `g` for nobody. Nothing that it compiles
/// is known to it.
async fn start(origin: &verge_tests::Origin) -> TestNode {
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    let g = std::fs::read(component("touch-fields")).unwrap();
    std::fs::write(setup.path().join("g.wasm"), g).unwrap();
    let text = format!(
        "[runtime]\ninstances = 16\n[deploy]\nfolder = \"versions\"\n[function.g]\n\
         component = \"g.wasm\"\n[function.f]\ncomponent = \"f.wasm\"\ncpu = \"10s\"\n\
         deadline = \"15s\"\n[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\nviewer_request = [\"f\"]\n\
         origin_request = [\"f\"]\norigin_response = [\"f\"]\nviewer_response = [\"f\"]\n",
        origin.address
    );
    setup.start(&text).await
}

/// Rolls back and forth while `work` is done: how long that took, and the longest of the others.
async fn rolled_during(node: &TestNode, work: impl Future<Output = ()>) -> (Duration, Duration) {
    let two = super::kit::digest("two");
    let promote = format!("promote?version={}", &two[..12]);
    let (begun, done) = (Instant::now(), Cell::new(false));
    let working = async {
        work.await;
        done.set(true);
        begun.elapsed()
    };
    let rolling = async {
        let mut longest = Duration::ZERO;
        while !done.get() {
            for action in ["rollback", &promote] {
                let begun = Instant::now();
                act(node, action).await;
                longest = longest.max(begun.elapsed());
            }
        }
        longest
    };
    tokio::join!(working, rolling)
}

#[tokio::test]
async fn rollback_does_not_wait_for_a_compiler() {
    let origin = origin().await;
    let node = start(&origin).await;
    deploy(&node, "two", "").await;
    let deploying = async {
        let reply = post(&node, "/functions/g/versions", laborious(1)).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
    };
    let (took, longest) = rolled_during(&node, deploying).await;
    // On a machine that is busy both take longer.
    assert!(
        longest < took / 3,
        "{longest:?} beside a deploy of {took:?}"
    );
    node.save("g.wasm", laborious(2));
    let reloading = async {
        let reply = node.ask_admin("POST", "/reload").await;
        assert_eq!(reply.status, 422, "{}", reply.text());
    };
    let (took, longest) = rolled_during(&node, reloading).await;
    assert!(
        longest < took / 3,
        "{longest:?} beside a reload of {took:?}"
    );
}

#[tokio::test]
async fn deploys_and_reloads_at_once_each_come_to_an_end() {
    let origin = origin().await;
    let node = start(&origin).await;
    let reload = async || {
        for cpu in ["9s", "8s", "7s"] {
            let text = node.config_text();
            let begin = text.find("cpu = ").unwrap();
            let end = begin + text[begin..].find('\n').unwrap();
            let text = format!("{}cpu = \"{cpu}\"{}", &text[..begin], &text[end..]);
            node.save("verge.toml", text);
            let reply = node.ask_admin("POST", "/reload").await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    };
    tokio::join!(
        deploy(&node, "two", ""),
        deploy(&node, "three", ""),
        deploy(&node, "four", ""),
        reload()
    );
    let listed = listed(&node).await;
    assert_eq!(listed.len(), 4, "{listed:?}");
    let live: Vec<_> = listed.iter().filter(|row| row.1 == "live").collect();
    assert_eq!(live.len(), 1, "{listed:?}");
    assert_eq!(made_by(&node.get("/").await), live[0].0);
    let settings = &node.state().generation.load().functions["f"].settings;
    assert_eq!(settings.cpu, Duration::from_secs(7), "no reload is lost");
}
