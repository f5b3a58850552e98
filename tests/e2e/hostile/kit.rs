//! A node with one hostile function, and honest requests beside it.

use std::time::Duration;

use tokio::time::Instant;
use verge_config::Config;
use verge_tests::client::Client;
use verge_tests::guests::{function_with_limits, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

/// How long honest requests may take at the median while others misbehave: ten times what a
/// slow machine needs for one.
pub(super) const QUICK: Duration = Duration::from_millis(500);

/// A hostile function in front of an origin.
pub(super) struct Scene {
    pub(super) node: TestNode,
    pub(super) origin: Origin,
    name: &'static str,
}

/// A node with `guest`, limited by `keys`: at `/closed/` and `/open/` as viewer-request with that
/// policy; everything else goes to the origin.
pub(super) async fn scene(guest: &'static str, keys: &str) -> Scene {
    verge_tests::log::keep();
    let origin =
        Origin::start(async |_| respond(200, &[("cache-control", "no-store")], "content")).await;
    let routes = [("closed", "closed"), ("open", "open")].map(|(path, policy)| {
        format!(
            "[[site.route]]\npath = \"/{path}/{{*rest}}\"\norigin = \"app\"\nviewer_request = \
             [{{ function = \"{guest}\", on_failure = \"{policy}\" }}]\n"
        )
    });
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n{}\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        runtime(),
        function_with_limits(guest, guest, keys),
        origin.address,
        routes.concat(),
    );
    let node = TestNode::start(&toml).await;
    Scene {
        node,
        origin,
        name: guest,
    }
}

/// What a node with this configuration says instead of starting.
pub(super) fn refused(setup: &Setup, toml: &str) -> String {
    let file = setup.path().join("verge.toml");
    let text = format!("[listen]\nhttp = \"127.0.0.1:0\"\n[log]\naccess = \"off\"\n{toml}");
    std::fs::write(&file, text).unwrap();
    let config = Config::read(&file).unwrap();
    verge::node::start(config).err().unwrap().to_string()
}

impl Scene {
    /// How many calls of the function ended so.
    pub(super) async fn outcomes(&self, outcome: &str) -> f64 {
        self.node.metric(&self.series(outcome)).await
    }

    /// Waits until so many calls of the function ended so.
    pub(super) async fn settles(&self, outcome: &str, calls: f64) {
        self.node.settles(&self.series(outcome), calls).await;
    }

    fn series(&self, outcome: &str) -> String {
        let name = self.name;
        format!("verge_function_outcomes_total{{function=\"{name}\",outcome=\"{outcome}\"}}")
    }

    /// Instances that are taken now.
    pub(super) async fn instances(&self) -> f64 {
        self.node
            .metric("verge_limit_in_use{limit=\"instances\"}")
            .await
    }

    /// Asks for `path` on `clients` connections at once and again and again, while an honest
    /// client asks for other things. Returns the statuses of the former.
    ///
    /// All honest requests are answered rightly, at the median quickly.
    pub(super) async fn beside_others(&self, path: &str, clients: usize) -> Vec<u16> {
        let address = self.node.http();
        let hostile: Vec<_> = (0..clients)
            .map(|_| {
                let path = path.to_owned();
                tokio::spawn(async move {
                    let mut client = Client::http1(address).await;
                    client.get(&path).await.status.as_u16()
                })
            })
            .collect();
        let mut took = Vec::new();
        let mut honest = [Client::http1(address).await, Client::h2c(address).await];
        while took.len() < 40 || !hostile.iter().all(tokio::task::JoinHandle::is_finished) {
            for client in &mut honest {
                let begun = Instant::now();
                let reply = client.get("/honest").await;
                took.push(begun.elapsed());
                assert_eq!(
                    (reply.status.as_u16(), &*reply.body),
                    (200, &b"content"[..])
                );
            }
        }
        took.sort_unstable();
        let median = took[took.len() / 2];
        assert!(
            median < QUICK,
            "honest requests took {median:?} at the median"
        );
        let mut statuses = Vec::new();
        for request in hostile {
            statuses.push(request.await.unwrap());
        }
        statuses
    }
}
