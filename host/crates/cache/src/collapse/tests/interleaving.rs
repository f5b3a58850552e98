//! Fills, followers, purges and failures in any order, against a model that
//! knows who leads, what was asked for when, and what is stored: nothing that
//! was asked for before a purge is found behind it, or told to who came after
//! it; one request leads for each path; and nobody waits for nothing.

use bytes::Bytes;
use proptest::prelude::*;
use verge_http::surrogate::SurrogateKey;

use super::*;

const PATHS: [&str; 3] = ["/a", "/a/b", "/c"];

#[derive(Clone, Copy, Debug)]
enum Scope {
    Path(usize),
    /// `/a` and what stands below.
    Prefix,
    Red,
    Everything,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Join(usize),
    /// The origin request is sent.
    Send(usize),
    /// The head has come; `true` with the surrogate key `red`.
    Begin(usize, bool),
    Push(usize),
    Finish(usize),
    /// The response cannot be stored.
    Refuse(usize),
    Fail(usize),
    /// The leader goes away.
    Drop(usize),
    Wait(usize),
    Look(usize),
    Purge(Scope),
    Invalidate(usize),
}

/// One that asks the origin.
struct Fetch {
    number: u64,
    path: usize,
    /// How many purges there were when it was sent.
    sent: Option<usize>,
    is_red: Option<bool>,
    /// It leads for its path, as far as the model knows.
    leads: bool,
    place: Place,
}

enum Place {
    Permit(FillPermit),
    Filling(Box<Filling>),
}

struct Follower {
    waiter: Waiter,
    /// How many purges there were when it came.
    joined: usize,
}

/// The cache and what is known of it.
struct World {
    kit: Kit,
    purges: Vec<Scope>,
    fetches: Vec<Fetch>,
    followers: Vec<Follower>,
    /// For each path: number of what is stored, and whether it is red.
    stored: [Option<(u64, bool)>; PATHS.len()],
    marked: [bool; PATHS.len()],
    last: u64,
}

impl Scope {
    /// Whether it concerns a response of which `is_red` may not be known yet.
    fn concerns(self, path: usize, is_red: Option<bool>) -> bool {
        match self {
            Self::Path(of) => of == path,
            Self::Prefix => path < 2,
            Self::Red => is_red == Some(true),
            Self::Everything => true,
        }
    }

    fn scope(self) -> PurgeScope {
        let uri = |path| PurgeTarget::new(target(path)).expect("a target");
        match self {
            Self::Path(path) => PurgeScope::Uri(uri(PATHS[path])),
            Self::Prefix => PurgeScope::prefix(target("/a")).expect("a prefix"),
            Self::Red => PurgeScope::SurrogateKey(SurrogateKey::new("red").expect("a key")),
            Self::Everything => PurgeScope::Everything,
        }
    }
}

/// All content of a number.
fn piece(number: u64) -> Bytes {
    Bytes::from(vec![(number % 251) as u8; 1000])
}

impl World {
    fn new() -> Self {
        Self {
            kit: kit(),
            purges: Vec::new(),
            fetches: Vec::new(),
            followers: Vec::new(),
            stored: [None; PATHS.len()],
            marked: [false; PATHS.len()],
            last: 0,
        }
    }

    /// Whether a purge from number `from` on, and before number `to`, concerns a fetch.
    fn is_purged(&self, fetch: (usize, Option<bool>), from: usize, to: usize) -> bool {
        let between = self.purges.get(from..to).unwrap_or_default();
        between.iter().any(|scope| scope.concerns(fetch.0, fetch.1))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join(path) => self.join(path),
            Step::Look(path) => self.look(path),
            Step::Purge(scope) => {
                self.kit.cache.purge(scope.scope(), Hardness::Hard);
                self.purged(scope);
            }
            Step::Invalidate(path) => {
                self.kit.cache.invalidate(&self.kit.key(PATHS[path]));
                self.purged(Scope::Path(path));
            }
            Step::Wait(which) => self.wait(which),
            Step::Send(which) => {
                let sent = self.purges.len();
                if let Some(fetch) = self.fetch(which)
                    && let Place::Permit(permit) = &mut fetch.place
                {
                    permit.mark_sent();
                    fetch.sent = Some(sent);
                }
            }
            Step::Begin(which, is_red) => self.begin(which, is_red),
            Step::Push(which) => {
                if let Some(fetch) = self.fetch(which)
                    && let Place::Filling(filling) = &mut fetch.place
                {
                    push(&mut filling.writer, piece(fetch.number)).expect("there is a reader");
                }
            }
            Step::Finish(which) | Step::Refuse(which) | Step::Fail(which) | Step::Drop(which) => {
                self.end(which, step);
            }
        }
    }

    fn fetch(&mut self, which: usize) -> Option<&mut Fetch> {
        let place = which.checked_rem(self.fetches.len())?;
        self.fetches.get_mut(place)
    }

    fn purged(&mut self, scope: Scope) {
        self.purges.push(scope);
        for (path, stored) in self.stored.iter_mut().enumerate() {
            if stored.is_some_and(|(_, is_red)| scope.concerns(path, Some(is_red))) {
                *stored = None;
            }
        }
    }

    fn look(&self, path: usize) {
        let found = self.kit.selected(&self.kit.key(PATHS[path]), &[]);
        let found = found.map(|stored| number_of(stored.head()));
        let expected = self.stored[path].map(|(number, _)| number);
        assert_eq!(found, expected, "what {} has", PATHS[path]);
    }

    fn join(&mut self, path: usize) {
        let now = self.purges.len();
        let leader = self.fetches.iter().position(|f| f.leads && f.path == path);
        // Who came after a purge must not follow what was sent before it.
        let followed = leader.filter(|leader| {
            let fetch = &self.fetches[*leader];
            let sent = fetch.sent.unwrap_or(now);
            !self.is_purged((path, fetch.is_red), sent, now)
        });
        let joined = self.kit.join(&self.kit.key(PATHS[path]), &[]);
        let (permit, leads) = match joined {
            Join::Alone(permit, AloneReason::Marker) => {
                assert!(self.marked[path], "alone without a marker");
                (permit, false)
            }
            Join::Follower(waiter) => {
                assert!(!self.marked[path] && followed.is_some(), "follows nobody");
                self.followers.push(Follower {
                    waiter,
                    joined: now,
                });
                return;
            }
            Join::Arrived(stored) => {
                let expected = self.stored[path].map(|(number, _)| number);
                assert_eq!(Some(number_of(stored.head())), expected);
                // It was the next leader, and needs nothing.
                self.leave(leader);
                return;
            }
            Join::Leader(permit) => {
                let is_first = followed.is_none() && self.stored[path].is_none();
                assert!(!self.marked[path] && is_first, "leads beside others");
                self.leave(leader);
                (permit, true)
            }
            other => panic!("{other:?}"),
        };
        self.last += 1;
        self.fetches.push(Fetch {
            number: self.last,
            path,
            sent: None,
            is_red: None,
            leads,
            place: Place::Permit(permit),
        });
    }

    fn leave(&mut self, leader: Option<usize>) {
        if let Some(leader) = leader {
            self.fetches[leader].leads = false;
        }
    }

    fn begin(&mut self, which: usize, is_red: bool) {
        let Some(place) = which.checked_rem(self.fetches.len()) else {
            return;
        };
        let mut fetch = self.fetches.swap_remove(place);
        if let (Place::Permit(permit), Some(_)) = (fetch.place, fetch.sent) {
            let number = fetch.number.to_string();
            let response = [
                ("cache-control", "max-age=60"),
                ("surrogate-key", if is_red { "red" } else { "blue" }),
                ("x-number", number.as_str()),
            ];
            fetch.is_red = Some(is_red);
            fetch.place = Place::Filling(Box::new(self.kit.begin(permit, &[], &response)));
            self.fetches.push(fetch);
        } else {
            // Nothing was sent, or it goes away amid its content.
        }
    }

    fn end(&mut self, which: usize, step: Step) {
        let Some(place) = which.checked_rem(self.fetches.len()) else {
            return;
        };
        let fetch = self.fetches.swap_remove(place);
        let (path, failure) = (fetch.path, Failure::unsent(OriginFault::DnsError));
        match (fetch.place, step) {
            (Place::Filling(filling), Step::Finish(_)) => {
                let _finished = filling.writer.finish(None).expect("no length was promised");
                let (sent, is_red) = (fetch.sent.unwrap_or(0), fetch.is_red);
                if !self.is_purged((path, is_red), sent, self.purges.len()) {
                    self.stored[path] = Some((fetch.number, is_red == Some(true)));
                    self.marked[path] = false;
                }
            }
            (Place::Filling(filling), Step::Fail(_)) => filling.writer.abort(failure),
            (Place::Permit(permit), Step::Refuse(_)) => {
                permit.refuse(RefuseReason::NoStore);
                self.marked[path] = true;
            }
            (Place::Permit(permit), Step::Fail(_)) => permit.fail(failure),
            (place, _) => drop(place),
        }
    }

    /// One follower asks what there is for it.
    fn wait(&mut self, which: usize) {
        let Some(place) = which.checked_rem(self.followers.len()) else {
            return;
        };
        let mut follower = self.followers.swap_remove(place);
        match wait(&mut follower.waiter, &[]) {
            None => self.followers.push(follower),
            Some(Followed::Filling { head, mut reader }) => {
                let number = number_of(&head);
                let (content, _) = read(&mut reader);
                assert!(content.iter().all(|b| u64::from(*b) == number % 251));
                let fetch = self.fetches.iter().find(|fetch| fetch.number == number);
                if let Some(fetch) = fetch {
                    let (sent, is_red) = (fetch.sent.unwrap_or(0), fetch.is_red);
                    let is_purged = self.is_purged((fetch.path, is_red), sent, follower.joined);
                    assert!(!is_purged, "{number} was purged before its follower came");
                }
            }
            Some(Followed::Purged | Followed::Released(_)) => {}
            Some(other) => panic!("{other:?}"),
        }
    }

    /// Everybody goes; nobody waits for those who went, and no byte is left behind.
    fn end_all(mut self) {
        let is_idle = self.fetches.iter().all(|fetch| !fetch.leads);
        assert!(!is_idle || self.kit.cache.inner().flights.flights() == 0);
        self.fetches.clear();
        for follower in &mut self.followers {
            assert!(
                wait(&mut follower.waiter, &[]).is_some(),
                "waits for nobody"
            );
        }
        self.followers.clear();
        assert_eq!(self.kit.cache.inner().flights.flights(), 0);
        for path in 0..PATHS.len() {
            self.look(path);
        }
        // What is counted is what is stored: looked at one by one, and by the store's own sum.
        let cache = &self.kit.cache;
        let mut cursor = SweepCursor::default();
        while !cache.sweep(&mut cursor, 100).is_done {}
        let entries = PATHS.iter().flat_map(|path| {
            let key = self.kit.key(path);
            let stored = cache.inner().store.variants(&key);
            let cost =
                move |stored: &std::sync::Arc<StoredResponse>| stored.cost() + key.len() as u64;
            stored.iter().map(cost).collect::<Vec<_>>()
        });
        let (sum, stats) = (entries.sum::<u64>(), cache.stats());
        let counted = cache.inner().store.usage().bytes;
        assert_eq!(
            (stats.bytes, counted, stats.fills_in_progress),
            (sum, sum, 0)
        );
    }
}

fn number_of(head: &StoredHead) -> u64 {
    let number = head.fields().get("x-number").expect("it has a number");
    number.to_str().expect("text").parse().expect("a number")
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = || prop_oneof![3 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    let scope = prop_oneof![
        path().prop_map(Scope::Path),
        Just(Scope::Prefix),
        Just(Scope::Red),
        Just(Scope::Everything),
    ];
    let which = 0..64_usize;
    let step = prop_oneof![
        8 => path().prop_map(Step::Join),
        6 => which.clone().prop_map(Step::Send),
        6 => (which.clone(), any::<bool>()).prop_map(|(which, is_red)| Step::Begin(which, is_red)),
        4 => which.clone().prop_map(Step::Push),
        4 => which.clone().prop_map(Step::Finish),
        1 => which.clone().prop_map(Step::Refuse),
        1 => which.clone().prop_map(Step::Fail),
        1 => which.clone().prop_map(Step::Drop),
        4 => which.prop_map(Step::Wait),
        3 => path().prop_map(Step::Look),
        3 => scope.prop_map(Step::Purge),
        1 => path().prop_map(Step::Invalidate),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn fills_followers_and_purges_in_any_order(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.end_all();
    }
}
