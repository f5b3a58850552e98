//! Functions in Rust, JavaScript, Python and Go, which do the same small job, and what each costs.

use std::path::Path;
use std::time::Instant;

use verge_tests::TestNode;
use verge_tests::guests::language;

/// Calls that are measured of each.
const CALLS: usize = 20;

/// Compiled code is kept beside the large components: their scenarios use it, too.
fn toml(component: &Path) -> String {
    let code = language("go").with_file_name("code");
    format!(
        "[runtime]\ninstances = 16\ncache_dir = \"{}\"\n[function.f]\ncomponent = \"{}\"\nmemory = \"64MiB\"\ncpu = \"10s\"\ndeadline = \"15s\"\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"static\" }}\nviewer_request = [\"f\"]\n",
        code.display(),
        component.display()
    )
}

/// Prints what the README says of each: `cargo test --workspace --test functions -- --nocapture
/// languages`.
#[tokio::test]
async fn all_languages_do_the_same_and_this_is_what_each_costs() {
    println!("| language | component | load, once compiled | start | call | memory |");
    println!("|---|---|---|---|---|---|");
    for (name, called) in [
        ("rust", "Rust"),
        ("go", "Go"),
        ("javascript", "JavaScript"),
        ("python", "Python"),
    ] {
        let toml = toml(&language(name));
        let node = TestNode::start(&toml).await;
        greets(&node, called).await;
        drop(node);
        // Its code is compiled now.
        let begun = Instant::now();
        let node = TestNode::start(&toml).await;
        let load = begun.elapsed().as_millis();
        let [start, call, memory] = measure(&node).await;
        let size = std::fs::metadata(language(name)).unwrap().len() as f64 / f64::from(1 << 20);
        println!(
            "| {called} | {size:.2} MiB | {load} ms | {start:.2} ms | {call:.2} ms | {memory:.1} MiB |"
        );
        assert!(start > 0.0 && call > 0.0, "{name}: {start} {call}");
    }
}

async fn greets(node: &TestNode, language: &str) {
    let mut client = node.client().await;
    for (fields, hello) in [
        (&[("x-name", "Ada \"L\"")][..], "Ada \\\"L\\\""),
        (&[], "world"),
    ] {
        let reply = client.get_with("/hello", fields).await;
        assert_eq!(reply.status, 200, "{language}: {}", reply.text());
        assert_eq!(reply.field("content-type"), "application/json");
        let expected = format!("{{\"language\":\"{language}\",\"hello\":\"{hello}\"}}\n");
        assert_eq!(reply.text(), expected);
    }
    assert_eq!(client.get("/other").await.text(), "static", "{language}");
}

/// Milliseconds of a start and of a call, at the median, and MiB of memory. Each call is an instance
/// of its own.
async fn measure(node: &TestNode) -> [f64; 3] {
    let mut client = node.client().await;
    let (mut starts, mut calls, mut memory) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..CALLS {
        let reply = client.get("/hello").await;
        assert_eq!(reply.status, 200);
        let receipt = node.receipt(&reply.field("x-request-id")).await;
        let call = &receipt["functions"][0];
        starts.push(call["start_us"].as_f64().unwrap() / 1000.0);
        calls.push(call["cpu_us"].as_f64().unwrap() / 1000.0);
        memory = call["memory_peak_bytes"].as_f64().unwrap() / f64::from(1 << 20);
    }
    starts.sort_by(f64::total_cmp);
    calls.sort_by(f64::total_cmp);
    [starts[CALLS / 2], calls[CALLS / 2], memory]
}
