//! Guests in core wasm text, made into components against the real WIT: one
//! behaviour each, and no guest toolchain.
//!
//! The text calls imports by their lowered names. `TEXT` (see [`guest`]) is at
//! address 1024, results of imports go to 256, the trigger's own result is at
//! 128 and means `ok(next)` as long as it is zero.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Which trigger a guest exports, and what it imports.
pub(crate) const VIEWER_REQUEST: &str = "viewer-request";
pub(crate) const ORIGIN_REQUEST: &str = "origin-request";
pub(crate) const ORIGIN_RESPONSE: &str = "origin-response";
pub(crate) const VIEWER_RESPONSE: &str = "viewer-response";

/// All imports that the texts use: name in the text, module, name, signature.
const IMPORTS: &[(&str, &str, &str, &str)] = &[
    (
        "$new-response",
        TYPES,
        "[constructor]response",
        "(param i32) (result i32)",
    ),
    (
        "$set-body",
        TYPES,
        "[method]response.set-body",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$stream-body",
        TYPES,
        "[method]response.stream-body",
        "(param i32 i32)",
    ),
    (
        "$response-body",
        TYPES,
        "[method]response.body",
        "(param i32 i32)",
    ),
    (
        "$set-status",
        TYPES,
        "[method]response.set-status",
        "(param i32 i32) (result i32)",
    ),
    (
        "$response-apply",
        TYPES,
        "[method]response.apply",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$write",
        TYPES,
        "[method]body-writer.write",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$finish",
        TYPES,
        "[static]body-writer.finish",
        "(param i32 i32)",
    ),
    (
        "$drop-writer",
        TYPES,
        "[resource-drop]body-writer",
        "(param i32)",
    ),
    (
        "$read",
        TYPES,
        "[method]body-reader.read",
        "(param i32 i32 i32)",
    ),
    (
        "$drop-reader",
        TYPES,
        "[resource-drop]body-reader",
        "(param i32)",
    ),
    (
        "$request-body",
        TYPES,
        "[method]request.body",
        "(param i32 i32)",
    ),
    (
        "$request-set-body",
        TYPES,
        "[method]request.set-body",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$apply",
        TYPES,
        "[method]request.apply",
        "(param i32 i32 i32 i32)",
    ),
    ("$id", TYPES, "[method]request.id", "(param i32 i32)"),
    (
        "$client",
        TYPES,
        "[method]request.client",
        "(param i32 i32)",
    ),
    (
        "$get",
        TYPES,
        "[method]request.get",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$set-target",
        TYPES,
        "[method]request.set-target",
        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
    ),
    (
        "$set-origin",
        TYPES,
        "[method]request.set-origin",
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "$add-key-part",
        TYPES,
        "[method]request.add-key-part",
        "(param i32 i32 i32 i32 i32) (result i32)",
    ),
    (
        "$declare-unkeyed",
        TYPES,
        "[method]request.declare-unkeyed",
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "$context-set",
        "verge:edge/context@0.1.0",
        "set",
        "(param i32 i32 i32 i32) (result i32)",
    ),
    (
        "$config-get",
        "verge:edge/config@0.1.0",
        "get",
        "(param i32 i32 i32)",
    ),
    (
        "$secret-get",
        "verge:edge/secret@0.1.0",
        "get",
        "(param i32 i32 i32)",
    ),
    (
        "$rate-check",
        "verge:edge/rate-limit@0.1.0",
        "check",
        "(param i32 i32 i32 i32 i32 i32 i32)",
    ),
    (
        "$log",
        "verge:edge/log@0.1.0",
        "write",
        "(param i32 i32 i32)",
    ),
    (
        "$drop-request",
        TYPES,
        "[resource-drop]request",
        "(param i32)",
    ),
    (
        "$drop-response",
        TYPES,
        "[resource-drop]response",
        "(param i32)",
    ),
    ("$kv-open", "wasi:keyvalue/store@0.2.0", "open", ""),
    ("$now", CLOCK, "now", "(result i64)"),
    (
        "$after",
        CLOCK,
        "subscribe-duration",
        "(param i64) (result i32)",
    ),
    (
        "$block",
        "wasi:io/poll@0.2.0",
        "[method]pollable.block",
        "(param i32)",
    ),
    (
        "$stdout",
        "wasi:cli/stdout@0.2.0",
        "get-stdout",
        "(result i32)",
    ),
    (
        "$put",
        STREAMS,
        "[method]output-stream.blocking-write-and-flush",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$drop-stream",
        STREAMS,
        "[resource-drop]output-stream",
        "(param i32)",
    ),
    ("$new-fields", HTTP, "[constructor]fields", "(result i32)"),
    (
        "$new-outgoing",
        HTTP,
        "[constructor]outgoing-response",
        "(param i32) (result i32)",
    ),
    (
        "$outgoing-status",
        HTTP,
        "[method]outgoing-response.set-status-code",
        "(param i32 i32) (result i32)",
    ),
    (
        "$outgoing-body",
        HTTP,
        "[method]outgoing-response.body",
        "(param i32 i32)",
    ),
    (
        "$body-write",
        HTTP,
        "[method]outgoing-body.write",
        "(param i32 i32)",
    ),
    (
        "$body-finish",
        HTTP,
        "[static]outgoing-body.finish",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$drop-body",
        HTTP,
        "[resource-drop]outgoing-body",
        "(param i32)",
    ),
    (
        "$answer",
        HTTP,
        "[static]response-outparam.set",
        "(param i32 i32 i32 i32 i64 i32 i32 i32 i32)",
    ),
    (
        "$new-request",
        HTTP,
        "[constructor]outgoing-request",
        "(param i32) (result i32)",
    ),
    (
        "$set-authority",
        HTTP,
        "[method]outgoing-request.set-authority",
        "(param i32 i32 i32 i32) (result i32)",
    ),
    (
        "$set-path",
        HTTP,
        "[method]outgoing-request.set-path-with-query",
        "(param i32 i32 i32 i32) (result i32)",
    ),
    (
        "$send",
        "wasi:http/outgoing-handler@0.2.0",
        "handle",
        "(param i32 i32 i32 i32)",
    ),
    (
        "$future-subscribe",
        HTTP,
        "[method]future-incoming-response.subscribe",
        "(param i32) (result i32)",
    ),
    (
        "$future-get",
        HTTP,
        "[method]future-incoming-response.get",
        "(param i32 i32)",
    ),
];

const TYPES: &str = "verge:edge/types@0.1.0";
const HTTP: &str = "wasi:http/types@0.2.0";
const STREAMS: &str = "wasi:io/streams@0.2.0";
const CLOCK: &str = "wasi:clocks/monotonic-clock@0.2.0";

/// A guest with the trigger `trigger`. `body` is the text of its function: `$request` (and
/// `$response` for response triggers) are its parameters, `$a`, `$b` and `$n` locals; it may
/// `return` the address of a result. `text` is put at 1024.
pub(crate) fn guest(trigger: &str, text: &str, body: &str) -> Vec<u8> {
    // What was lent must be given back before the end of the call.
    let (parameters, give_back) = if trigger.ends_with("response") {
        (
            "(param $request i32) (param $response i32)",
            "(call $drop-request (local.get $request)) (call $drop-response (local.get $response))",
        )
    } else {
        (
            "(param $request i32)",
            "(call $drop-request (local.get $request))",
        )
    };
    let export = format!(
        r#"(func $handle (export "verge:edge/{trigger}@0.1.0#handle") {parameters} (result i32)
             (local $a i32) (local $b i32) (local $n i32)
             {body}
             {give_back}
             (i32.const 128))"#
    );
    component(trigger, text, &export)
}

/// A `wasi:http` handler; `$request` and `$out` are its parameters.
pub(crate) fn handler(text: &str, body: &str) -> Vec<u8> {
    let export = format!(
        r#"(func $handle (export "wasi:http/incoming-handler@0.2.0#handle")
             (param $request i32) (param $out i32)
             (local $a i32) (local $b i32) (local $n i32)
             {body})"#
    );
    component("handler", text, &export)
}

/// A component of the world `world` in `worlds.wit`; `exports` is the text of its functions.
pub(crate) fn component(world: &str, text: &str, exports: &str) -> Vec<u8> {
    let imports: String = IMPORTS
        .iter()
        .filter(|(name, ..)| {
            exports
                .split(|c: char| c.is_whitespace() || c == ')')
                .any(|word| word == *name)
        })
        .map(|(name, module, import, signature)| {
            format!(r#"(import "{module}" "{import}" (func {name} {signature}))"#)
        })
        .collect();
    let module = format!(
        r#"(module
             {imports}
             (memory (export "memory") 4)
             (global $heap (mut i32) (i32.const 65536))
             (data (i32.const 1024) "{text}")
             ;; A heap that only grows: instances live for one call.
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
               (local $at i32)
               (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
               (global.set $heap (i32.add (local.get $at) (local.get 3)))
               (block $fits
                 (br_if $fits (i32.le_u (global.get $heap)
                   (i32.mul (memory.size) (i32.const 65536))))
                 (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1)))))
               (local.get $at))
             {exports})"#
    );
    let mut bytes = wat::parse_str(&module)
        .map_err(|error| format!("{error}\n{module}"))
        .expect("the guest's text is valid");
    let mut resolve = Resolve::default();
    let edge = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../guest-sdk/wit");
    resolve.push_dir(&edge).expect("the SDK's WIT is valid");
    let package = resolve
        .push_str("worlds.wit", include_str!("worlds.wit"))
        .expect("the tests' WIT is valid");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world exists");
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8)
        .expect("the world can be embedded");
    ComponentEncoder::default()
        .module(&bytes)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}\n{module}"))
        .expect("the module fits its world")
}

/// Spins for ever.
pub(crate) fn spins() -> Vec<u8> {
    guest(VIEWER_REQUEST, "", "(loop $for-ever (br $for-ever))")
}

/// Traps.
pub(crate) fn traps() -> Vec<u8> {
    guest(VIEWER_REQUEST, "", "unreachable")
}

/// Waits for `nanoseconds`.
pub(crate) fn sleeps(nanoseconds: u64) -> Vec<u8> {
    guest(
        VIEWER_REQUEST,
        "",
        &format!("(call $block (call $after (i64.const {nanoseconds})))"),
    )
}

/// Does nothing.
pub(crate) fn idles() -> Vec<u8> {
    guest(VIEWER_REQUEST, "", "")
}
