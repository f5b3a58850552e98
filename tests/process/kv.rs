//! A key-value store on disk under a node that is killed at any moment, and one whose disk is full.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use verge_tests::client::Client;
use verge_tests::guests::{function, runtime};

use crate::kit::{Place, Process, on_free_ports};

/// Clients at once, each with a counter of its own beside the common one.
const CLIENTS: usize = 4;

/// Kills of the test that always runs; `VERGE_KV_KILLS` sets another number.
const KILLS: usize = 4;

fn config(place: &Place, keys: &str) -> String {
    let guest = function("kv", "kv-calls", "grants = { kv = [\"s\"] }");
    on_free_ports(&format!(
        "[kv.s]\npath = \"{}\"\ntimeout = \"20s\"\n{keys}\n{}{guest}[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nviewer_request = [\"kv\"]\n\
         static = {{ body = \"\" }}\n",
        place.path("kv/s.redb").display(),
        runtime(),
    ))
}

/// Counts until the node is gone: the sums that were told.
async fn count(address: SocketAddr, own: usize, told: Arc<[AtomicI64]>, common: Arc<AtomicI64>) {
    let Ok(mut client) = tokio::spawn(Client::http1(address)).await else {
        return;
    };
    loop {
        for (path, last) in [
            (format!("/s/increment/own{own}"), &told[own]),
            ("/s/increment/common".to_owned(), &*common),
        ] {
            let body = verge_tests::client::empty();
            let Ok(reply) = client.try_send("GET", &path, &[], body).await else {
                return;
            };
            // What was cut by the kill is no number.
            let Ok(sum) = reply.text().parse::<i64>() else {
                return;
            };
            last.fetch_max(sum, Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_is_there_after_a_kill_and_nothing_else_is() {
    let kills = std::env::var("VERGE_KV_KILLS").ok();
    let kills = kills.and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let place = Place::new();
    let config = place.write("verge.toml", &config(&place, ""));
    let told: Arc<[AtomicI64]> = (0..CLIENTS).map(|_| 0.into()).collect();
    let common = Arc::new(AtomicI64::new(0));
    for round in 0..=kills {
        let process = Process::serve(&config);
        let address = process.address("http");
        let mut client = Client::http1(address).await;
        for (own, told) in told.iter().enumerate() {
            let sum = client
                .get(&format!("/s/increment/own{own}?by=0"))
                .await
                .text();
            let sum: i64 = sum.parse().unwrap();
            let last = told.swap(sum, Ordering::SeqCst);
            // One may be written whose answer nobody got.
            assert!(
                (last..=last + 1).contains(&sum),
                "round {round}: {sum} after {last}"
            );
        }
        let sum = client.get("/s/increment/common?by=0").await.text();
        let sum: i64 = sum.parse().unwrap();
        let last = common.swap(sum, Ordering::SeqCst);
        let most = last + CLIENTS as i64;
        assert!(
            (last..=most).contains(&sum),
            "round {round}: {sum} after {last}"
        );
        if round == kills {
            assert!(sum > 0, "something was counted");
            break;
        }
        let counting: Vec<_> = (0..CLIENTS)
            .map(|own| tokio::spawn(count(address, own, Arc::clone(&told), Arc::clone(&common))))
            .collect();
        // At another moment in each round.
        tokio::time::sleep(Duration::from_millis(150 + (round as u64 * 97) % 400)).await;
        process.signal("KILL");
        let (_, log) = process.end();
        assert!(!log.contains("panicked"), "{log}");
        for one in counting {
            one.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_and_what_is_there_stays() {
    let place = Place::new();
    let config = place.write(
        "verge.toml",
        &config(&place, "").replace("access.log", "off"),
    );
    // No file may be longer than 12 MiB; the store would be allowed more.
    let process = Process::serve_limited(&config, 24 << 10);
    let mut client = Client::http1(process.address("http")).await;
    let mut kept = 0;
    let answer = loop {
        let path = format!("/s/set/{kept}?size=1000000");
        let answer = client.get(&path).await.text();
        if answer.parse::<u64>().is_err() || kept > 20 {
            break answer;
        }
        kept += 1;
    };
    assert_eq!(answer, "Full", "after {kept}");
    assert!(kept >= 2, "{kept}");
    // The file is opened again, with all that was told to be there.
    verge_tests::eventually("the store is used again", async || {
        client.get("/s/get/0").await.text() == "1000000 bytes"
    })
    .await;
    for number in 0..kept {
        let answer = client.get(&format!("/s/get/{number}")).await.text();
        assert_eq!(answer, "1000000 bytes", "{number}");
    }
    assert!(
        process.log().contains("a key-value store failed"),
        "{}",
        process.log()
    );
    drop(process);
    let process = Process::serve(&config);
    let mut client = Client::http1(process.address("http")).await;
    assert_eq!(client.get("/s/get/0").await.text(), "1000000 bytes");
    assert!(
        client
            .get("/s/set/more?size=1000000")
            .await
            .text()
            .parse::<u64>()
            .is_ok()
    );
}
