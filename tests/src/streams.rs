//! A client of HTTP/2 that sees what comes ahead of a response.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::client::{Reply, connect};

/// A plaintext connection, by prior knowledge.
pub struct StreamClient {
    sender: SendRequest<Bytes>,
    address: SocketAddr,
}

/// A response that has not come yet.
pub struct Awaited(ResponseFuture);

impl StreamClient {
    pub async fn connect(address: SocketAddr) -> Self {
        let tcp = connect(address).await;
        let (sender, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        Self { sender, address }
    }

    pub async fn get(&mut self, path: &str) -> Awaited {
        self.begin("GET", path, &[], true).await.0
    }

    /// Sends a request's head; its content follows unless it `is_whole`.
    pub async fn begin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        is_whole: bool,
    ) -> (Awaited, SendStream<Bytes>) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        poll_fn(|context| self.sender.poll_ready(context))
            .await
            .unwrap();
        let request = request.body(()).unwrap();
        let (response, content) = self.sender.send_request(request, is_whole).unwrap();
        (Awaited(response), content)
    }
}

impl Awaited {
    /// The next interim response; `None` when the final one has come.
    pub async fn early(&mut self) -> Option<Response<()>> {
        let early = poll_fn(|context| self.0.poll_informational(context));
        timeout(PATIENCE, early)
            .await
            .expect("an answer within the patience of the tests")
            .map(Result::unwrap)
    }

    /// The statuses of all interim responses that are still to come.
    pub async fn statuses(&mut self) -> Vec<u16> {
        let mut statuses = Vec::new();
        while let Some(early) = self.early().await {
            statuses.push(early.status().as_u16());
        }
        statuses
    }

    /// The final response.
    pub async fn reply(self) -> Reply {
        let (head, content) = timeout(PATIENCE, self.0)
            .await
            .expect("a response head within the patience of the tests")
            .unwrap()
            .into_parts();
        let (body, trailers) = timeout(PATIENCE, collect(content))
            .await
            .expect("a response body within the patience of the tests");
        Reply {
            status: head.status,
            fields: head.headers,
            body,
            trailers,
        }
    }
}

async fn collect(mut content: RecvStream) -> (Bytes, Option<http::HeaderMap>) {
    let mut body = BytesMut::new();
    while let Some(piece) = content.data().await {
        let piece = piece.unwrap();
        content
            .flow_control()
            .release_capacity(piece.len())
            .unwrap();
        body.extend_from_slice(&piece);
    }
    (body.freeze(), content.trailers().await.unwrap())
}
