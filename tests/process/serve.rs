//! `verge serve`: what keeps it from starting, and reloading by SIGHUP.

use std::net::TcpListener;

use verge_tests::client::Client;
use verge_tests::eventually;

use crate::kit::{Place, Process, errors, fixed, on_free_ports, run};

#[test]
fn a_bad_configuration_is_refused_with_the_words_of_check() {
    let place = Place::new();
    let config = place.write(
        "verge.toml",
        "[listen]\nhttp = \"here\"\nhtps = \"127.0.0.1:1\"\n[limits]\nfields = \"many\"\n",
    );
    let served = run(&["serve"], Some(&config));
    assert_eq!(served.status.code(), Some(1));
    let checked = errors(&run(&["check"], Some(&config)));
    let told = errors(&served);
    assert!(told.lines().count() > 3);
    assert_eq!(told, checked);
}

#[test]
fn a_missing_file_is_told_before_anything_listens() {
    let place = Place::new();
    let config = place.write(
        "verge.toml",
        &on_free_ports(
            "[function.none]\ncomponent = \"none.wasm\"\n[[site]]\nnames = [\"*\"]\n\
                        [[site.route]]\npath = \"/\"\nfunction = \"none\"\n",
        ),
    );
    let output = run(&["serve"], Some(&config));
    assert_eq!(output.status.code(), Some(1));
    let told = errors(&output);
    assert!(told.contains("function.none.component: "), "{told}");
    assert!(told.contains("none.wasm"), "{told}");
}

#[test]
fn an_address_in_use_is_named_with_its_key() {
    let place = Place::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    for key in ["http", "admin"] {
        let other = if key == "http" { "admin" } else { "http" };
        let config = place.write(
            "verge.toml",
            &format!(
                "[listen]\n{key} = \"{address}\"\n{other} = \"127.0.0.1:0\"\n{}",
                fixed("here")
            ),
        );
        let output = run(&["serve"], Some(&config));
        assert_eq!(output.status.code(), Some(1));
        let told = errors(&output);
        for part in [
            &format!("`listen.{key}`"),
            &format!("cannot listen on {address}"),
            "Address already in use",
        ] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_second_node_does_not_share_the_port_of_the_first() {
    let place = Place::new();
    let config = place.write("verge.toml", &on_free_ports(&fixed("first")));
    let first = Process::serve(&config);
    let address = first.address("http");
    let second = place.write(
        "second.toml",
        &format!("[listen]\nhttp = \"{address}\"\n{}", fixed("second")),
    );
    let output = run(&["serve"], Some(&second));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("`listen.http`"),
        "{}",
        errors(&output)
    );
}

#[tokio::test]
async fn sighup_reloads_and_opens_the_access_log_anew() {
    let place = Place::new();
    let config = place.write("verge.toml", &on_free_ports(&fixed("old")));
    let process = Process::serve(&config);
    let mut client = Client::http1(process.address("http")).await;
    assert_eq!(client.get("/").await.text(), "old");
    let lines = |name: &str| {
        std::fs::read_to_string(place.path(name)).map_or(0, |text| text.lines().count())
    };
    eventually("the first line is written", async || {
        lines("access.log") == 1
    })
    .await;

    // As logrotate does it: moved away, then the signal.
    std::fs::rename(place.path("access.log"), place.path("access.log.1")).unwrap();
    std::fs::write(&config, on_free_ports(&fixed("new"))).unwrap();
    process.signal("HUP");
    eventually("the reload", async || client.get("/").await.text() == "new").await;
    eventually("lines go to the new file", async || {
        client.get("/").await;
        lines("access.log") > 0
    })
    .await;
    let moved = lines("access.log.1");
    client.get("/").await;
    assert_eq!(lines("access.log.1"), moved);

    // A broken file changes nothing, and the log says what is wrong with it.
    std::fs::write(&config, "listen.http = 1\n").unwrap();
    process.signal("HUP");
    process.wait_for("reload refused; the generation before it serves on");
    process.wait_for("listen.http: ");
    assert_eq!(client.get("/").await.text(), "new");
}
