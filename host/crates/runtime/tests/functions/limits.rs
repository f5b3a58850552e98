//! Hostile guests are contained: each limit ends them, is named, and gives the
//! request back as it was.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use verge_base::Clock;
use verge_http::failure::FunctionFault;
use verge_runtime::{LogLevel, Outcome, QuarantineSettings, StartClass, Verdict};

use crate::guests::{self, VIEWER_REQUEST, guest};
use crate::kit::{
    Setup, assert_failed, call, endless, fixture, limited, request, request_with, run,
};

#[tokio::test]
async fn a_good_call_says_what_it_cost() {
    let fixture = fixture(&guests::idles());
    let call = run(&fixture).await;
    assert!(matches!(call.verdict, Ok(Verdict::Continue)));
    let receipt = call.receipt;
    assert_eq!(&*receipt.function, "guest");
    assert_eq!(receipt.outcome, Outcome::Continued);
    assert_eq!(receipt.start, StartClass::Fresh);
    assert_eq!(receipt.hostcalls, 0);
    assert_eq!(receipt.memory_peak, 4 << 16);
    assert!(receipt.instantiate > Duration::ZERO);
    assert!(receipt.cpu > Duration::ZERO);
    assert!(receipt.wall >= receipt.cpu);
    assert_eq!(fixture.engine.slots().in_use(), 0);
}

#[tokio::test]
async fn memory_beyond_the_limit_is_refused_and_named() {
    let grows = guest(
        VIEWER_REQUEST,
        "",
        "(loop $more
           (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
         unreachable",
    );
    let fixture = limited(|limits| limits.memory = 10 << 16).start(&grows);
    let call = run(&fixture).await;
    assert_failed(&call, FunctionFault::MemoryExceeded);
    assert_eq!(call.receipt.memory_peak, 10 << 16);
}

#[tokio::test]
async fn a_guest_that_copes_with_refused_memory_goes_on() {
    let copes = guest(VIEWER_REQUEST, "", "(drop (memory.grow (i32.const 10000)))");
    assert!(run(&fixture(&copes)).await.verdict.is_ok());
}

#[tokio::test]
async fn a_trap_is_named_with_its_backtrace() {
    let call = run(&fixture(&guests::traps())).await;
    assert_failed(&call, FunctionFault::Trapped);
    let detail = call.verdict.unwrap_err().detail;
    assert!(
        detail.contains("unreachable") && detail.contains("handle"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_bad_result_is_a_trap() {
    for result in [
        "(return (i32.const -8))",
        "(i32.store8 (i32.const 128) (i32.const 7))",
        "(i32.store8 (i32.const 128) (i32.const 1))
         (i32.store (i32.const 132) (i32.const -8))
         (i32.store (i32.const 136) (i32.const 100))",
        // respond(response) with a handle that does not exist.
        "(i32.store8 (i32.const 132) (i32.const 1))
         (i32.store (i32.const 136) (i32.const 77))",
    ] {
        let call = run(&fixture(&guest(VIEWER_REQUEST, "", result))).await;
        assert_failed(&call, FunctionFault::Trapped);
    }
}

#[tokio::test]
async fn too_many_hostcalls_end_a_guest() {
    let floods = guest(
        VIEWER_REQUEST,
        "",
        "(loop $more
           (drop (call $set-origin (local.get $request) (i32.const 0) (i32.const 0)))
           (br $more))",
    );
    let fixture = limited(|limits| limits.hostcalls = 100).start(&floods);
    let call = run(&fixture).await;
    assert_failed(&call, FunctionFault::HostcallsExceeded);
    assert_eq!(call.receipt.hostcalls, 101);
}

#[tokio::test]
async fn too_many_calls_of_wasi_end_a_guest_at_the_next_tick() {
    let floods = guest(
        VIEWER_REQUEST,
        "",
        "(loop $more (drop (call $now)) (br $more))",
    );
    let fixture = limited(|limits| limits.hostcalls = 100).start(&floods);
    assert_failed(&run(&fixture).await, FunctionFault::HostcallsExceeded);
}

#[tokio::test]
async fn open_handles_are_bounded() {
    let hoards = guest(
        VIEWER_REQUEST,
        "",
        "(loop $more (drop (call $new-response (i32.const 200))) (br $more))",
    );
    assert_failed(&run(&fixture(&hoards)).await, FunctionFault::Trapped);
    let sleeps = guest(
        VIEWER_REQUEST,
        "",
        "(loop $more (drop (call $after (i64.const 1))) (br $more))",
    );
    assert_failed(&run(&fixture(&sleeps)).await, FunctionFault::Trapped);
}

#[tokio::test]
async fn without_a_free_slot_a_call_is_refused_and_does_not_run() {
    let setup = Setup {
        instances: 1,
        ..Setup::default()
    };
    let fixture = setup.start(&guests::reads());
    let mut holding = Box::pin(
        fixture
            .function
            .viewer_request(call(), request_with(endless())),
    );
    std::future::poll_fn(|context| {
        assert!(holding.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(fixture.engine.slots().in_use(), 1);
    let refused = run(&fixture).await;
    assert_failed(&refused, FunctionFault::InstancesExhausted);
    assert_eq!(refused.receipt.cpu, Duration::ZERO);
    assert_eq!(fixture.engine.slots().refused(), 1);
    // Dropping the call midway frees its slot, and the engine is as good as new.
    drop(holding);
    assert_eq!(fixture.engine.slots().in_use(), 0);
    for _ in 0..3 {
        assert!(run(&fixture).await.verdict.is_ok());
    }
}

#[tokio::test]
async fn nothing_is_left_for_the_next_instance() {
    // Fails unless its memory, grown or not, and its globals are as the component says.
    let stains = guest(
        VIEWER_REQUEST,
        "clean",
        "(drop (memory.grow (i32.const 1)))
         (if (i32.load (i32.const 200000)) (then unreachable))
         (if (i32.load (i32.const 300000)) (then unreachable))
         (if (i32.ne (i32.load8_u (i32.const 1024)) (i32.const 99)) (then unreachable))
         (if (i32.ne (global.get $heap) (i32.const 65536)) (then unreachable))
         (i32.store (i32.const 200000) (i32.const 1))
         (i32.store (i32.const 300000) (i32.const 1))
         (i32.store (i32.const 1024) (i32.const 1))
         (global.set $heap (i32.const 1))",
    );
    let setup = Setup {
        instances: 1,
        ..Setup::default()
    };
    let fixture = setup.start(&stains);
    for _ in 0..20 {
        run(&fixture).await.verdict.unwrap();
    }
}

#[tokio::test]
async fn the_log_is_bounded_and_cannot_forge_lines() {
    let logs = guest(
        VIEWER_REQUEST,
        "one\\0atwo",
        "(loop $more
           (call $log (i32.const 3) (i32.const 1024) (i32.const 7))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $n) (i32.const 5))))",
    );
    let fixture = limited(|limits| limits.log_bytes = 2 * (64 + 7)).start(&logs);
    let call = run(&fixture).await;
    assert_eq!(call.receipt.log_dropped, 3);
    let line = (
        LogLevel::Warn,
        "guest/r1".to_owned(),
        "one\\ntwo".to_owned(),
    );
    assert_eq!(*fixture.host.logged.lock(), [line.clone(), line]);
}

#[tokio::test]
async fn output_is_logged_line_by_line() {
    let prints = guest(
        VIEWER_REQUEST,
        "one\\0d\\0atwo\\0athree",
        "(local.set $a (call $stdout))
         (call $put (local.get $a) (i32.const 1024) (i32.const 6) (i32.const 256))
         (call $put (local.get $a) (i32.const 1030) (i32.const 8) (i32.const 256))
         (call $drop-stream (local.get $a))",
    );
    let fixture = fixture(&prints);
    assert!(run(&fixture).await.verdict.is_ok());
    let lines: Vec<_> = fixture
        .host
        .logged
        .lock()
        .iter()
        .map(|(level, _, text)| (*level, text.clone()))
        .collect();
    let expected = ["one", "two", "three"].map(|text| (LogLevel::Info, text.to_owned()));
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_function_that_fails_again_and_again_is_quarantined_until_a_trial() {
    // Traps while the request id is longer than two bytes.
    let moody = guest(
        VIEWER_REQUEST,
        "",
        "(call $id (local.get $request) (i32.const 256))
         (if (i32.gt_u (i32.load (i32.const 260)) (i32.const 2)) (then unreachable))",
    );
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
    let setup = Setup {
        clock,
        quarantine: QuarantineSettings {
            failures: 3,
            ..QuarantineSettings::default()
        },
        ..Setup::default()
    };
    let fixture = setup.start(&moody);
    let run_as = |id: &str| {
        let mut request = request();
        request.id = id.into();
        fixture.function.viewer_request(call(), request)
    };
    for _ in 0..3 {
        assert_failed(&run_as("bad").await, FunctionFault::Trapped);
    }
    assert!(fixture.function.is_quarantined());
    assert_failed(&run_as("r1").await, FunctionFault::Quarantined);
    time.advance(Duration::from_secs(1));
    assert_failed(&run_as("bad").await, FunctionFault::Trapped);
    time.advance(Duration::from_secs(1));
    assert_failed(&run_as("r1").await, FunctionFault::Quarantined);
    time.advance(Duration::from_secs(1));
    assert!(run_as("r1").await.verdict.is_ok());
    assert!(!fixture.function.is_quarantined());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_from_many_threads_share_the_slots() {
    let setup = Setup {
        // One function does not get all of them.
        instances: 10,
        ..Setup::default()
    };
    let fixture = Arc::new(setup.start(&guests::sleeps(100_000)));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let fixture = Arc::clone(&fixture);
        tasks.push(tokio::spawn(async move {
            for _ in 0..50 {
                run(&fixture).await.verdict.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(fixture.engine.slots().in_use(), 0);
}
