//! Reads the stream on a connection of its own: to its end, then whatever comes.
//!
//! Every turn asks for the tail too, so that a loss is noticed when nothing comes.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::chain::{Follows, Incarnation, Place, Standing, Tail};
use super::wire::{Entry, read_entries, read_opened};
use super::{Reset, Stream};
use crate::connect::{Connection, connect};
use crate::link::Pauses;
use crate::trouble::Trouble;

/// How long one read waits for entries; a loss without new entries is noticed after this.
const BLOCK: Duration = Duration::from_millis(500);

/// How much longer than [`BLOCK`] a reply may take before the connection counts as dead.
const GRACE: Duration = Duration::from_secs(1);

/// Reads until the stream is over.
pub(super) async fn read(stream: Stream) {
    let mut pauses = Pauses::new();
    loop {
        let server = &stream.0.around.settings.server;
        if let Ok(mut connection) = connect(server, BLOCK + GRACE).await {
            let begun = stream.0.around.clock.now();
            let why = stream.session(&mut connection).await;
            if stream.0.is_over.load(Ordering::Acquire) {
                return;
            }
            tracing::debug!(why = why.label(), "the purge stream was cut");
            if stream.0.around.clock.now().duration_since(begun) > GRACE {
                pauses = Pauses::new();
            }
        }
        if stream.0.is_over.load(Ordering::Acquire) {
            return;
        }
        pauses.pause(&stream.0.around.random).await;
    }
}

async fn ask(connection: &mut Connection, command: &Cmd) -> Result<Value, Trouble> {
    match tokio::time::timeout(BLOCK + GRACE, connection.command(command)).await {
        Ok(reply) => reply.map_err(|error| Trouble::of(&error)),
        Err(_) => Err(Trouble::TimedOut),
    }
}

impl Stream {
    /// Reads on this connection until it fails.
    async fn session(&self, connection: &mut Connection) -> Trouble {
        // A tail that was seen and not reached yet, and when it was asked for.
        let mut ahead: Option<(Tail, Instant)> = None;
        while !self.0.is_over.load(Ordering::Acquire) {
            match self.turn(connection, &mut ahead).await {
                Ok(()) => {}
                Err(trouble) => return trouble,
            }
        }
        Trouble::Disconnected
    }

    /// Asks for the tail, then reads once.
    async fn turn(
        &self,
        connection: &mut Connection,
        ahead: &mut Option<(Tail, Instant)>,
    ) -> Result<(), Trouble> {
        let asked = self.0.around.clock.now();
        let awaited = self.0.known.lock().awaited.last();
        let open = self.0.keys.open(self.fresh(), self.number());
        let (tail, redis_ms) = read_opened(&ask(connection, &open).await?)?;
        // Redis's clock says no less than `redis_ms` from here on.
        let told = self.0.around.clock.now();
        let place = self.enter(&tail);
        // What Redis had taken before it was asked has to be there.
        let is_short = awaited.is_some_and(|awaited| {
            awaited.incarnation == tail.incarnation && awaited.number > tail.number
        });
        let standing = match is_short {
            true => Standing::Lost,
            false => place.decide_standing(&tail),
        };
        let block = match standing {
            Standing::Lost => {
                *ahead = None;
                return self.rotate(connection, tail.incarnation).await;
            }
            // Entered above; another node was quicker to begin a new one.
            Standing::OtherStream => return Ok(()),
            Standing::Level => {
                self.is_level(&tail, asked);
                *ahead = None;
                Some(millis(BLOCK))
            }
            Standing::Behind => {
                ahead.get_or_insert((tail, asked));
                None
            }
        };
        let read = self.0.keys.read(place.number, block);
        let entries = read_entries(&ask(connection, &read).await?)?;
        let passed = self.0.around.clock.now().saturating_duration_since(told);
        let now_ms = redis_ms.saturating_add(millis(passed));
        if entries.is_empty() && standing == Standing::Behind {
            // What there was between here and the tail is gone.
            if place.token.is_some() {
                self.reset(Reset::Gap);
            }
            self.jump(&tail);
        }
        for entry in &entries {
            if self.take(entry, now_ms) == Follows::Lost {
                *ahead = None;
                return self.rotate(connection, entry.incarnation).await;
            }
        }
        if let Some((tail, asked)) = *ahead
            && self.number() >= tail.number
        {
            self.is_level(&tail, asked);
            *ahead = None;
        }
        Ok(())
    }

    /// The place to read on from; another stream than before purges everything.
    fn enter(&self, tail: &Tail) -> Place {
        let known = self.0.known.lock().place;
        match known {
            Some(place) if place.incarnation == tail.incarnation => return place,
            Some(_) => {
                self.reset(Reset::OtherStream);
            }
            None => {}
        }
        let place = Place::beginning(tail.incarnation);
        let mut known = self.0.known.lock();
        known.place = Some(place);
        known.positions.forget();
        place
    }

    /// Everything up to the tail was read when it was asked for at `asked`.
    fn is_level(&self, tail: &Tail, asked: Instant) {
        let mut known = self.0.known.lock();
        known.level = Some(asked);
        if known.positions.position_at(u64::MAX).is_none() {
            // A stream without entries: nothing has been purged in it.
            let sequence = self.0.target.sequence();
            known
                .positions
                .reset(tail.incarnation, tail.number, sequence);
        }
    }

    /// Goes to the tail without what lies between.
    fn jump(&self, tail: &Tail) {
        let mut known = self.0.known.lock();
        known.place = Some(Place {
            incarnation: tail.incarnation,
            number: tail.number,
            token: Some(tail.token),
        });
        let sequence = self.0.target.sequence();
        known
            .positions
            .reset(tail.incarnation, tail.number, sequence);
    }

    /// Takes one entry, in order, at `now_ms` of Redis's clock.
    fn take(&self, entry: &Entry, now_ms: u64) -> Follows {
        let Some(place) = self.0.known.lock().place else {
            return Follows::OtherStream;
        };
        let follows = place.decide_follows(entry.incarnation, entry.number, entry.before);
        match follows {
            Follows::Lost | Follows::OtherStream => return follows,
            Follows::Gap => {
                self.reset(Reset::Gap);
                self.0.known.lock().positions.forget();
            }
            Follows::Next => {}
        }
        self.apply(entry, now_ms);
        if self.arrive(entry) {
            follows
        } else {
            Follows::Lost
        }
    }

    /// The place is behind this entry now. False if it stands where one of this node had been.
    fn arrive(&self, entry: &Entry) -> bool {
        let mut known = self.0.known.lock();
        known.place = Some(Place {
            incarnation: entry.incarnation,
            number: entry.number,
            token: Some(entry.publication.token),
        });
        let token = entry.publication.token;
        known.awaited.arrive(entry.incarnation, entry.number, token)
    }

    fn apply(&self, entry: &Entry, now_ms: u64) {
        let inner = &self.0;
        let publication = &entry.publication;
        {
            let mut known = inner.known.lock();
            if known.positions.position_at(u64::MAX).is_none() {
                let sequence = inner.target.sequence();
                let before = entry.number.saturating_sub(1);
                known.positions.reset(entry.incarnation, before, sequence);
            }
        }
        let ago = Duration::from_millis(now_ms.saturating_sub(publication.at_ms));
        let sequence = if publication.purge.is_empty() {
            inner.target.purge_everything_softly()
        } else {
            let applied = inner.target.apply(&publication.purge, ago);
            applied.unwrap_or_else(|| self.reset(Reset::Unreadable))
        };
        inner.applied.fetch_add(1, Ordering::Relaxed);
        if publication.node != inner.node {
            inner.lag.observe(ago);
        }
        let mut known = inner.known.lock();
        known.positions.applied(entry.number, sequence);
        if publication.node == inner.node {
            match publication.purge.is_empty() {
                // It stands for all that found no room before it.
                true => known.positions.all_came_back(publication.sequence),
                false => known.positions.came_back(publication.sequence),
            }
        }
    }

    /// Purges everything softly: what was purged meanwhile cannot be told.
    fn reset(&self, why: Reset) -> u64 {
        let sequence = self.0.target.purge_everything_softly();
        if let Some(counter) = self.0.resets.get(why as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let label = Reset::LABELS.get(why as usize);
        tracing::warn!(why = label, "purges were missed: everything is stale");
        let mut known = self.0.known.lock();
        let unpublished = self.first_unpublished().unwrap_or(u64::MAX);
        known.awaited.clear();
        known
            .positions
            .all_came_back(sequence.min(unpublished.saturating_sub(1)));
        sequence
    }

    /// Ends a stream that has lost entries, for all nodes.
    async fn rotate(&self, connection: &mut Connection, old: Incarnation) -> Result<(), Trouble> {
        tracing::warn!("Redis has lost purges: a new stream begins");
        let rotate = self.0.keys.rotate(old, self.fresh(), self.number());
        ask(connection, &rotate).await.map(|_| ())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
