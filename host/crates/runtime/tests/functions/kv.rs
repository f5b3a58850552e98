//! `kv`, `wasi:keyvalue` and counters that take time: what crosses, what waits, and what the
//! waiting counts to.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use verge_http::failure::FunctionFault;
use verge_runtime::capabilities::{KvEntry, KvFuture, KvOp, KvReply};
use verge_runtime::{Grants, KvStore, KvStores, LoadError, Outcome};

use crate::guests::{VIEWER_REQUEST, guest};
use crate::kit::{Setup, fixture, limited, run};

/// The stores of a test's function: one that keeps a value, one that takes its time, and one that
/// never answers.
pub(crate) fn stores() -> KvStores {
    let named = |name: &str, store: Arc<dyn KvStore>| (Arc::from(name), store);
    KvStores::new([
        named("kept", Arc::new(Kept::default())),
        named("slow", Arc::new(Slow)),
        named("never", Arc::new(Never)),
    ])
}

#[derive(Default)]
struct Kept(Mutex<Option<Vec<u8>>>);

impl KvStore for Kept {
    fn run(&self, op: KvOp) -> KvFuture {
        let reply = match op {
            KvOp::Set { value, .. } => {
                *self.0.lock() = Some(value);
                KvReply::Version(7)
            }
            _ => KvReply::Entry(
                self.0
                    .lock()
                    .clone()
                    .map(|value| KvEntry { value, version: 7 }),
            ),
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// How long a slow store takes.
const SLOW: Duration = Duration::from_millis(60);

struct Slow;

impl KvStore for Slow {
    fn run(&self, _: KvOp) -> KvFuture {
        Box::pin(async {
            tokio::time::sleep(SLOW).await;
            Ok(KvReply::Flag(true))
        })
    }
}

struct Never;

impl KvStore for Never {
    fn run(&self, _: KvOp) -> KvFuture {
        Box::pin(std::future::pending())
    }
}

/// Opens the store whose name has `length` bytes at 1024, and does `then` with its handle, `$a`.
/// Traps if it is not granted.
fn with_store(name: &str, then: &str) -> Vec<u8> {
    let length = name.len();
    let open = format!(
        "(call $store-open (i32.const 1024) (i32.const {length}) (i32.const 256))
         (if (i32.load8_u (i32.const 256)) (then unreachable))
         (local.set $a (i32.load (i32.const 260)))"
    );
    guest(VIEWER_REQUEST, name, &format!("{open} {then}"))
}

/// Asks for the key that is the store's first letter; the result is at 272.
const EXISTS: &str =
    "(call $store-exists (local.get $a) (i32.const 1024) (i32.const 1) (i32.const 272))";

#[tokio::test]
async fn what_one_call_writes_the_next_one_reads() {
    // It writes the store's name, and fails if something else is there.
    let fixture = fixture(&with_store(
        "kept",
        "(call $store-get (local.get $a) (i32.const 1024) (i32.const 1) (i32.const 272))
         (if (i32.load8_u (i32.const 272)) (then unreachable))
         (if (i32.load8_u (i32.const 280))
           (then (if (i64.ne (i64.load (i32.const 296)) (i64.const 7)) (then unreachable))
                 (if (i32.ne (i32.load (i32.const 292)) (i32.const 4)) (then unreachable)))
           (else (call $log (i32.const 2) (i32.const 1024) (i32.const 4))))
         (call $store-set (local.get $a) (i32.const 1024) (i32.const 1) (i32.const 1024)
           (i32.const 4) (i32.const 0) (i64.const 0) (i32.const 272))
         (if (i32.load8_u (i32.const 272)) (then unreachable))",
    ));
    for _ in 0..2 {
        let call = run(&fixture).await;
        assert_eq!(
            call.receipt.outcome,
            Outcome::Continued,
            "{:?}",
            call.verdict
        );
        assert!(call.receipt.hostcalls >= 3);
    }
    let logged = fixture.host.logged.lock();
    assert_eq!(
        logged.len(),
        1,
        "only the first call found nothing: {logged:?}"
    );
}

#[tokio::test]
async fn a_store_that_was_not_granted_is_an_error_of_the_guests_own() {
    let refused = guest(
        VIEWER_REQUEST,
        "other",
        "(call $store-open (i32.const 1024) (i32.const 5) (i32.const 256))
         (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable))
         (if (i32.load8_u (i32.const 260)) (then unreachable))",
    );
    let call = run(&fixture(&refused)).await;
    assert_eq!(
        call.receipt.outcome,
        Outcome::Continued,
        "{:?}",
        call.verdict
    );
}

#[tokio::test]
async fn waiting_for_a_store_is_no_cpu_time() {
    let setup = limited(|limits| limits.cpu = Duration::from_millis(30));
    let fixture = setup.start(&with_store("slow", EXISTS));
    let call = run(&fixture).await;
    assert_eq!(
        call.receipt.outcome,
        Outcome::Continued,
        "{:?}",
        call.verdict
    );
    assert!(call.receipt.wall >= SLOW, "{:?}", call.receipt);
    assert!(
        call.receipt.cpu < Duration::from_millis(30),
        "{:?}",
        call.receipt
    );
}

#[tokio::test]
async fn waiting_for_a_store_counts_to_the_deadline() {
    let setup = limited(|limits| limits.deadline = Duration::from_millis(50));
    let fixture = setup.start(&with_store("never", EXISTS));
    let call = run(&fixture).await;
    let failure = call.verdict.expect_err("it waits for ever");
    assert_eq!(failure.fault, FunctionFault::DeadlineExceeded);
    assert!(call.receipt.wall >= Duration::from_millis(50));
    assert_eq!(fixture.engine.slots().in_use(), 0, "its slot is free again");
}

#[tokio::test]
async fn each_operation_is_a_hostcall() {
    let setup = limited(|limits| limits.hostcalls = 100);
    let fixture = setup.start(&with_store("kept", &format!("(loop $l {EXISTS} (br $l))")));
    let failure = run(&fixture).await.verdict.expect_err("it asks too often");
    assert_eq!(failure.fault, FunctionFault::HostcallsExceeded);
}

#[tokio::test]
async fn counters_may_answer_later() {
    let fixture = fixture(&guest(
        VIEWER_REQUEST,
        "in",
        "(if (i64.ne (call $rate-count (i32.const 1024) (i32.const 2) (i32.const 1000)
             (i32.const 41)) (i64.const 42)) (then unreachable))
         (call $rate-penalize (i32.const 1024) (i32.const 2) (i32.const 5))
         (call $rate-penalty (i32.const 1024) (i32.const 2) (i32.const 256))
         (if (i32.ne (i32.load (i32.const 260)) (i32.const 2)) (then unreachable))",
    ));
    let call = run(&fixture).await;
    assert_eq!(
        call.receipt.outcome,
        Outcome::Continued,
        "{:?}",
        call.verdict
    );
}

/// A component that imports nothing but `batch`, whose `get-many` returns `result`.
fn imports_batch(result: &str) -> String {
    format!(
        r#"(component
             (import "wasi:keyvalue/store@0.2.0-draft2" (instance $store
               (export "bucket" (type (sub resource)))
               (type $e (variant (case "no-such-store") (case "access-denied")
                 (case "other" string)))
               (export "error" (type (eq $e)))))
             (alias export $store "bucket" (type $bucket))
             (alias export $store "error" (type $error))
             (import "wasi:keyvalue/batch@0.2.0-draft2" (instance
               (alias outer 1 $bucket (type $b))
               (export "bucket" (type $own (eq $b)))
               (alias outer 1 $error (type $f))
               (export "error" (type $failed (eq $f)))
               (export "get-many" (func (param "bucket" (borrow $own))
                 (param "keys" (list string))
                 (result (result (list {result}) (error $failed))))))))"#
    )
}

#[test]
fn a_component_gets_the_batch_that_it_was_built_with() {
    let setup = Setup::default();
    let engine = setup.engine();
    let load = |component: &str| setup.load(&engine, component.as_bytes()).err();
    for result in [
        "(tuple string (option (list u8)))",
        "(option (tuple string (list u8)))",
    ] {
        let refused = load(&imports_batch(result));
        // It links, and has nothing to call.
        assert!(
            matches!(refused, Some(LoadError::NoTrigger)),
            "{result}: {refused:?}"
        );
    }
    let refused = load(&imports_batch("string"));
    assert!(matches!(refused, Some(LoadError::Unfit(_))), "{refused:?}");
}

#[test]
fn both_ways_to_a_store_need_its_grant() {
    let setup = Setup {
        grants: Grants::default(),
        ..Setup::default()
    };
    let engine = setup.engine();
    for (component, import) in [
        (with_store("kept", EXISTS), "verge:edge/kv@0.1.0"),
        (
            imports_batch("string").into_bytes(),
            "wasi:keyvalue/store@0.2.0-draft2",
        ),
    ] {
        let refused = setup
            .load(&engine, &component)
            .err()
            .expect("it is refused");
        let said = refused.to_string();
        let expected =
            format!("{import} is not granted: set `grants.kv` in the function's section");
        assert!(said.contains(&expected), "{said}");
    }
}
