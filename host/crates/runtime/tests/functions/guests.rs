//! Guests in core wasm text, made into components against the real WIT: one
//! behaviour each, and no guest toolchain.
//!
//! The text calls imports by their lowered names. `TEXT` (see [`guest`]) is at
//! address 1024, results of imports go to 256, the trigger's own result is at
//! 128 and means `ok(next)` as long as it is zero.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::imports::IMPORTS;

/// Which trigger a guest exports, and what it imports.
pub(crate) const VIEWER_REQUEST: &str = "viewer-request";
pub(crate) const ORIGIN_REQUEST: &str = "origin-request";
pub(crate) const ORIGIN_RESPONSE: &str = "origin-response";
pub(crate) const VIEWER_RESPONSE: &str = "viewer-response";

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

/// Waits for `nanoseconds`, and holds nothing of it afterwards.
pub(crate) fn naps(nanoseconds: u64) -> Vec<u8> {
    guest(
        VIEWER_REQUEST,
        "",
        &format!(
            "(local.set $a (call $after (i64.const {nanoseconds})))
             (call $block (local.get $a))
             (call $drop-pollable (local.get $a))"
        ),
    )
}

/// Does nothing.
pub(crate) fn idles() -> Vec<u8> {
    guest(VIEWER_REQUEST, "", "")
}

/// Takes the body and waits for it for ever.
pub(crate) fn reads() -> Vec<u8> {
    guest(
        VIEWER_REQUEST,
        "",
        "(call $request-body (local.get $request) (i32.const 256))
         (call $read (i32.load (i32.const 260)) (i32.const 100) (i32.const 272))",
    )
}

/// Counts to a million, `times` times over.
pub(crate) fn computes(times: u32) -> Vec<u8> {
    let body = format!(
        "(loop $more
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $n) (i32.const {})))) ",
        u64::from(times) * 1_000_000
    );
    guest(VIEWER_REQUEST, "", &body)
}
