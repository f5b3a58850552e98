//! What bounds a guest's time: its CPU budget, its deadline, and the turns that it
//! leaves to others.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use verge_base::Clock;
use verge_http::failure::FunctionFault;
use verge_runtime::{Limits, RequestCall};

use crate::guests;
use crate::kit::{
    Busy, Fixture, Setup, assert_failed, call, endless_and_asked, fixture, limited, request_with,
    run, stay_on_one_core, thread_cpu,
};

const MILLISECOND: Duration = Duration::from_millis(1);
/// What a single run may get beyond its limit: where more threads run than there are cores, or the
/// machine is virtual and its host has other things to do, a core stands still at times.
const STALL: Duration = Duration::from_millis(100);

/// More threads than cores.
fn loaded() -> Busy {
    Busy::threads(2 * thread::available_parallelism().map_or(2, usize::from))
}

/// Runs a call, and says what the thread used meanwhile.
async fn run_measured(fixture: &Fixture) -> (RequestCall, Duration) {
    let before = thread_cpu();
    let call = run(fixture).await;
    (call, thread_cpu().saturating_sub(before))
}

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
async fn a_cpu_budget_is_exact_to_a_millisecond_on_a_busy_machine_too() {
    let budget = 10 * MILLISECOND;
    let fixture = limited(|limits| limits.cpu = budget).start(&guests::spins());
    run(&fixture).await;
    for is_loaded in [false, true] {
        let _others = is_loaded.then(loaded);
        let mut used = Vec::new();
        for _ in 0..21 {
            let (call, by_thread) = run_measured(&fixture).await;
            assert_failed(&call, FunctionFault::CpuExceeded);
            let receipt = call.receipt.cpu;
            assert!(receipt > budget, "{receipt:?}");
            // It paid for nobody else.
            let most = by_thread + MILLISECOND / 2;
            assert!(receipt <= most, "{receipt:?} of {by_thread:?}");
            assert!(by_thread <= budget + STALL, "{by_thread:?}");
            used.push(by_thread);
        }
        used.sort();
        let median = used[used.len() / 2];
        assert!(median <= budget + MILLISECOND, "{is_loaded}: {used:?}");
    }
}

#[tokio::test]
async fn a_guest_whose_thread_is_starved_keeps_its_budget() {
    let limits = |limits: &mut Limits| limits.cpu = 10 * MILLISECOND;
    // What takes about a third of the budget here.
    let trial = fixture(&guests::computes(1));
    let mut million = Duration::MAX;
    for _ in 0..5 {
        million = million.min(run(&trial).await.receipt.cpu);
    }
    let times = (3 * MILLISECOND).as_nanos() / million.as_nanos().max(1);
    let times = u32::try_from(times).unwrap().clamp(1, 1000);
    let fixture = limited(limits).start(&guests::computes(times));
    stay_on_one_core();
    let _others = Busy::threads(7);
    let mut starved = 0;
    while starved < 5 {
        let call = run(&fixture).await;
        let receipt = call.receipt;
        assert!(call.verdict.is_ok(), "{times} millions: {receipt:?}");
        starved += u32::from(receipt.wall > 10 * MILLISECOND);
    }
}

#[tokio::test]
async fn a_guest_that_spins_passes_its_deadline_on_time() {
    let deadline = 5 * MILLISECOND;
    let fixture = limited(|limits| limits.deadline = deadline).start(&guests::spins());
    for is_loaded in [false, true] {
        let _others = is_loaded.then(loaded);
        let mut soonest = Duration::MAX;
        for _ in 0..20 {
            let (call, by_thread) = run_measured(&fixture).await;
            assert_failed(&call, FunctionFault::DeadlineExceeded);
            assert!(call.receipt.wall >= deadline);
            assert!(by_thread <= deadline + STALL, "{by_thread:?}");
            soonest = soonest.min(call.receipt.wall);
        }
        assert!(soonest <= 2 * deadline, "{is_loaded}: {soonest:?}");
    }
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

/// The 99th percentile of how long this thread's runtime takes to answer another thread, which
/// asks over a socket as a client does.
async fn latency_of_others() -> std::io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = thread::spawn(move || {
        let clock = Clock::system();
        let mut socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let mut latencies = Vec::new();
        for _ in 0..300 {
            let asked = clock.now();
            socket.write_all(b"?")?;
            socket.read_exact(&mut [0])?;
            latencies.push(clock.now().duration_since(asked));
        }
        latencies.sort();
        std::io::Result::Ok(latencies[latencies.len() * 99 / 100])
    });
    let (mut socket, _) = listener.accept().await?;
    socket.set_nodelay(true)?;
    let mut byte = [0];
    while socket.read(&mut byte).await? > 0 {
        // As a request does whose parts are tasks of their own.
        tokio::spawn(async {}).await?;
        socket.write_all(&byte).await?;
    }
    client.join().expect("it does not panic")
}

#[tokio::test]
async fn a_guest_that_spins_leaves_others_their_latency() {
    let fixture = Arc::new(fixture(&guests::spins()));
    let (mut without, mut with) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        without = without.min(latency_of_others().await.unwrap());
        let spinning = Arc::clone(&fixture);
        let spinning = tokio::spawn(async move { run(&spinning).await });
        with = with.min(latency_of_others().await.unwrap());
        assert!(!spinning.is_finished(), "it spins for ten seconds");
        spinning.abort();
    }
    // Twice is the aim, which the bench measures. On a machine with others on it, a thread that
    // has much to do loses its core for some slices, to which one that sleeps is preferred.
    let most = 20 * without.max(Duration::from_micros(100)) + STALL;
    assert!(with <= most, "{without:?} without, {with:?} with");
}

#[tokio::test]
async fn waiting_for_content_does_not_count_towards_the_deadline() {
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
    let setup = Setup {
        clock,
        ..Setup::default()
    };
    let fixture = setup.start(&guests::reads());
    let (body, asked) = endless_and_asked();
    let mut waiting = pin!(fixture.function.viewer_request(call(), request_with(body)));
    for _ in 0..3 {
        asked.store(false, Ordering::Relaxed);
        poll_fn(|context| {
            assert!(waiting.as_mut().poll(context).is_pending());
            match asked.load(Ordering::Relaxed) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
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
