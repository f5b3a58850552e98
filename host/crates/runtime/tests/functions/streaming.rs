//! Responses whose content a guest writes while it runs: the head comes first,
//! the reader drives the guest, and nothing incomplete looks complete.

use std::time::{Duration, SystemTime};

use http_body_util::BodyExt as _;
use verge_base::Clock;
use verge_http::failure::{Failure, FunctionFault};
use verge_runtime::{ContentChange, Limits, Outcome, Verdict};

use crate::guests::{VIEWER_REQUEST, VIEWER_RESPONSE, guest};
use crate::kit::{Fixture, Setup, call, collect, fixture, request, response};

/// Writes `count` pieces of `length` bytes to the response in `$a` and ends with `ending`.
fn writes(count: u32, length: u32, ending: &str) -> String {
    format!(
        "(call $stream-body (local.get $a) (i32.const 256))
         (local.set $b (i32.load (i32.const 260)))
         (loop $more
           (call $write (local.get $b) (i32.const 1024) (i32.const {length}) (i32.const 256))
           (if (i32.load8_u (i32.const 256)) (then unreachable))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $n) (i32.const {count}))))
         {ending}"
    )
}

const FINISH: &str = "(call $finish (local.get $b) (i32.const 256))";

/// A viewer-request guest that answers with what it writes.
fn answers(count: u32, length: u32, ending: &str) -> Vec<u8> {
    let body = format!(
        "(local.set $a (call $new-response (i32.const 200)))
         {}
         (i32.store8 (i32.const 132) (i32.const 1))
         (i32.store (i32.const 136) (local.get $a))",
        writes(count, length, ending)
    );
    guest(VIEWER_REQUEST, "", &body)
}

/// A viewer-response guest that replaces the content by what it writes.
fn transforms(count: u32, length: u32, ending: &str) -> Vec<u8> {
    let body = format!(
        "(local.set $a (local.get $response)) {}",
        writes(count, length, ending)
    );
    guest(VIEWER_RESPONSE, "", &body)
}

async fn viewer_response(fixture: &Fixture) -> verge_runtime::ResponseCall {
    fixture
        .function
        .viewer_response(call(), request(), response())
        .await
}

#[tokio::test]
async fn short_content_comes_in_one_piece_with_its_length() {
    let fixture = fixture(&transforms(3, 100, FINISH));
    let call = viewer_response(&fixture).await;
    call.result.unwrap();
    assert!(call.pending.is_none());
    assert!(fixture.host.ended.lock().is_empty());
    assert_eq!(call.effects.content, ContentChange::Replaced);
    assert!(!call.response.headers().contains_key("content-length"));
    assert_eq!(call.response.body().exact_len(), Some(300));
    assert_eq!(call.receipt.outcome, Outcome::Continued);
}

#[tokio::test]
async fn long_content_streams_while_the_guest_runs() {
    let setup = Setup {
        limits: Limits {
            body: 100 << 20,
            ..Setup::default().limits
        },
        ..Setup::default()
    };
    let fixture = setup.start(&transforms(400, 40_000, FINISH));
    let call = viewer_response(&fixture).await;
    call.result.unwrap();
    let pending = call.pending.expect("the guest still runs");
    assert!(pending.get().is_none());
    assert_eq!(fixture.engine.slots().in_use(), 1);
    let content = collect(call.response.into_body()).await.unwrap();
    assert_eq!(content.len(), 400 * 40_000);
    let end = pending.get().expect("it has ended");
    assert!(end.failure.is_none());
    assert_eq!(end.receipt.outcome, Outcome::Continued);
    assert_eq!(end.receipt.hostcalls, 402);
    let ended = fixture.host.ended.lock();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].0, "guest/r1");
    assert_eq!(ended[0].1.receipt.hostcalls, 402);
    drop(ended);
    assert_eq!(fixture.engine.slots().in_use(), 0);
}

#[tokio::test]
async fn an_answer_can_be_streamed_too() {
    let fixture = fixture(&answers(20, 40_000, FINISH));
    let call = fixture.function.viewer_request(call(), request()).await;
    assert_eq!(call.receipt.outcome, Outcome::Responded);
    assert_eq!(collect(call.request.body).await.unwrap(), "content");
    let Ok(Verdict::Respond(response)) = call.verdict else {
        panic!("it answers");
    };
    let content = collect(response.into_body()).await.unwrap();
    assert_eq!(content.len(), 20 * 40_000);
    assert_eq!(
        call.pending.unwrap().get().unwrap().receipt.outcome,
        Outcome::Responded
    );
}

#[tokio::test]
async fn content_without_an_end_is_an_error_and_not_short() {
    let trap = "unreachable";
    let drop_writer = "(call $drop-writer (local.get $b))";
    for (ending, fault, outcome) in [
        // A guest that returns well without ending its content has not answered well.
        ("", FunctionFault::ResponseInvalid, Outcome::ResponseInvalid),
        (
            drop_writer,
            FunctionFault::ResponseInvalid,
            Outcome::ResponseInvalid,
        ),
        (trap, FunctionFault::Trapped, Outcome::Trapped),
    ] {
        let fixture = fixture(&transforms(4, 40_000, ending));
        let call = viewer_response(&fixture).await;
        call.result.unwrap();
        let mut body = call.response.into_body();
        let mut length = 0;
        let failure = loop {
            match body.frame().await {
                Some(Ok(frame)) => length += frame.into_data().unwrap().len(),
                Some(Err(failure)) => break failure,
                None => panic!("it looks complete after {length} bytes"),
            }
        };
        assert_eq!(length, 160_000);
        assert_eq!(failure, Failure::Function(fault));
        let end = call.pending.unwrap().get().unwrap();
        assert_eq!(end.receipt.outcome, outcome);
        assert_eq!(fixture.engine.slots().in_use(), 0);
    }
}

#[tokio::test]
async fn a_failure_before_anything_was_sent_leaves_the_response_as_it_was() {
    for (ending, fault) in [
        ("", FunctionFault::ResponseInvalid),
        ("unreachable", FunctionFault::Trapped),
    ] {
        let fixture = fixture(&transforms(3, 100, ending));
        let call = viewer_response(&fixture).await;
        assert_eq!(call.result.unwrap_err().fault, fault);
        assert_eq!(call.receipt.outcome.fault(), Some(fault));
        assert_eq!(call.response.headers()["content-length"], "7");
        assert_eq!(collect(call.response.into_body()).await.unwrap(), "content");
    }
}

#[tokio::test]
async fn a_writer_that_was_never_used_must_be_finished() {
    let takes = |ending: &str| {
        let body = format!(
            "(call $stream-body (local.get $response) (i32.const 256))
             (local.set $b (i32.load (i32.const 260))) {ending}"
        );
        guest(VIEWER_RESPONSE, "", &body)
    };
    let call = viewer_response(&fixture(&takes(FINISH))).await;
    call.result.unwrap();
    assert_eq!(call.response.body().exact_len(), Some(0));
    let call = viewer_response(&fixture(&takes(""))).await;
    assert_eq!(
        call.result.unwrap_err().fault,
        FunctionFault::ResponseInvalid
    );
    assert_eq!(collect(call.response.into_body()).await.unwrap(), "content");
}

#[tokio::test]
async fn dropping_the_content_ends_the_guest() {
    let fixture = fixture(&transforms(20, 40_000, FINISH));
    let call = viewer_response(&fixture).await;
    assert_eq!(fixture.engine.slots().in_use(), 1);
    drop(call.response);
    assert_eq!(fixture.engine.slots().in_use(), 0);
    let end = call.pending.unwrap().get().unwrap();
    assert_eq!(end.receipt.outcome, Outcome::Abandoned);
}

#[tokio::test]
async fn a_guest_that_spins_after_its_first_piece_is_stopped() {
    let setup = Setup {
        limits: Limits {
            cpu: Duration::from_millis(10),
            ..Setup::default().limits
        },
        ..Setup::default()
    };
    let fixture = setup.start(&transforms(1, 100, "(loop $for-ever (br $for-ever))"));
    let call = viewer_response(&fixture).await;
    call.result.unwrap();
    let failure = collect(call.response.into_body()).await.unwrap_err();
    assert_eq!(failure, Failure::Function(FunctionFault::CpuExceeded));
    let end = call.pending.unwrap().get().unwrap();
    assert_eq!(end.failure.unwrap().fault, FunctionFault::CpuExceeded);
}

#[tokio::test]
async fn after_the_end_of_its_content_a_guest_may_go_on_within_its_limits() {
    let logs = format!(
        "{FINISH}
         (call $log (i32.const 2) (i32.const 1024) (i32.const 1))"
    );
    let fixture = fixture(&transforms(4, 40_000, &logs));
    let call = viewer_response(&fixture).await;
    let pending = call.pending.unwrap();
    collect(call.response.into_body()).await.unwrap();
    while pending.get().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.host.logged.lock().len(), 1);
}

#[tokio::test]
async fn a_response_trigger_writes_no_response_but_the_given_one() {
    let body = format!(
        "(local.set $a (call $new-response (i32.const 200))) {}",
        writes(1, 100, FINISH)
    );
    let fixture = fixture(&guest(VIEWER_RESPONSE, "", &body));
    let call = viewer_response(&fixture).await;
    // The guest gives up when it is told that it cannot write there.
    assert_eq!(call.result.unwrap_err().fault, FunctionFault::Trapped);
    assert_eq!(call.effects.content, ContentChange::Untouched);
    assert_eq!(call.response.headers(), response().headers());
}

#[tokio::test]
async fn a_slow_reader_does_not_use_up_the_deadline() {
    // In the second case several pieces wait at once, and are taken without the guest being asked.
    for (count, bytes) in [(8, 40_000), (32, 10_000)] {
        let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
        let setup = Setup {
            clock,
            ..Setup::default()
        };
        let fixture = setup.start(&transforms(count, bytes, FINISH));
        let call = viewer_response(&fixture).await;
        let mut body = call.response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().into_data().unwrap().len();
            // Each time longer than the deadline: the reader's time is not the guest's.
            time.advance(Duration::from_secs(60));
        }
        assert_eq!(length, 320_000);
    }
}
