//! wrk as the client: one thread on the client's core, HTTP/1.1 keep-alive.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::load::{Sample, sample};
use crate::machine;
use crate::process;

/// Connections that wrk keeps open.
pub const CONNECTIONS: usize = 32;

/// Asks `address` for `path` for `seconds` (whole ones, at least 1);
/// `server_cpu` reads the server's CPU time.
///
/// # Errors
/// When wrk is missing, or an answer was not as it should be.
pub fn run(
    address: SocketAddr,
    path: &str,
    seconds: f64,
    server_cpu: impl Fn() -> Duration,
) -> Result<Sample> {
    let seconds = seconds.round().max(1.0);
    let core = machine::CLIENT_CORE.to_string();
    let mut command = machine::on_cores(&core, Path::new("wrk"));
    command
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")])
        .arg("--latency")
        .arg(format!("http://{address}{path}"));
    let (server, client) = (server_cpu(), process::cpu_of_ended_children());
    let begun = Instant::now();
    let output = command
        .output()
        .context("wrk cannot be started (Debian: apt-get install wrk)")?;
    let took = begun.elapsed();
    let client = process::cpu_of_ended_children().saturating_sub(client);
    let server = server_cpu().saturating_sub(server);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "wrk: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (requests, measured) = totals(&text).with_context(|| format!("wrk said: {text}"))?;
    let micros = |label| latency(&text, label).unwrap_or(0.0);
    let mut sample = sample(
        requests,
        measured,
        server,
        client,
        [micros("50%"), micros("99%")],
    );
    // wrk also takes time to start and to end.
    sample.client_busy *= measured.as_secs_f64() / took.as_secs_f64();
    Ok(sample)
}

/// `12345 requests in 2.00s, 17.1MB read`.
fn totals(text: &str) -> Option<(u64, Duration)> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (count, rest) = line.trim().split_once(" requests in ")?;
    let took = rest.split(',').next()?;
    Some((
        count.parse().ok()?,
        Duration::from_secs_f64(micros(took)? / 1e6),
    ))
}

/// `    50%  123.00us`, in microseconds.
fn latency(text: &str, label: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.trim().starts_with(label))?;
    micros(line.split_whitespace().nth(1)?)
}

fn micros(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)];
    units.into_iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 2s test @ http://127.0.0.1:1/\n  Latency Distribution\n     \
        50%  413.00us\n     75%  500.00us\n     90%    0.61ms\n     99%    1.20ms\n  \
        151234 requests in 2.10s, 190.11MB read\nRequests/sec:  72016.19\n";

    #[test]
    fn its_report_is_understood() {
        assert_eq!(totals(TEXT), Some((151_234, Duration::from_millis(2100))));
        assert_eq!(latency(TEXT, "50%"), Some(413.0));
        assert_eq!(latency(TEXT, "99%"), Some(1200.0));
        assert_eq!(latency(TEXT, "98%"), None);
    }
}
