//! A closed-loop client: so many connections, each sending its next request
//! when the last one is answered. Runs on the calling thread's core.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use rustls::ClientConfig;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::clients::{self, Client};
use crate::process;

/// How requests are sent.
#[derive(Clone)]
pub struct Load {
    /// Whom they are sent to.
    pub address: SocketAddr,
    /// The path of their target.
    pub path: &'static str,
    /// Further fields of each request.
    pub fields: &'static [(&'static str, &'static str)],
    /// Connections in HTTP/1.1; streams at once on four connections in HTTP/2.
    pub parallel: usize,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// TLS, if it is spoken.
    pub tls: Option<Arc<ClientConfig>>,
}

/// What one contender did in one round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Answered requests for each second.
    pub rate: f64,
    /// The server's CPU time for each request, in microseconds.
    pub server_us: f64,
    /// Half of the answers came within so many microseconds.
    pub p50_us: f64,
    /// 99 of 100 answers came within so many microseconds.
    pub p99_us: f64,
    /// The share of the time that the client's core worked for the client; near
    /// 1 the client is the limit.
    pub client_busy: f64,
}

/// A sample of a measurement that took `took` and in which `requests` were answered.
#[must_use]
pub fn sample(
    requests: u64,
    took: Duration,
    server: Duration,
    client: Duration,
    latency_us: [f64; 2],
) -> Sample {
    let seconds = took.as_secs_f64();
    let count = requests.max(1) as f64;
    Sample {
        rate: requests as f64 / seconds,
        server_us: server.as_secs_f64() * 1e6 / count,
        p50_us: latency_us[0],
        p99_us: latency_us[1],
        client_busy: client.as_secs_f64() / seconds,
    }
}

/// Latencies in nanoseconds, up to a minute, to three digits.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

impl Load {
    /// HTTP/1.1 without TLS, `parallel` connections, no further fields.
    #[must_use]
    pub fn http1(address: SocketAddr, path: &'static str, parallel: usize) -> Self {
        Self {
            address,
            path,
            fields: &[],
            parallel,
            http2: false,
            tls: None,
        }
    }

    /// Sends requests for `seconds`; `server_cpu` reads the server's CPU time.
    /// Connecting and a tenth of the time before are not counted.
    ///
    /// # Errors
    /// When a connection fails, or an answer is not 200 with the whole content.
    pub fn run(&self, seconds: f64, server_cpu: impl Fn() -> Duration) -> Result<Sample> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let clients = clients::connect(self).await?;
            let warm = Instant::now() + Duration::from_secs_f64(seconds / 10.0);
            let clients = drive(clients, warm, None).await?.0;
            let (server, client) = (server_cpu(), process::cpu_of_thread());
            let begun = Instant::now();
            let end = begun + Duration::from_secs_f64(seconds);
            let (_clients, latency) = drive(clients, end, Some(histogram()?)).await?;
            let took = begun.elapsed();
            let Some(latency) = latency else {
                bail!("nothing was measured");
            };
            let micros = |share| latency.value_at_quantile(share) as f64 / 1e3;
            Ok(sample(
                latency.len(),
                took,
                server_cpu().saturating_sub(server),
                process::cpu_of_thread().saturating_sub(client),
                [micros(0.5), micros(0.99)],
            ))
        })
    }
}

/// Lets all clients send until `end`. Their latencies are put into `latency`.
async fn drive(
    clients: Vec<Client>,
    end: Instant,
    latency: Option<Histogram<u64>>,
) -> Result<(Vec<Client>, Option<Histogram<u64>>)> {
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let mut own = latency.as_ref().map(|_| histogram()).transpose()?;
        tasks.spawn(async move {
            let mut begun = Instant::now();
            while begun < end {
                client.exchange().await?;
                let now = Instant::now();
                if let Some(own) = &mut own {
                    let nanos = u64::try_from((now - begun).as_nanos()).unwrap_or(u64::MAX);
                    own.saturating_record(nanos.max(1));
                }
                begun = now;
            }
            anyhow::Ok((client, own))
        });
    }
    let mut latency = latency;
    let mut back = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (client, own) = done??;
        back.push(client);
        if let (Some(latency), Some(own)) = (&mut latency, own) {
            latency.add(own)?;
        }
    }
    Ok((back, latency))
}
