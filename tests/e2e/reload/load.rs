//! Under load: not one request fails, waits, or sees parts of two generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use verge_tests::client::Client;
use verge_tests::guests::{WIDE_LIMITS, component, runtime};
use verge_tests::node::Setup;

use super::kit::{edit, generation, install, wait_for_generation};

/// A static answer that names its version, and a function that names it in a field.
fn site(version: u32) -> String {
    format!(
        "{}[limits]\nrequests_per_connection = 1000000000\n[function.f]\ncomponent = \"f.wasm\"\n\
         {WIDE_LIMITS}config = {{ set = \"x-version: version-{version}\" }}\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"version-{version}\" }}\nviewer_response = [\"f\"]\n",
        runtime()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request_and_mix_no_generations() {
    let setup = Setup::new();
    install(&setup, "f.wasm", "transform");
    let node = setup.start(&site(0)).await;
    let address = node.http();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|index| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                // One connection for the whole test: none is dropped by a reload.
                let mut client = match index % 2 {
                    0 => Client::http1(address).await,
                    _ => Client::h2c(address).await,
                };
                let mut seen = std::collections::BTreeSet::new();
                let mut count = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.get("/").await;
                    assert_eq!(reply.status, 200);
                    assert_eq!(
                        reply.text(),
                        reply.field("x-version"),
                        "two generations in one"
                    );
                    seen.insert(reply.text());
                    count += 1;
                }
                (seen, count)
            })
        })
        .collect();
    let mut component_bytes = std::fs::read(component("transform")).unwrap();
    for version in 1..=10_u32 {
        let before = generation(&node).await;
        if version % 3 == 0 {
            // A custom section without content makes another component of the same behaviour.
            component_bytes.extend_from_slice(&[0, 3, 2, b'v', version as u8]);
            node.save("f.wasm", &component_bytes);
            wait_for_generation(&node, before + 1).await;
        }
        let before = generation(&node).await;
        edit(
            &node,
            &format!("version-{}", version - 1),
            &format!("version-{version}"),
        );
        wait_for_generation(&node, before + 1).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (seen, count) = client.await.unwrap();
        assert!(seen.len() > 5, "it saw reloads happen: {seen:?}");
        assert!(count > 50, "{count} requests");
    }
    node.settles("verge_reloads_total{result=\"failed\"}", 0.0)
        .await;
    node.settles("verge_panics_total", 0.0).await;
}
