//! Standard `wasi:http` 0.2 components as the target of a route.

use http::StatusCode;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use verge_http::Body;
use verge_http::failure::{Failure, FunctionFault};

use verge_runtime::{Call, HandlerCall, NoScope, Outcome};

use crate::guests::handler;
use crate::kit::{Fixture, fixture};

/// Makes a response with status 203, its body in `$b` and a stream for it in `$n`, and sends
/// the head.
const HEAD: &str = "(local.set $a (call $new-outgoing (call $new-fields)))
     (drop (call $outgoing-status (local.get $a) (i32.const 203)))
     (call $outgoing-body (local.get $a) (i32.const 256))
     (local.set $b (i32.load (i32.const 260)))
     (call $body-write (local.get $b) (i32.const 256))
     (local.set $n (i32.load (i32.const 260)))
     (call $answer (local.get $out) (i32.const 0) (local.get $a) (i32.const 0) (i64.const 0)
       (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
const WRITE: &str = "(call $put (local.get $n) (i32.const 1024) (i32.const 4096) (i32.const 256))
     (if (i32.load8_u (i32.const 256)) (then unreachable))";
const FINISH: &str = "(call $drop-stream (local.get $n))
     (call $body-finish (local.get $b) (i32.const 0) (i32.const 0) (i32.const 256))";

async fn run(fixture: &Fixture) -> HandlerCall {
    let request = http::Request::builder()
        .uri("https://shop.example/a?b=c")
        .body(Body::from("content"))
        .expect("it is valid");
    let scope = Arc::new(NoScope);
    let call = Call { scope };
    fixture.function.handle(call, request, "r1".into()).await
}

fn guest(parts: &[&str]) -> Fixture {
    fixture(&handler("text/", &parts.concat()))
}

#[tokio::test]
async fn a_handler_answers() {
    let fixture = guest(&[HEAD, WRITE, FINISH]);
    let call = run(&fixture).await;
    assert_eq!(call.receipt.outcome, Outcome::Responded);
    let response = call.response.unwrap();
    assert_eq!(response.status(), StatusCode::NON_AUTHORITATIVE_INFORMATION);
    let content = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(content.len(), 4096);
    assert!(content.starts_with(b"text"));
    assert_eq!(fixture.engine.slots().in_use(), 0);
}

#[tokio::test]
async fn a_handler_streams() {
    let mut parts = vec![HEAD];
    parts.extend([WRITE; 40]);
    parts.push(FINISH);
    let fixture = guest(&parts);
    let call = run(&fixture).await;
    let pending = call.pending.expect("it still runs");
    let body = call.response.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 40 * 4096);
    while pending.get().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(pending.get().unwrap().receipt.outcome, Outcome::Responded);
    assert_eq!(fixture.engine.slots().in_use(), 0);
}

#[tokio::test]
async fn a_handler_that_never_answers_is_named() {
    let call = run(&guest(&[""])).await;
    assert_eq!(call.response.unwrap_err().fault, FunctionFault::NoResponse);
    assert_eq!(call.receipt.outcome, Outcome::NoResponse);
}

#[tokio::test]
async fn a_handler_that_traps_before_it_answers_is_named() {
    let call = run(&guest(&["unreachable"])).await;
    assert_eq!(call.response.unwrap_err().fault, FunctionFault::Trapped);
}

#[tokio::test]
async fn an_error_instead_of_a_response_is_a_refusal() {
    // error(internal-error(none)), the last of the 39 cases.
    let error = "(call $answer (local.get $out) (i32.const 1) (i32.const 38) (i32.const 0)
        (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
    let call = run(&guest(&[error])).await;
    let failure = call.response.unwrap_err();
    assert_eq!(failure.fault, FunctionFault::Refused);
    assert!(failure.detail.contains("InternalError"), "{failure}");
}

#[tokio::test]
async fn content_that_a_handler_does_not_finish_is_an_error_and_not_short() {
    let drops = "(call $drop-stream (local.get $n)) (call $drop-body (local.get $b))";
    let only_stream = "(call $drop-stream (local.get $n))";
    // Short content: nothing was sent, so there is no response at all.
    for (ending, fault) in [
        ("", FunctionFault::ResponseInvalid),
        (only_stream, FunctionFault::ResponseInvalid),
        (drops, FunctionFault::ResponseInvalid),
        ("unreachable", FunctionFault::Trapped),
    ] {
        let call = run(&guest(&[HEAD, WRITE, ending])).await;
        assert_eq!(call.response.unwrap_err().fault, fault, "{ending}");
    }
    // Long content: its end is a failure.
    for (ending, fault) in [
        ("", FunctionFault::ResponseInvalid),
        (drops, FunctionFault::ResponseInvalid),
        ("unreachable", FunctionFault::Trapped),
    ] {
        let mut parts = vec![HEAD];
        parts.extend([WRITE; 10]);
        parts.push(ending);
        let call = run(&guest(&parts)).await;
        let failure = call.response.unwrap().into_body().collect().await;
        assert_eq!(failure.unwrap_err(), Failure::Function(fault), "{ending}");
    }
}

#[tokio::test]
async fn requests_to_others_are_denied() {
    // Sends a request and traps unless the result is error(HTTP-request-denied), case 15.
    let fetch = "(local.set $a (call $new-request (call $new-fields)))
         (drop (call $set-authority (local.get $a) (i32.const 1) (i32.const 1024) (i32.const 4)))
         (drop (call $set-path (local.get $a) (i32.const 1) (i32.const 1028) (i32.const 1)))
         (call $send (local.get $a) (i32.const 0) (i32.const 0) (i32.const 256))
         (if (i32.eqz (i32.load8_u (i32.const 256))) (then
           (local.set $a (i32.load (i32.const 264)))
           (call $block (call $future-subscribe (local.get $a)))
           (call $future-get (local.get $a) (i32.const 512))
           (if (i32.ne (i32.load8_u (i32.const 536)) (i32.const 15)) (then unreachable))))
         (if (i32.load8_u (i32.const 256)) (then unreachable))";
    let call = run(&guest(&[fetch, HEAD, WRITE, FINISH])).await;
    call.response.unwrap();
}

#[tokio::test]
async fn dropping_a_handlers_response_ends_it() {
    let mut parts = vec![HEAD];
    parts.extend([WRITE; 40]);
    let fixture = guest(&parts);
    let call = run(&fixture).await;
    assert_eq!(fixture.engine.slots().in_use(), 1);
    drop(call.response);
    assert_eq!(fixture.engine.slots().in_use(), 0);
    assert_eq!(
        call.pending.unwrap().get().unwrap().receipt.outcome,
        Outcome::Abandoned
    );
}
