//! The cache's disk under a node that is killed at any moment: what is served
//! afterwards is whole, is what its name says, and is no older than the last
//! change that a client was told of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use verge_tests::client::Client;
use verge_tests::origin::respond;
use verge_tests::{Origin, Recorded};

use crate::kit::{Place, Process, on_free_ports};

/// Names that are asked for.
const NAMES: u64 = 120;

/// Clients at once.
const CLIENTS: u64 = 4;

/// Kills of the test that always runs; `VERGE_DISK_KILLS` sets another number.
const KILLS: u64 = 4;

/// What the tests of one disk share.
struct Shop {
    origin: Origin,
    /// By name, the last version of which a client was told by the answer to its change.
    told: Vec<AtomicU64>,
}

/// The content of version `version` of `name`: both can be told from any part of it.
fn content(name: u64, version: u64) -> Vec<u8> {
    let length = 200 + (name * 7919) % 150_000;
    let mut state = name << 32 | version;
    let mut content = format!("{name} {version}\n").into_bytes();
    while (content.len() as u64) < length {
        // A step of splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        content.extend_from_slice(&(mixed ^ (mixed >> 27)).to_le_bytes());
    }
    content
}

impl Shop {
    async fn open() -> Self {
        let known: Arc<Vec<AtomicU64>> = Arc::new((0..NAMES).map(|_| 1.into()).collect());
        let answer = move |request: Recorded| {
            let name: u64 = request.path().trim_start_matches('/').parse().unwrap();
            let version = &known[name as usize];
            let version = match request.method.as_str() {
                "POST" => version.fetch_add(1, Ordering::SeqCst) + 1,
                _ => version.load(Ordering::SeqCst),
            };
            let fields = [("cache-control", "max-age=3600")];
            let content = content(name, version);
            async move { respond(200, &fields, content) }
        };
        Self {
            origin: Origin::start(answer).await,
            told: (0..NAMES).map(|_| 1.into()).collect(),
        }
    }

    fn config(&self, place: &Place) -> String {
        let disk = place.path("disk");
        // Small enough that the disk is what answers, and that it has to evict.
        on_free_ports(&format!(
            "[cache]\nmemory = \"1MiB\"\nmax_object = \"400KiB\"\n[cache.disk]\npath = \"{}\"\n\
             size = \"16MiB\"\n{}",
            disk.display(),
            verge_tests::node::route_to(&self.origin)
        ))
    }

    /// Asks until the node is gone; each answer must be right. Returns how many there were, and
    /// how many of them came from the disk.
    async fn ask(&self, address: std::net::SocketAddr, seed: u64) -> (u64, u64) {
        let (mut answers, mut from_disk) = (0, 0);
        let mut state = seed;
        let Ok(mut client) = tokio::spawn(Client::http1(address)).await else {
            return (0, 0);
        };
        loop {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let name = (state >> 33) % NAMES;
            let oldest = self.told[name as usize].load(Ordering::SeqCst);
            let is_change = state >> 60 == 0;
            let method = if is_change { "POST" } else { "GET" };
            let body = verge_tests::client::empty();
            let path = format!("/{name}");
            // What was cut by the kill is an error here, not a reply.
            let Ok(reply) = client.try_send(method, &path, &[], body).await else {
                return (answers, from_disk);
            };
            if reply.status != 200 {
                return (answers, from_disk);
            }
            answers += 1;
            from_disk += u64::from(reply.cache_status().contains("detail=disk"));
            let version = verify(name, oldest, &reply.body);
            if is_change {
                self.told[name as usize].fetch_max(version, Ordering::SeqCst);
            }
        }
    }
}

/// The version that `body` is of: of no other name, not damaged, and not older than `oldest`.
fn verify(name: u64, oldest: u64, body: &[u8]) -> u64 {
    let line = body.split(|byte| *byte == b'\n').next().unwrap();
    let line = std::str::from_utf8(line).unwrap();
    let (named, version) = line.split_once(' ').unwrap();
    assert_eq!(named, name.to_string());
    let version: u64 = version.parse().unwrap();
    assert!(
        version >= oldest,
        "{name}: version {version} after {oldest}"
    );
    assert!(body == content(name, version), "{name} is not itself");
    version
}

/// Kills a node `kills` times while it serves and writes.
async fn kill_over_and_over(kills: u64) {
    let shop = Arc::new(Shop::open().await);
    let place = Place::new();
    let config = place.write("verge.toml", &shop.config(&place));
    let (mut answers, mut from_disk) = (0, 0);
    for round in 0..kills {
        let process = Process::serve(&config);
        let address = process.address("http");
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let shop = Arc::clone(&shop);
                tokio::spawn(async move { shop.ask(address, round * CLIENTS + number).await })
            })
            .collect();
        // At another moment in each round: while it reads its disk, writes, evicts.
        tokio::time::sleep(Duration::from_millis(20 + (round * 37) % 400)).await;
        process.signal("KILL");
        let (_, log) = process.end();
        assert!(!log.contains("panicked"), "{log}");
        for client in clients {
            let (answered, disk) = client.await.unwrap();
            answers += answered;
            from_disk += disk;
        }
    }
    // The same of a node that is left alone.
    let process = Process::serve(&config);
    let mut client = Client::http1(process.address("http")).await;
    for name in 0..NAMES {
        let reply = client.get(&format!("/{name}")).await;
        from_disk += u64::from(reply.cache_status().contains("detail=disk"));
        verify(
            name,
            shop.told[name as usize].load(Ordering::SeqCst),
            &reply.body,
        );
    }
    assert!(
        from_disk > 0,
        "nothing of {answers} answers came from the disk"
    );
    println!("{kills} kills, {answers} answers, {from_disk} from the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_while_it_writes_serves_nothing_wrong_afterwards() {
    let kills = std::env::var("VERGE_DISK_KILLS");
    let kills = kills.ok().and_then(|kills| kills.parse().ok());
    kill_over_and_over(kills.unwrap_or(KILLS)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_off_and_the_node_serves_on() {
    let shop = Shop::open().await;
    let place = Place::new();
    let text = shop.config(&place).replace("access.log", "off");
    let text = text.replace(
        "[log]\naccess = \"off\"",
        "[log]\naccess = \"off\"\nfilter = \"info\"",
    );
    let config = place.write("verge.toml", &text);
    // No file may be longer than 64 KiB; no segment is that short.
    let process = Process::serve_limited(&config, 128);
    let mut client = Client::http1(process.address("http")).await;
    for round in 0..2 {
        for name in 0..30 {
            let reply = client.get(&format!("/{name}")).await;
            assert!(reply.body == content(name, 1), "{name} in round {round}");
        }
    }
    process.wait_for("the disk cache is off");
    assert!(process.log().contains("off-full"), "{}", process.log());
    for name in 0..30 {
        let reply = client.get(&format!("/{name}")).await;
        assert!(reply.body == content(name, 1), "{name}");
    }
}
