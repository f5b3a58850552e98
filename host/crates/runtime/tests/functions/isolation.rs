//! Where instances come from: fresh for each call, made ahead, or kept from call to call; and what
//! of a call never stays in one that is kept.

use std::task::Poll;
use std::thread;
use std::time::{Duration, SystemTime};

use verge_base::Clock;
use verge_http::failure::FunctionFault;
use verge_runtime::{Isolation, Outcome, StartClass};

use crate::guests::{self, VIEWER_REQUEST, guest};
use crate::kit::{Fixture, Setup, assert_failed, call, limited, request, run};

const REUSED: Isolation = Isolation::Reused {
    idle: 4,
    requests: 1000,
    time: Duration::from_secs(60),
};
const PREPARED: Isolation = Isolation::Prepared { idle: 4 };

/// Traps when it has been called before.
fn remembers() -> Vec<u8> {
    guest(
        VIEWER_REQUEST,
        "",
        "(if (i32.load (i32.const 2000)) (then unreachable))
         (i32.store (i32.const 2000) (i32.const 1))",
    )
}

fn isolated(isolation: Isolation) -> Setup {
    Setup {
        isolation,
        ..Setup::default()
    }
}

/// One call that must succeed, and how its instance came to it.
async fn start_of(fixture: &Fixture) -> StartClass {
    let call = run(fixture).await;
    assert_eq!(
        call.receipt.outcome,
        Outcome::Continued,
        "{:?}",
        call.verdict
    );
    call.receipt.start
}

async fn starts_of(fixture: &Fixture, calls: usize) -> Vec<StartClass> {
    let mut starts = Vec::new();
    for _ in 0..calls {
        starts.push(start_of(fixture).await);
    }
    starts
}

/// Waits for what another thread does.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        thread::park_timeout(Duration::from_millis(1));
    }
    assert!(is_so(), "waited for ten seconds in vain: {what}");
}

#[tokio::test]
async fn a_reused_instance_serves_one_call_after_the_other() {
    let fixture = isolated(REUSED).start(&guests::idles());
    let [first, others @ ..] = &starts_of(&fixture, 4).await[..] else {
        unreachable!("there are four");
    };
    assert_eq!(*first, StartClass::Fresh);
    assert_eq!(others, [StartClass::Reused; 3]);
    assert_eq!(fixture.function.idle_instances(), 1);
    assert_eq!(fixture.engine.slots().in_use(), 1);
    drop(fixture.function);
    eventually("its slot is free again", || {
        fixture.engine.slots().in_use() == 0
    });
}

#[tokio::test]
async fn only_a_reused_instance_remembers() {
    for isolation in [Isolation::Fresh, PREPARED] {
        let fixture = isolated(isolation).start(&remembers());
        starts_of(&fixture, 20).await;
    }
    let fixture = isolated(REUSED).start(&remembers());
    start_of(&fixture).await;
    assert_failed(&run(&fixture).await, FunctionFault::Trapped);
    // It was dropped for that.
    assert_eq!(fixture.function.idle_instances(), 0);
    assert_eq!(start_of(&fixture).await, StartClass::Fresh);
}

#[tokio::test]
async fn a_reused_instance_is_dropped_after_its_calls() {
    let isolation = Isolation::Reused {
        idle: 4,
        requests: 2,
        time: Duration::from_secs(60),
    };
    let fixture = isolated(isolation).start(&guests::idles());
    let starts = starts_of(&fixture, 4).await;
    let pair = [StartClass::Fresh, StartClass::Reused];
    assert_eq!(starts, [pair, pair].concat());
}

#[tokio::test]
async fn a_reused_instance_is_dropped_after_its_time() {
    let (clock, hand) = Clock::manual(SystemTime::UNIX_EPOCH);
    let mut setup = isolated(REUSED);
    setup.clock = clock;
    let fixture = setup.start(&guests::idles());
    start_of(&fixture).await;
    hand.advance(Duration::from_secs(59));
    assert_eq!(start_of(&fixture).await, StartClass::Reused);
    hand.advance(Duration::from_secs(1));
    assert_eq!(start_of(&fixture).await, StartClass::Fresh);
    hand.advance(Duration::from_secs(60));
    // Also without a call.
    eventually("the old one is dropped", || {
        fixture.function.idle_instances() == 0
    });
}

#[tokio::test]
async fn instances_that_wait_are_bounded() {
    let isolation = Isolation::Reused {
        idle: 1,
        requests: 1000,
        time: Duration::from_secs(60),
    };
    let fixture = isolated(isolation).start(&guests::naps(1_000_000));
    let calls = futures(&fixture, 3).await;
    assert_eq!(calls, [StartClass::Fresh; 3]);
    assert_eq!(fixture.function.idle_instances(), 1);
    assert_eq!(fixture.engine.slots().in_use(), 1);
}

/// So many calls at once.
async fn futures(fixture: &Fixture, calls: usize) -> Vec<StartClass> {
    let running: Vec<_> = (0..calls)
        .map(|_| {
            let function = fixture.function.clone();
            tokio::spawn(async move { function.viewer_request(call(), request()).await })
        })
        .collect();
    let mut starts = Vec::new();
    for call in running {
        let call = call.await.expect("it does not panic");
        assert_eq!(
            call.receipt.outcome,
            Outcome::Continued,
            "{:?}",
            call.verdict
        );
        starts.push(call.receipt.start);
    }
    starts
}

#[tokio::test]
async fn an_instance_that_has_grown_is_not_kept() {
    let grows = guest(
        VIEWER_REQUEST,
        "",
        "(if (i32.eq (memory.grow (i32.const 2)) (i32.const -1)) (then unreachable))",
    );
    // It starts with four pages: with six it has more than half.
    let mut setup = limited(|limits| limits.memory = 11 << 16);
    setup.isolation = REUSED;
    let fixture = setup.start(&grows);
    let starts = starts_of(&fixture, 3).await;
    assert_eq!(starts, [StartClass::Fresh; 3]);
    setup.limits.memory = 16 << 16;
    let fixture = setup.start(&grows);
    let starts = starts_of(&fixture, 5).await;
    let kept = [StartClass::Fresh, StartClass::Reused, StartClass::Reused];
    assert_eq!(starts[..3], kept);
    // Its memory is counted over all calls: at ten pages it had to go.
    assert_eq!(starts[3], StartClass::Fresh);
}

#[tokio::test]
async fn an_instance_that_holds_something_of_its_call_is_not_kept() {
    let holds = guest(
        VIEWER_REQUEST,
        "",
        "(drop (call $new-response (i32.const 200)))",
    );
    let fixture = isolated(REUSED).start(&holds);
    assert_eq!(starts_of(&fixture, 3).await, [StartClass::Fresh; 3]);
    assert_eq!(fixture.engine.slots().in_use(), 0);
}

#[tokio::test]
async fn each_call_of_a_reused_instance_has_limits_of_its_own() {
    let calls = "(drop (call $set-origin (local.get $request) (i32.const 0) (i32.const 0)))";
    let mut setup = limited(|limits| limits.hostcalls = 3);
    setup.isolation = REUSED;
    let fixture = setup.start(&guest(VIEWER_REQUEST, "", &calls.repeat(3)));
    for _ in 0..4 {
        let call = run(&fixture).await;
        assert_eq!(call.receipt.outcome, Outcome::Continued);
        assert_eq!(call.receipt.hostcalls, 3);
        assert_eq!(call.receipt.memory_peak, 4 << 16);
    }
    let spins = guest(
        VIEWER_REQUEST,
        "",
        "(if (i32.load (i32.const 2000)) (then (loop $ever (br $ever))))
         (i32.store (i32.const 2000) (i32.const 1))",
    );
    let mut setup = limited(|limits| limits.cpu = Duration::from_millis(5));
    setup.isolation = REUSED;
    let fixture = setup.start(&spins);
    start_of(&fixture).await;
    assert_failed(&run(&fixture).await, FunctionFault::CpuExceeded);
    assert_eq!(fixture.function.idle_instances(), 0);
}

#[tokio::test]
async fn a_call_that_was_dropped_takes_its_instance_along() {
    let fixture = isolated(REUSED).start(&guests::sleeps(u64::MAX >> 1));
    {
        let mut running = std::pin::pin!(run(&fixture));
        std::future::poll_fn(|context| {
            assert!(running.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(fixture.engine.slots().in_use(), 1);
    }
    assert_eq!(fixture.engine.slots().in_use(), 0);
    assert_eq!(fixture.function.idle_instances(), 0);
}

#[tokio::test]
async fn a_prepared_instance_waits_for_its_call() {
    let fixture = isolated(PREPARED).start(&guests::idles());
    for _ in 0..20 {
        eventually("one is made", || fixture.function.idle_instances() > 0);
        let call = run(&fixture).await;
        assert_eq!(call.receipt.start, StartClass::Prepared);
        assert_eq!(call.receipt.instantiate, Duration::ZERO);
        assert_eq!(call.receipt.memory_peak, 4 << 16);
    }
    // What has served is gone, and there are never more than were asked for.
    assert!(fixture.function.idle_instances() <= 4);
    drop(fixture.function);
    eventually("its slots are free again", || {
        fixture.engine.slots().in_use() == 0
    });
}

#[tokio::test]
async fn a_call_that_finds_no_prepared_instance_makes_one() {
    let fixture = isolated(Isolation::Prepared { idle: 1 }).start(&guests::naps(200_000_000));
    eventually("one is made", || fixture.function.idle_instances() == 1);
    // As many at once as there are slots, of which none is made ahead for the last.
    let starts = futures(&fixture, 4).await;
    assert!(starts.contains(&StartClass::Prepared), "{starts:?}");
    assert!(starts.contains(&StartClass::Fresh), "{starts:?}");
}

#[tokio::test]
async fn instances_that_wait_give_their_slots_to_calls() {
    for isolation in [PREPARED, REUSED] {
        let setup = isolated(isolation);
        let engine = setup.engine();
        let waiting = setup
            .load(&engine, &guests::naps(1_000_000))
            .expect("it loads");
        // On a busy machine the load may be over before the first instance is made ahead.
        // Two calls at once leave a slot to the one that is being made.
        for _ in 0..1000 {
            futures(&waiting, 2).await;
            if waiting.function.idle_instances() > 0 {
                break;
            }
        }
        eventually("some wait, and none is being made", || {
            let idle = waiting.function.idle_instances();
            idle > 0 && engine.slots().in_use() == idle
        });
        let fresh = Setup::default()
            .load(&engine, &guests::naps(10_000_000))
            .expect("it loads");
        // As many as there are slots: none is refused.
        futures(&fresh, 4).await;
        assert_eq!(engine.slots().refused(), 0, "{isolation:?}");
    }
}

#[tokio::test]
async fn an_instance_that_cannot_be_made_ahead_fails_its_calls_only() {
    let breaks = |what: &str| {
        guests::component(
            VIEWER_REQUEST,
            "",
            &format!(
                "(func $begin {what}) (start $begin)
                 (func (export \"verge:edge/viewer-request@0.1.0#handle\") (param i32) (result i32)
                   (i32.const 128))"
            ),
        )
    };
    let mut setup = limited(|limits| limits.cpu = Duration::from_millis(5));
    setup.isolation = PREPARED;
    for (what, fault) in [
        ("unreachable", FunctionFault::Trapped),
        ("(loop $ever (br $ever))", FunctionFault::CpuExceeded),
    ] {
        let fixture = setup.start(&breaks(what));
        assert_failed(&run(&fixture).await, fault);
        assert_eq!(fixture.function.idle_instances(), 0);
        eventually("no slot is held", || fixture.engine.slots().in_use() == 0);
    }
}
