//! What functions do to messages, and that a failed call leaves them alone.

use bytes::Bytes;
use http::StatusCode;
use verge_http::Body;
use verge_http::failure::{ClientFault, Failure, FunctionFault};
use verge_runtime::{ContentChange, EdgeRequest, Limits, Outcome, RequestCall, Verdict};

use crate::guests::{ORIGIN_REQUEST, ORIGIN_RESPONSE, VIEWER_REQUEST, VIEWER_RESPONSE, guest};
use crate::kit::{Setup, call, collect, fixture, request, request_with, response, site_call};

/// Text of one edit at 512 and its batch: `set x-new: value`, with `x-newvalue` at 1024.
const SET: &str = "(i32.store8 (i32.const 512) (i32.const 0))
     (i32.store (i32.const 516) (i32.const 1024))
     (i32.store (i32.const 520) (i32.const 5))
     (i32.store (i32.const 524) (i32.const 1029))
     (i32.store (i32.const 528) (i32.const 5))";

fn apply() -> String {
    format!(
        "{SET} (call $apply (local.get $request) (i32.const 512) (i32.const 1) (i32.const 256))"
    )
}

fn apply_to_response() -> String {
    format!(
        "{SET} (call $response-apply (local.get $response) (i32.const 512) (i32.const 1)
           (i32.const 256))"
    )
}

/// Ends with `error("oops")`; the text begins at `at`.
fn refuse(at: u32) -> String {
    format!(
        "(i32.store8 (i32.const 128) (i32.const 1))
         (i32.store (i32.const 132) (i32.const {at}))
         (i32.store (i32.const 136) (i32.const 4))"
    )
}

async fn viewer_request(component: &[u8], request: EdgeRequest) -> RequestCall {
    fixture(component)
        .function
        .viewer_request(site_call(), request)
        .await
}

#[tokio::test]
async fn edited_fields_come_back_with_their_names() {
    let call = viewer_request(&guest(VIEWER_REQUEST, "x-newvalue", &apply()), request()).await;
    assert!(matches!(call.verdict, Ok(Verdict::Continue)));
    assert_eq!(call.request.fields["x-new"], "value");
    assert_eq!(call.effects.fields, ["x-new"]);
    assert!(!call.effects.target);
    assert_eq!(call.effects.content, ContentChange::Untouched);
    assert_eq!(call.receipt.hostcalls, 1);
}

#[tokio::test]
async fn a_failed_call_undoes_its_edits() {
    for ending in [refuse(1034), "unreachable".to_owned()] {
        let body = format!(
            "{} (drop (call $context-set (i32.const 1024) (i32.const 5) (i32.const 1029)
                 (i32.const 5)))
             (drop (call $set-origin (local.get $request) (i32.const 1038) (i32.const 5)))
             (call $request-set-body (local.get $request) (i32.const 1024) (i32.const 5)
                 (i32.const 256))
             {ending}",
            apply()
        );
        let guest = guest(VIEWER_REQUEST, "x-newvalueoopsgreen", &body);
        let call = viewer_request(&guest, request()).await;
        assert!(call.verdict.is_err());
        assert!(!call.request.fields.contains_key("x-new"));
        assert_eq!(call.request.fields["content-length"], "7");
        assert!(call.request.context.is_empty());
        assert_eq!(call.effects.fields, [""; 0]);
        assert_eq!(call.effects.origin, None);
        assert_eq!(call.effects.content, ContentChange::Untouched);
        assert_eq!(collect(call.request.body).await.unwrap(), "content");
    }
}

#[tokio::test]
async fn an_error_is_a_refusal_with_its_text_for_the_log() {
    let call = viewer_request(&guest(VIEWER_REQUEST, "oops", &refuse(1024)), request()).await;
    let failure = call.verdict.unwrap_err();
    assert_eq!(failure.fault, FunctionFault::Refused);
    assert_eq!(failure.detail, "oops");
    assert_eq!(call.receipt.outcome, Outcome::Refused);
}

#[tokio::test]
async fn key_parts_unkeyed_fields_origin_and_context_are_reported() {
    let body = "(if (i32.eqz (call $add-key-part (local.get $request) (i32.const 1024)
             (i32.const 1) (i32.const 1025) (i32.const 2))) (then unreachable))
         (if (i32.eqz (call $declare-unkeyed (local.get $request) (i32.const 1024)
             (i32.const 1))) (then unreachable))
         (if (call $declare-unkeyed (local.get $request) (i32.const 1024) (i32.const 0))
             (then unreachable))
         (if (i32.eqz (call $set-origin (local.get $request) (i32.const 1027)
             (i32.const 5))) (then unreachable))
         (if (call $set-origin (local.get $request) (i32.const 1027) (i32.const 4))
             (then unreachable))
         (if (i32.eqz (call $context-set (i32.const 1024) (i32.const 1) (i32.const 1025)
             (i32.const 2))) (then unreachable))";
    let call = viewer_request(&guest(VIEWER_REQUEST, "abcgreen", body), request()).await;
    call.verdict.unwrap();
    assert_eq!(call.effects.key_parts, [("a".to_owned(), "bc".to_owned())]);
    assert_eq!(call.effects.unkeyed, ["a"]);
    assert_eq!(call.effects.origin.as_deref(), Some("green"));
    assert_eq!(
        call.request.context.value("a"),
        Some(&Bytes::from_static(b"bc"))
    );
}

#[tokio::test]
async fn origin_request_cannot_change_the_key() {
    let body = "(if (call $add-key-part (local.get $request) (i32.const 1024)
             (i32.const 1) (i32.const 1025) (i32.const 2)) (then unreachable))
         (if (call $declare-unkeyed (local.get $request) (i32.const 1024)
             (i32.const 1)) (then unreachable))";
    let fixture = fixture(&guest(ORIGIN_REQUEST, "abc", body));
    let call = fixture
        .function
        .origin_request(site_call(), request())
        .await;
    call.verdict.unwrap();
    assert!(call.effects.key_parts.is_empty() && call.effects.unkeyed.is_empty());
}

#[tokio::test]
async fn what_an_origin_trigger_looks_at_is_noted() {
    let get = "(call $get (local.get $request) (i32.const 1024) (i32.const 6) (i32.const 256))";
    let client = "(call $client (local.get $request) (i32.const 256))";
    for (body, fields, everything) in [
        ("", &[][..], false),
        (get, &["accept"][..], false),
        (client, &[][..], true),
    ] {
        let fixture = fixture(&guest(ORIGIN_REQUEST, "Accept", body));
        let call = fixture.function.origin_request(call(), request()).await;
        call.verdict.unwrap();
        assert_eq!(call.seen.fields, fields);
        assert_eq!(call.seen.everything, everything);
        assert_eq!(call.receipt.hostcalls, u32::from(!body.is_empty()));
    }
    let call = viewer_request(&guest(VIEWER_REQUEST, "Accept", get), request()).await;
    assert!(call.seen.fields.is_empty());
}

/// Sets `METHOD https://AUTHORITY/new`, the method of three letters, and expects the given
/// discriminants of the result.
fn set_target(trigger: &str, method: &str, authority: &str, is_error: u8, error: u8) -> Vec<u8> {
    let text = format!("{method}https/new{authority}");
    let length = authority.len();
    let body = format!(
        "(call $set-target (local.get $request) (i32.const 1024) (i32.const 3) (i32.const 1027)
           (i32.const 5) (i32.const 1036) (i32.const {length}) (i32.const 1032) (i32.const 4)
           (i32.const 256))
         (if (i32.ne (i32.load8_u (i32.const 256)) (i32.const {is_error})) (then unreachable))
         (if (i32.ne (i32.load8_u (i32.const 257)) (i32.const {error})) (then unreachable))"
    );
    guest(trigger, &text, &body)
}

#[tokio::test]
async fn the_target_changes_within_the_site() {
    for authority in ["shop.example", "other.example"] {
        let guest = set_target(VIEWER_REQUEST, "PUT", authority, 0, 0);
        let call = viewer_request(&guest, request()).await;
        call.verdict.unwrap();
        assert!(call.effects.target);
        assert_eq!(call.request.method, "PUT");
        assert_eq!(call.request.path_and_query, "/new");
        assert_eq!(call.request.authority, authority);
    }
    let elsewhere = set_target(VIEWER_REQUEST, "PUT", "evil.example", 1, 3);
    let call = viewer_request(&elsewhere, request()).await;
    call.verdict.unwrap();
    assert!(!call.effects.target);
}

#[tokio::test]
async fn origin_request_keeps_method_and_authority() {
    for (method, authority, is_error, error) in [
        ("GET", "shop.example", 0, 0),
        ("GET", "other.example", 1, 3),
        ("PUT", "shop.example", 1, 3),
    ] {
        let guest = set_target(ORIGIN_REQUEST, method, authority, is_error, error);
        let fixture = fixture(&guest);
        let call = fixture
            .function
            .origin_request(site_call(), request())
            .await;
        call.verdict.unwrap();
        assert_eq!(call.request.authority, "shop.example");
        assert_eq!(call.request.method, "GET");
        assert_eq!(call.effects.target, is_error == 0);
    }
}

/// Answers 203 with `content`.
const RESPOND: &str = "(local.set $a (call $new-response (i32.const 203)))
     (call $set-body (local.get $a) (i32.const 1024) (i32.const 7) (i32.const 256))
     (i32.store8 (i32.const 132) (i32.const 1))
     (i32.store (i32.const 136) (local.get $a))";

#[tokio::test]
async fn a_function_can_answer() {
    let call = viewer_request(&guest(VIEWER_REQUEST, "answers", RESPOND), request()).await;
    assert_eq!(call.receipt.outcome, Outcome::Responded);
    let Ok(Verdict::Respond(response)) = call.verdict else {
        panic!("it answers");
    };
    assert_eq!(response.status(), StatusCode::NON_AUTHORITATIVE_INFORMATION);
    assert_eq!(collect(response.into_body()).await.unwrap(), "answers");
    assert!(call.pending.is_none());
}

#[tokio::test]
async fn content_over_the_limit_is_refused() {
    let body = format!(
        "{RESPOND}
         (if (i32.ne (i32.load8_u (i32.const 256)) (i32.const 1)) (then unreachable))
         (if (i32.ne (i32.load8_u (i32.const 257)) (i32.const 1)) (then unreachable))"
    );
    let setup = Setup {
        limits: Limits {
            body: 6,
            ..Setup::default().limits
        },
        ..Setup::default()
    };
    let fixture = setup.start(&guest(VIEWER_REQUEST, "answers", &body));
    let call = fixture.function.viewer_request(call(), request()).await;
    call.verdict.unwrap();
}

#[tokio::test]
async fn content_that_was_taken_and_not_read_is_still_there() {
    for ending in ["", "(call $drop-reader (i32.load (i32.const 260)))"] {
        let body = format!("(call $request-body (local.get $request) (i32.const 256)) {ending}");
        let call = viewer_request(&guest(VIEWER_REQUEST, "", &body), request()).await;
        call.verdict.unwrap();
        assert_eq!(call.effects.content, ContentChange::Untouched);
        assert_eq!(collect(call.request.body).await.unwrap(), "content");
    }
}

/// Reads once and traps unless it got what is expected at 1024.
fn reads(ending: &str) -> Vec<u8> {
    let body = format!(
        "(call $request-body (local.get $request) (i32.const 256))
         (local.set $a (i32.load (i32.const 260)))
         (call $request-body (local.get $request) (i32.const 256))
         (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable))
         (call $read (local.get $a) (i32.const 3) (i32.const 272))
         (if (i32.ne (i32.load (i32.const 284)) (i32.const 3)) (then unreachable))
         (if (i32.ne (i32.load8_u (i32.load (i32.const 280))) (i32.const 99)) (then unreachable))
         {ending}"
    );
    guest(VIEWER_REQUEST, "new", &body)
}

#[tokio::test]
async fn content_that_was_read_is_gone_also_after_a_failure() {
    let call = viewer_request(&reads(""), request()).await;
    call.verdict.unwrap();
    assert_eq!(call.effects.content, ContentChange::Consumed);
    assert_eq!(call.request.body.exact_len(), Some(0));
    let call = viewer_request(&reads("unreachable"), request()).await;
    assert!(call.verdict.is_err());
    assert_eq!(call.effects.content, ContentChange::Consumed);
}

#[tokio::test]
async fn content_can_be_read_and_replaced() {
    let replaces = reads(
        "(call $request-set-body (local.get $request) (i32.const 1024) (i32.const 3)
           (i32.const 256))",
    );
    let call = viewer_request(&replaces, request()).await;
    call.verdict.unwrap();
    assert_eq!(call.effects.content, ContentChange::Replaced);
    assert!(!call.request.fields.contains_key("content-length"));
    assert_eq!(collect(call.request.body).await.unwrap(), "new");
}

#[tokio::test]
async fn content_that_breaks_off_is_incomplete() {
    let expects_incomplete = guest(
        VIEWER_REQUEST,
        "",
        "(call $request-body (local.get $request) (i32.const 256))
         (call $read (i32.load (i32.const 260)) (i32.const 3) (i32.const 272))
         (if (i32.ne (i32.load8_u (i32.const 272)) (i32.const 1)) (then unreachable))
         (if (i32.ne (i32.load8_u (i32.const 276)) (i32.const 2)) (then unreachable))",
    );
    let broken = Body::stream(Failing);
    let call = viewer_request(&expects_incomplete, request_with(broken)).await;
    call.verdict.unwrap();
    assert_eq!(call.effects.content, ContentChange::Consumed);
}

/// A body that fails at once.
struct Failing;

impl http_body::Body for Failing {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Failure>>> {
        std::task::Poll::Ready(Some(Err(Failure::Client(ClientFault::BodyIncomplete))))
    }
}

#[tokio::test]
async fn a_response_trigger_changes_the_response_and_not_the_request() {
    for trigger in [ORIGIN_RESPONSE, VIEWER_RESPONSE] {
        let body = format!(
            "{}
             (if (i32.load8_u (i32.const 256)) (then unreachable))
             (drop (call $set-status (local.get $response) (i32.const 404)))
             (if (call $set-status (local.get $response) (i32.const 101)) (then unreachable))
             (call $apply (local.get $request) (i32.const 512) (i32.const 1) (i32.const 256))
             (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable))",
            apply_to_response()
        );
        let fixture = fixture(&guest(trigger, "x-newvalue", &body));
        let function = &fixture.function;
        let call = if trigger == ORIGIN_RESPONSE {
            function
                .origin_response(call(), request(), response())
                .await
        } else {
            function
                .viewer_response(call(), request(), response())
                .await
        };
        call.result.unwrap();
        assert_eq!(call.response.status(), StatusCode::NOT_FOUND);
        assert_eq!(call.response.headers()["x-new"], "value");
        assert_eq!(call.effects.fields, ["x-new"]);
        assert!(call.effects.status);
        assert!(!call.request.fields.contains_key("x-new"));
        assert_eq!(collect(call.response.into_body()).await.unwrap(), "content");
    }
}

#[tokio::test]
async fn a_failed_response_trigger_leaves_the_response_as_it_was() {
    let body = format!(
        "{}
         (drop (call $set-status (local.get $response) (i32.const 404)))
         (call $set-body (local.get $response) (i32.const 1024) (i32.const 5) (i32.const 256))
         unreachable",
        apply_to_response()
    );
    let fixture = fixture(&guest(VIEWER_RESPONSE, "x-newvalue", &body));
    let call = fixture
        .function
        .viewer_response(call(), request(), response())
        .await;
    assert_eq!(call.result.unwrap_err().fault, FunctionFault::Trapped);
    assert_eq!(call.response.status(), StatusCode::OK);
    assert_eq!(call.response.headers().len(), 2);
    assert!(call.effects.fields.is_empty() && !call.effects.status);
    assert_eq!(collect(call.response.into_body()).await.unwrap(), "content");
}

#[tokio::test]
async fn capabilities_answer() {
    let body = "(call $config-get (i32.const 1024) (i32.const 8) (i32.const 256))
         (if (i32.ne (i32.load (i32.const 264)) (i32.const 5)) (then unreachable))
         (call $secret-get (i32.const 1032) (i32.const 3) (i32.const 256))
         (if (i32.ne (i32.load (i32.const 264)) (i32.const 6)) (then unreachable))
         (call $secret-get (i32.const 1024) (i32.const 8) (i32.const 256))
         (if (i32.load8_u (i32.const 256)) (then unreachable))
         (call $rate-check (i32.const 1024) (i32.const 1) (i32.const 5) (i32.const 1000)
           (i32.const 0) (i32.const 2) (i32.const 256))
         (if (i32.ne (i32.load8_u (i32.const 256)) (i32.const 1)) (then unreachable))
         (if (i32.ne (i32.load (i32.const 260)) (i32.const 3)) (then unreachable))
         (if (i32.ne (i32.load (i32.const 264)) (i32.const 1000)) (then unreachable))
         (if (i32.ne (i32.load (i32.const 268)) (i32.const -1)) (then unreachable))";
    let call = viewer_request(&guest(VIEWER_REQUEST, "greetingkey", body), request()).await;
    call.verdict.unwrap();
}
