//! What does it cost to find a stored response in Redis on loopback?

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use verge_base::{Clock, Random};
use verge_benches::{Rounds, machine};
use verge_cache::tier::Want;
use verge_shared::{
    Candidate, Mode, PurgeSink, SavedResponse, Server, ServerSettings, Shared, SharedSettings,
};

/// Lookups of one sample, one after the other.
const LOOKUPS: usize = 1000;

/// Bytes of content; what is over 16 KiB stands in chunks beside its head.
const SIZES: [usize; 3] = [1 << 10, 64 << 10, 1 << 20];

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(5, 1.0)?;
    println!("l2: one stored response found in Redis on loopback, one lookup at a time");
    println!("{}\n", machine::describe());
    let redis = Redis::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let clock = Clock::system();
    let shared = Shared::start(
        redis.settings(),
        clock.clone(),
        Random::system(),
        Arc::new(Nobody),
    )?;
    runtime.block_on(async {
        wait_until("the stream is read", || shared.is_trusted()).await?;
        wait_until("Redis is connected", || {
            shared.sample().links.iter().all(|link| link.is_connected)
        })
        .await?;
        println!(
            "{:<12} {:>10} {:>10} {:>10}",
            "content", "p50 us", "p99 us", "most us"
        );
        for (index, size) in SIZES.into_iter().enumerate() {
            let key = [u8::try_from(index)?; 32];
            save(&shared, key, size, index as u64 + 1).await?;
            let mut took = Vec::new();
            for _ in 0..LOOKUPS * rounds.count {
                let begun = clock.now();
                let found = shared.load(&key, Want::Whole, first).await;
                took.push(clock.now().saturating_duration_since(begun));
                ensure!(found.is_ok(), "a lookup found nothing: {:?}", found.err());
            }
            tell(size, took);
        }
        Ok(())
    })
}

fn tell(size: usize, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: usize| {
        let place = (took.len() * share / 1000).min(took.len().saturating_sub(1));
        took.get(place).map_or(0, Duration::as_micros)
    };
    let name = format!("{} KiB", size >> 10);
    println!(
        "{name:<12} {:>10} {:>10} {:>10}",
        at(500),
        at(990),
        at(1000)
    );
}

async fn save(shared: &Shared, key: [u8; 32], size: usize, count: u64) -> Result<()> {
    let _queued = shared.save(SavedResponse {
        key,
        variant: [0; 16],
        record: Bytes::from(vec![7; 600]),
        wall: SystemTime::UNIX_EPOCH,
        content: vec![Bytes::from(vec![9; size])],
        sequence: 0,
        useful_for: Duration::from_secs(3600),
    });
    wait_until("it is saved", || {
        let saves = shared.sample().l2.saves;
        saves
            .iter()
            .any(|(label, number)| *label == "saved" && *number >= count)
    })
    .await
}

async fn wait_until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    for _ in 0..2000 {
        if holds() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("waited in vain: {what}")
}

fn first(candidate: Candidate<'_>) -> Option<(SystemTime, ())> {
    Some((candidate.writer_wall, ()))
}

/// Nothing is purged here.
struct Nobody;

impl PurgeSink for Nobody {
    fn apply(&self, _: &[u8], _: Duration) -> Option<u64> {
        Some(0)
    }

    fn purge_everything_softly(&self) -> u64 {
        0
    }

    fn sequence(&self) -> u64 {
        0
    }
}

/// A server of its own; killed when dropped.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start() -> Result<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = free.local_addr()?.port();
        drop(free);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server, of the Debian package of that name")?;
        Ok(Self { child, port })
    }

    fn settings(&self) -> SharedSettings {
        let mut settings = SharedSettings::new(ServerSettings {
            mode: Mode::Single,
            servers: vec![Server {
                host: "127.0.0.1".to_owned(),
                port: self.port,
            }],
            tls: false,
            database: 0,
            username: None,
            password: None,
            connect_timeout: Duration::from_secs(1),
        });
        // What is slow is to be seen, not cut.
        settings.timeout = Duration::from_secs(5);
        settings
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
