//! What the tests of shared state have in common: nodes' sides of the purge
//! stream that write down what they are told.

use std::sync::Arc;
use std::time::Duration;

use crate::eventually;
use parking_lot::Mutex;
use verge_base::{Clock, Random};
use verge_shared::{Mode, PurgeSink, Server, ServerSettings, Shared, SharedSample, SharedSettings};

/// What stands for a purge of everything in what a [`Recorder`] was told.
pub(super) const EVERYTHING: &str = "*";

/// A cache that only writes down its purges.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Vec<String>>);

impl PurgeSink for Recorder {
    fn apply(&self, purge: &[u8], _: Duration) -> Option<u64> {
        let text = String::from_utf8(purge.to_vec()).ok()?;
        self.0.lock().push(text);
        Some(self.sequence())
    }

    fn purge_everything_softly(&self) -> u64 {
        self.0.lock().push(EVERYTHING.to_owned());
        self.sequence()
    }

    fn sequence(&self) -> u64 {
        self.0.lock().len() as u64
    }
}

/// One node's side of what is shared.
pub(super) struct Side {
    pub(super) shared: Shared,
    recorder: Arc<Recorder>,
}

pub(super) fn servers(mode: Mode, addresses: &[std::net::SocketAddr]) -> ServerSettings {
    ServerSettings {
        mode,
        servers: addresses
            .iter()
            .map(|address| Server {
                host: address.ip().to_string(),
                port: address.port(),
            })
            .collect(),
        tls: false,
        database: 0,
        username: None,
        password: None,
        connect_timeout: Duration::from_secs(1),
    }
}

impl Side {
    pub(super) fn single(address: std::net::SocketAddr) -> Self {
        Self::of(SharedSettings::new(servers(Mode::Single, &[address])))
    }

    pub(super) fn of(settings: SharedSettings) -> Self {
        let recorder = Arc::<Recorder>::default();
        let target = Arc::clone(&recorder) as Arc<dyn PurgeSink>;
        let shared = Shared::start(settings, Clock::system(), Random::system(), target).unwrap();
        Self { shared, recorder }
    }

    /// Waits until the stream is read and every use has its connection.
    pub(super) async fn ready(&self) {
        self.trusted().await;
        eventually("all uses are connected", async || {
            self.sample().links.iter().all(|link| link.is_connected)
        })
        .await;
    }

    /// The local purge sequence.
    pub(super) fn sequence(&self) -> u64 {
        self.recorder.sequence()
    }

    /// All purges so far, in order.
    pub(super) fn purges(&self) -> Vec<String> {
        self.recorder.0.lock().clone()
    }

    /// Purges here, and tells the others.
    pub(super) fn purge(&self, what: &str) {
        let sequence = self
            .recorder
            .apply(what.as_bytes(), Duration::ZERO)
            .unwrap();
        self.shared.publish(sequence, what.as_bytes().to_vec());
    }

    pub(super) fn sample(&self) -> SharedSample {
        self.shared.sample()
    }

    /// Waits until the stream has been read to its end.
    pub(super) async fn trusted(&self) {
        eventually("the stream is read", async || {
            self.sample().stream.is_trusted
        })
        .await;
    }

    /// Waits until a purge has come.
    pub(super) async fn told(&self, what: &str) {
        self.told_times(what, 1).await;
    }

    pub(super) async fn told_times(&self, what: &str, times: usize) {
        eventually(&format!("a purge of {what}"), async || {
            let purges = self.purges();
            purges.iter().filter(|purge| *purge == what).count() >= times
        })
        .await;
    }
}
