//! A store on a disk as its threads keep it, and its file as it is found.

use std::time::SystemTime;

use tempfile::TempDir;
use verge_base::ManualClock;
use verge_runtime::capabilities::{KvEntry, KvExpected, KvPage};

use super::entry::cost;
use super::*;

mod bench;
pub(super) mod synced;

const MEMORY: usize = 1 << 20;

/// A store in a folder of its own, by a clock that stands still.
struct Place {
    folder: TempDir,
    store: DiskStore,
    clock: ManualClock,
    limits: KvLimits,
}

impl Place {
    fn new() -> Self {
        Self::at(TempDir::new().unwrap())
    }

    fn at(folder: TempDir) -> Self {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let store = DiskStore::open(&folder.path().join("kv/store"), MEMORY, clock).unwrap();
        let mut limits = KvLimits::default();
        limits.timeout = Duration::from_secs(20);
        Self {
            folder,
            store,
            clock: handle,
            limits,
        }
    }

    async fn run(&self, op: KvOp) -> Result<KvReply, KvError> {
        self.store.run(op, &self.limits).await
    }

    async fn set(&self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<KvReply, KvError> {
        self.run(set(key, value, ttl)).await
    }

    async fn get(&self, key: &str) -> Option<KvEntry> {
        let key = key.to_owned();
        match self.run(KvOp::Get { key }).await {
            Ok(KvReply::Entry(entry)) => entry,
            other => panic!("{other:?}"),
        }
    }

    async fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.get(key).await.map(|entry| entry.value)
    }

    async fn increment(&self, key: &str, delta: i64) -> Result<KvReply, KvError> {
        let (key, ttl) = (key.to_owned(), Some(Duration::from_secs(10)));
        self.run(KvOp::Increment { key, delta, ttl }).await
    }

    async fn swap(&self, expected: KvExpected, value: &[u8]) -> Result<KvReply, KvError> {
        let op = KvOp::Swap {
            key: "k".to_owned(),
            expected,
            value: value.to_owned(),
            ttl: None,
        };
        self.run(op).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> KvPage {
        let op = KvOp::List {
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit,
        };
        match self.run(op).await {
            Ok(KvReply::Page(page)) => page,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until as many entries are there, those included that are to be swept.
    async fn comes_to(&self, entries: u64) {
        for _ in 0..4000 {
            if self.store.totals().entries == entries {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.store.totals());
    }
}

fn set(key: &str, value: &[u8], ttl: Option<u64>) -> KvOp {
    KvOp::Set {
        key: key.to_owned(),
        value: value.to_owned(),
        ttl: ttl.map(Duration::from_secs),
    }
}

#[tokio::test]
async fn what_is_written_is_there_with_a_version_of_its_own() {
    let place = Place::new();
    let Ok(KvReply::Version(first)) = place.set("k", b"one", None).await else {
        panic!("it is written");
    };
    let entry = place.get("k").await.unwrap();
    assert_eq!((&*entry.value, entry.version), (&b"one"[..], first));
    let Ok(KvReply::Version(second)) = place.set("k", b"one", None).await else {
        panic!("it is written");
    };
    assert_ne!(first, second);
    let exists = |key: &str| KvOp::Exists { key: key.into() };
    assert_eq!(place.run(exists("k")).await, Ok(KvReply::Flag(true)));
    assert_eq!(place.run(exists("other")).await, Ok(KvReply::Flag(false)));
    let delete = || KvOp::Delete { key: "k".into() };
    assert_eq!(place.run(delete()).await, Ok(KvReply::Flag(true)));
    assert_eq!(place.run(delete()).await, Ok(KvReply::Flag(false)));
    assert_eq!(place.get("k").await, None);
    assert_eq!(
        (place.store.totals().bytes, place.store.totals().entries),
        (0, 0)
    );
}

#[tokio::test]
async fn an_entry_ends_with_its_time_and_is_swept() {
    let place = Place::new();
    place.set("short", b"v", Some(10)).await.unwrap();
    place.set("long", b"v", Some(100)).await.unwrap();
    place.set("for-ever", b"v", None).await.unwrap();
    // A write without a time to live takes the old one away.
    place.set("kept", b"v", Some(10)).await.unwrap();
    place.set("kept", b"w", None).await.unwrap();
    place.clock.advance(Duration::from_millis(9_999));
    assert!(place.get("short").await.is_some());
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(place.get("short").await, None);
    let op = KvOp::Exists {
        key: "short".into(),
    };
    assert_eq!(place.run(op).await, Ok(KvReply::Flag(false)));
    let keys = place.list("", None, 10).await.keys;
    assert_eq!(keys, ["for-ever", "kept", "long"]);
    place.comes_to(3).await;
    place.clock.advance(Duration::from_secs(1000));
    place.comes_to(2).await;
    assert_eq!(place.store.swept(), 2);
    assert_eq!(
        place.store.totals().bytes,
        cost("for-ever", 1) + cost("kept", 1)
    );
}

#[tokio::test]
async fn numbers_are_added_to_and_keep_their_end() {
    let place = Place::new();
    assert_eq!(place.increment("n", 5).await, Ok(KvReply::Number(5)));
    assert_eq!(place.increment("n", -7).await, Ok(KvReply::Number(-2)));
    assert_eq!(place.value("n").await.unwrap(), b"-2");
    place.clock.advance(Duration::from_secs(9));
    assert_eq!(place.increment("n", 1).await, Ok(KvReply::Number(-1)));
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(
        place.increment("n", 1).await,
        Ok(KvReply::Number(1)),
        "a new one"
    );
    for wrong in ["", "x", "1.5", "+1", "01", " 1", "99999999999999999999"] {
        place.set("n", wrong.as_bytes(), None).await.unwrap();
        assert_eq!(
            place.increment("n", 1).await,
            Err(KvError::NotANumber),
            "{wrong:?}"
        );
        assert_eq!(place.value("n").await.unwrap(), wrong.as_bytes());
    }
    let most = i64::MAX.to_string();
    place.set("n", most.as_bytes(), None).await.unwrap();
    assert_eq!(place.increment("n", 1).await, Err(KvError::NotANumber));
    assert_eq!(place.increment("n", 0).await, Ok(KvReply::Number(i64::MAX)));
}

#[tokio::test]
async fn a_swap_writes_only_over_what_is_expected() {
    let place = Place::new();
    let conflict = |found| Ok(KvReply::Swapped(Err(found)));
    assert_eq!(
        place.swap(KvExpected::Version(1), b"a").await,
        conflict(None)
    );
    assert_eq!(
        place.swap(KvExpected::Value(b"".into()), b"a").await,
        conflict(None)
    );
    let Ok(KvReply::Swapped(Ok(first))) = place.swap(KvExpected::Absent, b"a").await else {
        panic!("it is absent");
    };
    let found = place.get("k").await;
    assert_eq!(found.as_ref().unwrap().version, first);
    assert_eq!(
        place.swap(KvExpected::Absent, b"b").await,
        conflict(found.clone())
    );
    assert_eq!(
        place.swap(KvExpected::Version(first + 1), b"b").await,
        conflict(found.clone())
    );
    assert_eq!(
        place.swap(KvExpected::Value(b"x".into()), b"b").await,
        conflict(found)
    );
    let Ok(KvReply::Swapped(Ok(second))) = place.swap(KvExpected::Version(first), b"b").await
    else {
        panic!("it is of that version");
    };
    assert_ne!(first, second);
    let by_value = place.swap(KvExpected::Value(b"b".into()), b"c").await;
    assert!(matches!(by_value, Ok(KvReply::Swapped(Ok(_)))));
    assert_eq!(place.value("k").await.unwrap(), b"c");
    // What has ended is absent.
    place.set("k", b"v", Some(1)).await.unwrap();
    place.clock.advance(Duration::from_secs(1));
    let again = place.swap(KvExpected::Absent, b"d").await;
    assert!(matches!(again, Ok(KvReply::Swapped(Ok(_)))));
}

#[tokio::test]
async fn of_many_at_once_each_increment_counts() {
    let place = Arc::new(Place::new());
    let adding: Vec<_> = (0..200)
        .map(|_| {
            let place = Arc::clone(&place);
            tokio::spawn(async move { place.increment("n", 1).await })
        })
        .collect();
    let mut sums = Vec::new();
    for one in adding {
        match one.await.unwrap() {
            Ok(KvReply::Number(sum)) => sums.push(sum),
            other => panic!("{other:?}"),
        }
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=200).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_page_of_a_list_reads_so_many_bytes_of_values_and_no_more() {
    let mut place = Place::new();
    place.limits.max_value = 4 << 20;
    let value = vec![b'v'; 1 << 20];
    for number in 0..8 {
        place.set(&number.to_string(), &value, None).await.unwrap();
    }
    let first = place.list("", None, 100).await;
    assert_eq!(first.keys, ["0", "1", "2", "3"]);
    let rest = place.list("", first.cursor.as_deref(), 100).await;
    assert_eq!(rest.keys, ["4", "5", "6", "7"]);
    let end = place.list("", rest.cursor.as_deref(), 100).await;
    assert_eq!((end.keys.len(), end.cursor), (0, None));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_disk_that_hangs() {
    let place = Place::new();
    // Who reads or writes the file waits for this.
    let hangs = place.store.inner.file.hang();
    let waiting = place.store.run(set("k", b"v", None), &place.limits);
    place.store.stop_within(Duration::from_millis(50));
    drop(hangs);
    assert_eq!(waiting.await, Ok(KvReply::Version(1)));
}

#[tokio::test]
async fn lists_go_by_prefix_in_pages() {
    let place = Place::new();
    for key in ["a", "u:1", "u:2", "u:3", "u:\u{10ffff}", "v"] {
        place.set(key, b"", None).await.unwrap();
    }
    let first = place.list("u:", None, 2).await;
    assert_eq!(first.keys, ["u:1", "u:2"]);
    let rest = place.list("u:", first.cursor.as_deref(), 10).await;
    assert_eq!(rest.keys, ["u:3", "u:\u{10ffff}"]);
    assert_eq!(rest.cursor, None);
    assert_eq!(place.list("", None, 10).await.keys.len(), 6);
    assert_eq!(
        place.list("u:", Some("a"), 10).await.keys.len(),
        4,
        "within the prefix"
    );
    assert_eq!(place.list("x", None, 10).await, KvPage::default());
}

#[tokio::test]
async fn a_full_store_says_so_and_goes_on_with_what_it_has() {
    let mut place = Place::new();
    place.limits.max_bytes = 2 * cost("a", 100);
    place.set("a", &[1; 100], None).await.unwrap();
    place.set("b", &[2; 100], None).await.unwrap();
    assert_eq!(place.set("c", b"", None).await, Err(KvError::Full));
    assert_eq!(place.increment("c", 1).await, Err(KvError::Full));
    assert_eq!(place.set("a", &[1; 101], None).await, Err(KvError::Full));
    assert_eq!(place.value("a").await.unwrap(), [1; 100]);
    // What is no longer than before has room, and so has what comes after a deletion.
    place.set("a", &[3; 100], None).await.unwrap();
    place.run(KvOp::Delete { key: "b".into() }).await.unwrap();
    place.set("c", &[4; 100], Some(1)).await.unwrap();
    assert_eq!(place.set("d", b"", None).await, Err(KvError::Full));
    // So has what comes after the end of an entry, swept or not.
    place.clock.advance(Duration::from_secs(1));
    place.set("d", &[5; 100], None).await.unwrap();
    assert_eq!(place.value("a").await.unwrap(), [3; 100]);
}

#[tokio::test]
async fn what_was_answered_is_in_the_file_at_any_moment() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("kv/store.synced");
    std::fs::create_dir(folder.path().join("kv")).unwrap();
    std::fs::write(&image, "").unwrap();
    let place = Place::at(folder);
    let copy = place.folder.path().join("copy");
    for round in 0..20_u8 {
        let key = format!("k{round}");
        place.set(&key, &[round; 1000], None).await.unwrap();
        place.set("same", &[round], None).await.unwrap();
        // As a machine would find it that lost its power now, and with it all that was not synced.
        std::fs::copy(&image, &copy).unwrap();
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let found = DiskStore::open(&copy, MEMORY, clock).unwrap();
        assert_eq!(found.totals(), place.store.totals());
        let get = KvOp::Get { key };
        let entry = found.run(get, &place.limits).await;
        assert!(matches!(entry, Ok(KvReply::Entry(Some(entry))) if entry.value == [round; 1000]));
        found.stop();
        std::fs::remove_file(&copy).unwrap();
    }
}

#[tokio::test]
async fn a_stopped_store_has_written_what_waited_and_takes_no_more() {
    let place = Place::new();
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            place
                .store
                .run(set(&n.to_string(), b"v", None), &place.limits)
        })
        .collect();
    place.store.stop();
    for one in waiting {
        assert!(matches!(one.await, Ok(KvReply::Version(_))));
    }
    assert_eq!(place.set("k", b"v", None).await, Err(KvError::Unavailable));
    let get = KvOp::Get { key: "1".into() };
    assert_eq!(place.run(get).await, Err(KvError::Unavailable));
    let path = place.folder.path().join("kv/store");
    let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
    assert_eq!(
        DiskStore::open(&path, MEMORY, clock)
            .unwrap()
            .totals()
            .entries,
        50
    );
}

#[tokio::test]
async fn a_file_that_failed_is_opened_again_with_what_it_had() {
    let place = Place::new();
    place.set("k", b"v", None).await.unwrap();
    let failed = place
        .store
        .inner
        .file
        .read::<()>(|_| Err(redb::Error::PreviousIo));
    assert_eq!(failed, Err(KvError::Unavailable));
    assert!(!place.store.is_usable());
    assert_eq!(place.set("k", b"w", None).await, Err(KvError::Unavailable));
    place.clock.advance(Duration::from_secs(1));
    for _ in 0..4000 {
        if place.store.is_usable() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(place.value("k").await.unwrap(), b"v");
    place.set("k", b"w", None).await.unwrap();
}

#[tokio::test]
async fn a_panic_below_costs_one_operation() {
    let place = Place::new();
    let failed = place
        .store
        .inner
        .file
        .read::<()>(|_| panic!("as a library might"));
    assert_eq!(failed, Err(KvError::Unavailable));
    assert!(!place.store.is_usable());
}

#[test]
fn a_file_is_for_one_store_and_of_its_own_format() {
    let place = Place::new();
    let open = |name: &str| {
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let opened = DiskStore::open(&place.folder.path().join(name), MEMORY, clock);
        opened.err().unwrap_or_default()
    };
    assert!(open("kv/store").ends_with("is in use by another process"));
    std::fs::write(place.folder.path().join("text"), "no database").unwrap();
    assert!(
        open("text").contains("cannot be opened"),
        "{}",
        open("text")
    );
    assert!(open("text/below").contains("cannot be opened"));
    let path = place.folder.path().join("other");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    transaction
        .open_table(meta)
        .unwrap()
        .insert("format", 2)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(
        open("other").ends_with("was written by another version"),
        "{}",
        open("other")
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(place.folder.path().join("kv/store"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_queue_is_bounded_in_number_and_in_bytes() {
    let queue = Queue::new();
    let clock = Clock::system();
    let mut limits = KvLimits::default();
    limits.queue = 3;
    limits.queue_bytes = 100;
    let push = |op: KvOp, limits: &KvLimits| {
        let (answer, _) = oneshot::channel();
        let job = Job {
            op,
            max_bytes: 0,
            due: clock.now(),
            answer,
        };
        queue.push(job, limits)
    };
    assert_eq!(
        push(set("a", &[0; 200], None), &limits),
        Ok(()),
        "one always has room"
    );
    assert_eq!(push(set("b", b"x", None), &limits), Err(KvError::Busy));
    let long = "k".repeat(200);
    let delete = |key: &str| KvOp::Delete { key: key.into() };
    assert_eq!(
        push(delete(&long), &limits),
        Err(KvError::Busy),
        "keys count"
    );
    // Reads have their own bound: writes that wait refuse none.
    let get = || KvOp::Get { key: "a".into() };
    for _ in 0..3 {
        assert_eq!(push(get(), &limits), Ok(()));
    }
    assert_eq!(push(get(), &limits), Err(KvError::Busy));
    assert_eq!(queue.len(), 4);
    assert_eq!(queue.writes(Duration::ZERO).unwrap().len(), 1);
    for _ in 0..3 {
        assert_eq!(push(delete("a"), &limits), Ok(()));
    }
    assert_eq!(push(delete("a"), &limits), Err(KvError::Busy));
    assert_eq!(queue.writes(Duration::ZERO).unwrap().len(), 3);
    for _ in 0..2 {
        assert!(queue.read().is_some());
    }
    assert_eq!(push(set("b", b"x", None), &limits), Ok(()));
    queue.close();
    assert_eq!(
        push(KvOp::Get { key: "a".into() }, &limits),
        Err(KvError::Unavailable)
    );
    assert!(queue.read().is_some() && queue.read().is_none());
    assert!(queue.writes(Duration::ZERO).is_some() && queue.writes(Duration::ZERO).is_none());
}
