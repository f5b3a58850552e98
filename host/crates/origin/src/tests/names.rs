//! Names instead of addresses.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use verge_http::failure::{OriginFault, Progress};

use super::*;
use crate::resolve::Lookup;

/// What the played resolver says; `None` is silence.
type Answer = Option<Result<Vec<SocketAddr>, ()>>;

/// The played resolver.
#[derive(Clone, Default)]
struct Answers {
    next: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Answers {
    fn say(&self, sockets: &[SocketAddr]) {
        *self.next.lock() = Some(Ok(sockets.to_vec()));
    }

    fn fail(&self) {
        *self.next.lock() = Some(Err(()));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn lookup(&self) -> Lookup {
        let answers = self.clone();
        Arc::new(move |name, port| {
            assert_eq!((&*name, port), ("app.internal", 80));
            answers.asked.fetch_add(1, Ordering::Relaxed);
            let next = answers.next.lock().clone();
            Box::pin(async move {
                match next {
                    Some(Ok(sockets)) => Ok(sockets),
                    Some(Err(())) => Err(io::Error::other("no such name")),
                    None => std::future::pending().await,
                }
            })
        })
    }

    fn origin(&self, clock: Clock) -> Origin {
        let address = "app.internal:80".parse().expect("an address");
        let settings = OriginSettings::new("app", vec![address]);
        Origin::with_lookup(settings, clock, &Random::seeded(1), self.lookup())
            .expect("valid settings")
    }
}

/// One exchange, answered by whichever server is asked; its connection closes.
async fn ask(origin: &Origin, servers: &[&Server]) -> SocketAddr {
    let sending = send(origin, get());
    let accepting = servers.iter().map(|server| Box::pin(server.accept()));
    let (mut peer, _, _) = futures_util::future::select_all(accepting).await;
    peer.head().await;
    peer.write("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        .await;
    response(sending).await.timing.address.expect("an address")
}

#[tokio::test]
async fn all_addresses_of_a_name_are_used_and_the_name_is_asked_for_once() {
    let (one, two) = (Server::start().await, Server::start().await);
    let answers = Answers::default();
    answers.say(&[one.socket(), two.socket()]);
    let origin = answers.origin(Clock::system());
    let first = ask(&origin, &[&one, &two]).await;
    let second = ask(&origin, &[&one, &two]).await;
    assert_ne!(first, second);
    assert_eq!(answers.asked(), 1);
}

#[tokio::test]
async fn an_old_answer_serves_while_the_name_is_resolved_again() {
    let (old, new) = (Server::start().await, Server::start().await);
    let answers = Answers::default();
    answers.say(&[old.socket()]);
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
    let origin = answers.origin(clock);
    assert_eq!(ask(&origin, &[&old]).await, old.socket());

    time.advance(Duration::from_secs(31));
    answers.say(&[new.socket()]);
    assert_eq!(ask(&origin, &[&old]).await, old.socket());
    until("the new address is known", || {
        let stats = origin.stats();
        stats.addresses.len() == 1 && stats.addresses[0].address == new.socket()
    })
    .await;
    assert_eq!(ask(&origin, &[&new]).await, new.socket());

    // What cannot be resolved any more keeps its last addresses.
    time.advance(Duration::from_secs(31));
    answers.fail();
    assert_eq!(ask(&origin, &[&new]).await, new.socket());
    until("it was asked for again", || answers.asked() == 3).await;
    assert_eq!(ask(&origin, &[&new]).await, new.socket());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_fails_and_is_not_asked_for_each_time() {
    let answers = Answers::default();
    answers.fail();
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
    let origin = answers.origin(clock);
    for _ in 0..3 {
        let expected = (OriginFault::DnsError, Progress::Unsent);
        let failed = failure(send(&origin, get())).await;
        assert_eq!(parts(failed.failure), expected);
    }
    assert_eq!(answers.asked(), 1);
    time.advance(Duration::from_secs(2));
    let server = Server::start().await;
    answers.say(&[server.socket()]);
    ask(&origin, &[&server]).await;
    assert_eq!(answers.asked(), 2);
}

#[tokio::test]
async fn a_silent_resolver_is_given_up_and_asked_once() {
    let answers = Answers::default();
    let origin = answers.origin(Clock::system());
    let (one, two) = (send(&origin, get()), send(&origin, get()));
    until("it was asked", || answers.asked() == 1).await;
    tokio::time::pause();
    for sending in [one, two] {
        let expected = (OriginFault::DnsTimeout, Progress::Unsent);
        assert_eq!(parts(failure(sending).await.failure), expected);
    }
    assert_eq!(answers.asked(), 1);
}
