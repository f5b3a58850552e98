//! A thousand clients on one key: one origin request, whoever of them goes
//! away, and however slowly one of them reads.

use bytes::Bytes;
use verge_tests::{TestNode, eventually};

use super::kit::{
    MINUTE, SteppedOrigin, ask_all, asked, begin, clients, finish, following, gated, rest, settled,
    stats,
};

const CLIENTS: usize = 1000;

#[tokio::test]
async fn a_thousand_clients_on_one_key_are_one_origin_request() {
    let (gate, origin) = gated(|_| true).await;
    let node = TestNode::before(&origin).await;
    let replies = ask_all(clients(&node, CLIENTS).await, "/a");
    following(&node, CLIENTS as u64 - 1).await;
    gate.open();
    let replies = replies.await.unwrap();
    assert_eq!(replies.len(), CLIENTS);
    assert!(replies.iter().all(|reply| reply.text() == "content"));
    let collapsed = replies
        .iter()
        .filter(|reply| reply.cache_status().contains("collapsed"));
    assert_eq!(collapsed.count(), CLIENTS - 1);
    assert_eq!(origin.count(), 1);
}

/// The client that leads goes away amid the content.
#[tokio::test]
async fn a_thousand_clients_get_all_of_it_when_the_leader_goes_away() {
    const PIECE: &[u8] = &[b'p'; 8192];
    let stepped = SteppedOrigin::start(MINUTE).await;
    let node = TestNode::before(&stepped.origin).await;
    let others = clients(&node, CLIENTS - 1).await;
    let leader = ask_all(clients(&node, 1).await, "/a");
    asked(&stepped.origin, 1).await;
    let steps = stepped.asked().await;
    steps.send(Some(Bytes::from_static(PIECE))).unwrap();
    let replies = ask_all(others, "/a");
    following(&node, CLIENTS as u64 - 1).await;
    leader.abort();
    let connections = &node.state().connections;
    eventually("the leader is gone", async || {
        connections.in_use() == CLIENTS - 1
    })
    .await;
    steps.send(Some(Bytes::from_static(PIECE))).unwrap();
    finish(&steps);
    let replies = replies.await.unwrap();
    assert_eq!(replies.len(), CLIENTS - 1);
    assert!(
        replies
            .iter()
            .all(|reply| reply.body.len() == 2 * PIECE.len())
    );
    assert_eq!(stepped.origin.count(), 1);
}

/// One follower takes nothing until all others have everything.
#[tokio::test]
async fn a_slow_follower_holds_up_nobody() {
    const QUICK: usize = 40;
    const PIECES: usize = 64;
    let piece = Bytes::from(vec![b's'; 64 * 1024]);
    let stepped = SteppedOrigin::start(MINUTE).await;
    let node = TestNode::before(&stepped.origin).await;
    let leader = ask_all(clients(&node, 1).await, "/a");
    let steps = stepped.asked().await;
    steps.send(Some(piece.clone())).unwrap();
    let mut slow = clients(&node, 1).await;
    let (_, body) = begin(&mut slow[0], "/a").await;
    let quick = ask_all(clients(&node, QUICK).await, "/a");
    following(&node, QUICK as u64 + 1).await;
    for _ in 1..PIECES {
        steps.send(Some(piece.clone())).unwrap();
    }
    finish(&steps);
    let mut replies = leader.await.unwrap();
    replies.extend(quick.await.unwrap());
    let whole = PIECES * piece.len();
    assert!(replies.iter().all(|reply| reply.body.len() == whole));
    settled(&node).await;
    assert_eq!(rest(body).await.unwrap().len(), whole);
    assert_eq!(stepped.origin.count(), 1);
    // One copy of the content, and not one for each reader.
    assert!(
        stats(&node).bytes_peak < 2 * whole as u64,
        "{:?}",
        stats(&node)
    );
}
