//! Origins that write what they like, byte by byte.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;
use verge_tests::{TestNode, Wire};

/// An origin whose connections are served by the test's own code.
pub(crate) struct Script {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Script {
    /// `serve` gets each connection and its number, counted from 0.
    pub(crate) async fn start<F, A>(serve: F) -> Self
    where
        F: Fn(usize, Wire) -> A + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, Wire::over(stream)));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Answers the first request of each connection with exactly these bytes, and closes.
    pub(crate) async fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes: Arc<[u8]> = bytes.into().into();
        Self::start(move |_, mut wire| {
            let bytes = Arc::clone(&bytes);
            async move {
                wire.message().await;
                // The node may have seen enough before all of it is written.
                let _ = wire.try_send(&bytes).await;
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A node before `addresses`, past the cache, with further keys of the origin.
pub(crate) async fn node_before(addresses: &[SocketAddr], keys: &str) -> TestNode {
    TestNode::start(&config(addresses, keys)).await
}

/// Its configuration. The origin's sub-tables come last in `keys`.
pub(crate) fn config(addresses: &[SocketAddr], keys: &str) -> String {
    let addresses: Vec<String> = addresses.iter().map(|a| format!("\"{a}\"")).collect();
    format!(
        "[origin.app]\naddresses = [{}]\n{keys}\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\ncache = \"off\"\n",
        addresses.join(", ")
    )
}

/// Waits until the connection of the last exchange is in the pool again, which may be after the
/// client has all of its response.
pub(super) async fn gone_back(node: &TestNode, address: SocketAddr) {
    let idle =
        format!("verge_origin_connections{{origin=\"app\",address=\"{address}\",state=\"idle\"}}");
    node.settles(&idle, 1.0).await;
}
