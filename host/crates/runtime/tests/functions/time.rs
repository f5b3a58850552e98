//! What bounds a guest's time: its CPU budget, its deadline, and the turns that it
//! leaves to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::{Duration, SystemTime};

use verge_base::Clock;
use verge_http::failure::FunctionFault;
use verge_runtime::Limits;

use crate::guests;
use crate::kit::{Setup, assert_failed, call, endless, fixture, limited, request_with, run};

#[tokio::test]
async fn a_guest_that_spins_uses_up_its_cpu_budget() {
    let fixture = limited(|limits| limits.cpu = Duration::from_millis(5)).start(&guests::spins());
    let call = run(&fixture).await;
    assert_failed(&call, FunctionFault::CpuExceeded);
    assert!(call.receipt.cpu >= Duration::from_millis(5));
    let detail = call.verdict.unwrap_err().detail;
    assert!(detail.contains("handle"), "a backtrace: {detail}");
}

#[tokio::test]
async fn a_guest_that_spins_passes_its_deadline() {
    let limits = |limits: &mut Limits| limits.deadline = Duration::from_millis(5);
    let fixture = limited(limits).start(&guests::spins());
    assert_failed(&run(&fixture).await, FunctionFault::DeadlineExceeded);
}

#[tokio::test]
async fn a_guest_that_waits_passes_its_deadline_and_costs_no_cpu() {
    let limits = |limits: &mut Limits| limits.deadline = Duration::from_millis(20);
    let fixture = limited(limits).start(&guests::sleeps(3_600_000_000_000));
    let call = run(&fixture).await;
    assert_failed(&call, FunctionFault::DeadlineExceeded);
    assert!(call.receipt.wall >= Duration::from_millis(20));
    assert!(call.receipt.cpu < Duration::from_millis(20));
}

#[tokio::test]
async fn a_guest_may_wait_within_its_deadline() {
    let fixture = fixture(&guests::sleeps(2_000_000));
    assert!(run(&fixture).await.verdict.is_ok());
}

#[tokio::test]
async fn others_on_the_same_thread_run_while_a_guest_spins() {
    let fixture = limited(|limits| limits.cpu = Duration::from_millis(50)).start(&guests::spins());
    let spinning = run(&fixture);
    let mut turns = 0;
    let others = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        call = spinning => assert_failed(&call, FunctionFault::CpuExceeded),
        () = others => unreachable!("it never ends"),
    }
    assert!(turns >= 10, "{turns} turns in 50 ticks");
}

/// Remembers that a future wants to be polled again.
#[derive(Default)]
struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn waiting_for_content_does_not_count_towards_the_deadline() {
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
    let setup = Setup {
        clock,
        ..Setup::default()
    };
    let fixture = setup.start(&guests::reads());
    let mut waiting = Box::pin(
        fixture
            .function
            .viewer_request(call(), request_with(endless())),
    );
    for _ in 0..3 {
        // A tick may fall into a poll: the guest then wants the next one at once.
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        loop {
            let mut context = Context::from_waker(&waker);
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            if !woken.0.swap(false, Ordering::Relaxed) {
                break;
            }
        }
        // The sender's own timeout would end it.
        time.advance(Duration::from_secs(3600));
    }
}

#[tokio::test]
async fn dropping_a_call_while_the_guest_spins_frees_its_slot() {
    let fixture = fixture(&guests::spins());
    let outcome = tokio::time::timeout(Duration::from_millis(10), run(&fixture)).await;
    assert!(outcome.is_err());
    assert_eq!(fixture.engine.slots().in_use(), 0);
}
