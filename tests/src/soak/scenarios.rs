//! The kinds of load. Each is a function that works until the time is over;
//! a further kind is a further row of [`ALL`].

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;

use super::origin::{byte_at, length};
use super::{Tally, World};
use crate::client::{Client, Reply, collect, empty};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One kind of load.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// So many at once.
    pub(super) tasks: u64,
    pub(super) work: fn(Arc<World>, Arc<Tally>, u64) -> Work,
}

macro_rules! scenario {
    ($name:literal, $tasks:literal, $work:ident) => {
        Scenario {
            name: $name,
            tasks: $tasks,
            work: |world, tally, index| Box::pin($work(world, tally, index)),
        }
    };
}

/// All of them.
pub(super) const ALL: &[Scenario] = &[
    scenario!("hits", 4, hits),
    scenario!("misses", 2, misses),
    scenario!("large", 2, large),
    scenario!("ranges", 1, ranges),
    scenario!("slow", 8, slow),
    scenario!("aborts", 2, aborts),
    scenario!("purges", 1, purges),
    scenario!("reloads", 1, reloads),
];

/// A connection that is opened again when the node has closed it.
struct Caller {
    world: Arc<World>,
    client: Option<Client>,
    is_http2: bool,
}

impl Caller {
    fn new(world: Arc<World>, is_http2: bool) -> Self {
        Self {
            world,
            client: None,
            is_http2,
        }
    }

    async fn client(&mut self) -> &mut Client {
        if self.client.is_none() {
            let address = self.world.http;
            let mut client = match self.is_http2 {
                true => Client::h2c(address).await,
                false => Client::http1(address).await,
            };
            client.set_authority("soak.example");
            self.client = Some(client);
        }
        self.client.as_mut().unwrap()
    }

    /// One request. A connection that was used before may have been closed
    /// meanwhile, as it may be at any time (RFC 9112 9.3.1): asked once more.
    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Reply, String> {
        let was_open = self.client.is_some();
        let mut outcome = self
            .client()
            .await
            .try_send(method, path, fields, empty())
            .await;
        if outcome.is_err() {
            self.client = None;
            if was_open {
                outcome = self
                    .client()
                    .await
                    .try_send(method, path, fields, empty())
                    .await;
            }
        }
        outcome.map_err(|error| {
            self.client = None;
            format!("{method} {path}: {error}")
        })
    }
}

/// Whether a reply is all of the content from the byte `start` on.
fn check(reply: &Reply, path: &str, status: u16, start: usize, len: usize) -> Result<(), String> {
    let body = &reply.body;
    if reply.status != status || body.len() != len {
        return Err(format!(
            "{path}: {} with {} bytes, not {len}",
            reply.status,
            body.len()
        ));
    }
    let wrong = [0, len / 2, len.saturating_sub(1)]
        .into_iter()
        .find(|place| {
            body.get(*place)
                .is_some_and(|byte| *byte != byte_at(start + place))
        });
    wrong.map_or(Ok(()), |place| {
        Err(format!("{path}: wrong at byte {place}"))
    })
}

async fn get(caller: &mut Caller, tally: &Tally, path: &str) {
    let begun = Instant::now();
    let outcome = match caller.ask("GET", path, &[]).await {
        Ok(reply) => check(&reply, path, 200, 0, length(path)),
        Err(what) => Err(what),
    };
    tally.count(begun.elapsed(), outcome);
}

async fn hits(world: Arc<World>, tally: Arc<Tally>, index: u64) {
    let mut caller = Caller::new(Arc::clone(&world), index % 2 == 1);
    let mut number = index;
    while world.goes_on() {
        number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
        get(
            &mut caller,
            &tally,
            &format!("/hit/{}", (number >> 8) % 200),
        )
        .await;
    }
}

async fn misses(world: Arc<World>, tally: Arc<Tally>, index: u64) {
    let mut caller = Caller::new(Arc::clone(&world), index % 2 == 1);
    for number in 0_u64.. {
        if !world.goes_on() {
            return;
        }
        get(
            &mut caller,
            &tally,
            &format!("/miss/{}", number * 2 + index),
        )
        .await;
    }
}

async fn large(world: Arc<World>, tally: Arc<Tally>, index: u64) {
    let mut caller = Caller::new(Arc::clone(&world), index % 2 == 1);
    for number in index.. {
        if !world.goes_on() {
            return;
        }
        get(&mut caller, &tally, &format!("/large/{}", number % 40)).await;
    }
}

async fn ranges(world: Arc<World>, tally: Arc<Tally>, _: u64) {
    let mut caller = Caller::new(Arc::clone(&world), false);
    for number in 0_usize.. {
        if !world.goes_on() {
            return;
        }
        let path = match number % 4 {
            0 => format!("/large/{}", number % 37),
            _ => format!("/hit/{}", number % 200),
        };
        let len = 100 + number % 300;
        let start = number * 31 % (length(&path) - len);
        let range = format!("bytes={start}-{}", start + len - 1);
        let begun = Instant::now();
        let outcome = match caller.ask("GET", &path, &[("range", &range)]).await {
            Ok(reply) => check(&reply, &path, 206, start, len),
            Err(what) => Err(what),
        };
        tally.count(begun.elapsed(), outcome);
    }
}

/// Reads a large response piece by piece, with pauses.
async fn slow(world: Arc<World>, tally: Arc<Tally>, index: u64) {
    for number in index.. {
        if !world.goes_on() {
            return;
        }
        let path = format!("/large/{}", number * 3 % 40);
        let mut client = Client::http1(world.http).await;
        let begun = Instant::now();
        let outcome = async {
            let response = client.begin("GET", &path, &[], empty()).await?;
            let (head, mut body) = response.into_parts();
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                read += frame?.data_ref().map_or(0, |data| data.len());
                if world.goes_on() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            hyper::Result::Ok((head.status, read))
        };
        let outcome = match outcome.await {
            Ok((status, read)) if status == 200 && read == length(&path) => Ok(()),
            Ok((status, read)) => Err(format!("{path}: {status} with {read} bytes")),
            Err(error) => Err(format!("{path}: {error}")),
        };
        tally.count(begun.elapsed(), outcome);
    }
}

/// Goes away amid the content.
async fn aborts(world: Arc<World>, tally: Arc<Tally>, index: u64) {
    for number in 0_u64.. {
        if !world.goes_on() {
            return;
        }
        // Some are being fetched for nobody else, some others want as well.
        let path = format!("/large/{}", (number * 2 + index) % 60);
        let mut client = Client::http1(world.http).await;
        let begun = Instant::now();
        let outcome = match client.begin("GET", &path, &[], empty()).await {
            Ok(response) if response.status() == 200 => Ok(()),
            Ok(response) => Err(format!("{path}: {}", response.status())),
            Err(error) => Err(format!("{path}: {error}")),
        };
        tally.count(begun.elapsed(), outcome);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Unsafe requests, which invalidate what is stored (RFC 9111 4.4).
async fn purges(world: Arc<World>, tally: Arc<Tally>, _: u64) {
    let mut caller = Caller::new(Arc::clone(&world), false);
    for number in 0_u64.. {
        if !world.goes_on() {
            return;
        }
        let path = match number % 5 {
            0 => format!("/large/{}", number % 40),
            _ => format!("/hit/{}", number * 7 % 200),
        };
        let begun = Instant::now();
        let outcome = match caller.ask("DELETE", &path, &[]).await {
            Ok(reply) => check(&reply, &path, 200, 0, length(&path)),
            Err(what) => Err(what),
        };
        tally.count(begun.elapsed(), outcome);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn reloads(world: Arc<World>, tally: Arc<Tally>, _: u64) {
    for number in 0_u64.. {
        if !world.goes_on() {
            return;
        }
        let begun = Instant::now();
        world.reload(number);
        // What comes right after it is served by either generation.
        let mut client = Client::http1(world.http).await;
        let outcome = match client.begin("GET", "/hit/1", &[], empty()).await {
            Ok(response) => match collect(response).await {
                Ok(reply) => check(&reply, "/hit/1", 200, 0, length("/hit/1")),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        tally.count(begun.elapsed(), outcome);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
