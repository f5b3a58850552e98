//! A node that was killed starts again: nothing that it left behind is in the
//! way, and code that was compiled is used again.

use std::path::Path;

use verge_tests::client::Client;
use verge_tests::{Wire, guests};

use crate::kit::{Place, Process, on_free_ports};

fn with_function(place: &Place) -> String {
    on_free_ports(&format!(
        "[runtime]\ninstances = 4\ncache_dir = \"{}\"\n{}[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/\"\nviewer_response = [\"transform\"]\n\
         static = {{ body = \"here\" }}\n",
        place.path("code").display(),
        guests::function("transform", "transform", "config = {}")
    ))
}

fn files(folder: &Path) -> Vec<(std::ffi::OsString, std::time::SystemTime)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name(),
                entry.metadata().unwrap().modified().unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_killed_node_starts_again_from_compiled_code_on_the_same_port() {
    let place = Place::new();
    let config = place.write("verge.toml", &with_function(&place));
    let process = Process::serve(&config);
    let address = process.address("http");
    let mut held = Wire::connect(address).await;
    assert_eq!(
        held.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status(),
        200
    );
    let compiled = files(&place.path("code"));
    assert!(!compiled.is_empty(), "compiled code is kept");
    process.signal("KILL");
    let (status, _) = process.end();
    assert_eq!(status.code(), None);

    // On the port that it had, whose connections are not forgotten by the kernel yet.
    let text = with_function(&place).replacen(
        "http = \"127.0.0.1:0\"",
        &format!("http = \"{address}\""),
        1,
    );
    let config = place.write("verge.toml", &text);
    let process = Process::serve(&config);
    let reply = Client::http1(address).await.get("/").await;
    assert_eq!(reply.text(), "here");
    assert_eq!(
        files(&place.path("code")),
        compiled,
        "nothing was compiled again"
    );
    drop(process);
}

#[tokio::test]
async fn compiled_code_that_was_cut_short_is_compiled_again() {
    let place = Place::new();
    let config = place.write("verge.toml", &with_function(&place));
    drop(Process::serve(&config));
    for (name, _) in files(&place.path("code")) {
        let path = place.path("code").join(name);
        if path.is_file() {
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        }
    }
    let process = Process::serve(&config);
    let reply = Client::http1(process.address("http")).await.get("/").await;
    assert_eq!(reply.text(), "here");
}
