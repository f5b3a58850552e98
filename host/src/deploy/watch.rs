//! Takes versions back that do badly, off the request path.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::actions;
use super::health::Trip;
use crate::node::NodeState;

/// How often it is looked whether anything was left undone.
const AGAIN: Duration = Duration::from_secs(2);

/// Waits for versions that must go, and does what was left undone, for as long as the node lives.
pub(crate) async fn watch(node: Arc<NodeState>) {
    let versions = &node.foundation.versions;
    let Some(mut trips) = versions.take_trips() else {
        return;
    };
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            trip = trips.recv() => match trip {
                Some(trip) => apart(&node, move |node| take_back(node, &trip)).await,
                None => return,
            },
            _ = again.tick() => {
                if versions.unkept() > 0 {
                    apart(&node, actions::keep_again).await;
                }
                if versions.take_cold() {
                    // Nothing that must go waits for compilers.
                    let node = Arc::clone(&node);
                    tokio::task::spawn_blocking(move || actions::warm(&node));
                }
            }
        }
    }
}

/// Does what blocks, and waits for it.
async fn apart(node: &Arc<NodeState>, work: impl FnOnce(&NodeState) + Send + 'static) {
    let node = Arc::clone(node);
    if tokio::task::spawn_blocking(move || work(&node))
        .await
        .is_err()
    {
        tracing::error!("work on versions panicked; what served before serves on");
    }
}

fn take_back(node: &NodeState, trip: &Trip) {
    let (name, digest) = (&*trip.function, trip.digest);
    if let Err(refusal) = actions::take_back(node, name, digest, &trip.reason) {
        tracing::error!(
            function = name,
            version = %digest.short(),
            "version does badly ({}), and cannot be taken back: {}",
            trip.reason,
            refusal.what
        );
    }
}
