//! Takes versions back that do badly, off the request path.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::actions;
use super::health::Trip;
use crate::node::NodeState;

/// Waits for versions that must go, for as long as the node lives.
pub(crate) async fn watch(node: Arc<NodeState>) {
    let Some(mut trips) = node.foundation.versions.take_trips() else {
        return;
    };
    while let Some(trip) = next(&mut trips).await {
        let node = Arc::clone(&node);
        let acting = tokio::task::spawn_blocking(move || take_back(&node, &trip));
        if acting.await.is_err() {
            tracing::error!("taking a version back panicked; what served before serves on");
        }
    }
}

async fn next(trips: &mut mpsc::Receiver<Trip>) -> Option<Trip> {
    trips.recv().await
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
