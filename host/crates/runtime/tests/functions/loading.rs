//! From a component to a function.

use verge_runtime::{
    CodeOrigin, CompileError, Engine, EngineSettings, Grants, Limits, LoadError, Trigger,
};

use crate::guests::{self, VIEWER_REQUEST, component, guest, handler};
use crate::kit::{Setup, call, fixture, request};

fn load_error(setup: &Setup, component: &[u8]) -> LoadError {
    setup
        .load(&setup.engine(), component)
        .err()
        .expect("it does not load")
}

#[test]
fn ungranted_imports_are_named_with_the_key_that_grants_them() {
    let wants_all = guest(
        VIEWER_REQUEST,
        "",
        "(call $config-get (i32.const 0) (i32.const 0) (i32.const 256))
         (call $secret-get (i32.const 0) (i32.const 0) (i32.const 256))
         (call $rate-check (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0)
           (i32.const 1) (i32.const 256))
         (call $log (i32.const 0) (i32.const 0) (i32.const 0))",
    );
    let setup = Setup {
        grants: Grants::default(),
        ..Setup::default()
    };
    let LoadError::ImportsMissing(missing) = load_error(&setup, &wants_all) else {
        panic!("imports are missing");
    };
    let mut named: Vec<_> = missing
        .iter()
        .map(|missing| (missing.import.as_str(), missing.grant))
        .collect();
    named.sort();
    assert_eq!(
        named,
        [
            ("verge:edge/config@0.1.0", Some("config")),
            ("verge:edge/log@0.1.0", Some("grants.log")),
            ("verge:edge/rate-limit@0.1.0", Some("grants.rate_limit")),
            ("verge:edge/secret@0.1.0", Some("grants.secret")),
        ]
    );
    assert!(Setup::default().load(&setup.engine(), &wants_all).is_ok());
}

#[test]
fn imports_that_nothing_grants_are_named() {
    let error = load_error(
        &Setup::default(),
        &guest(VIEWER_REQUEST, "", "(call $kv-open)"),
    );
    assert_eq!(
        error.to_string(),
        "wasi:keyvalue/store@0.2.0 does not exist here"
    );
}

#[test]
fn a_component_without_a_trigger_is_refused() {
    let error = load_error(
        &Setup::default(),
        &component("no-trigger", "", r#"(func (export "run"))"#),
    );
    assert!(matches!(error, LoadError::NoTrigger), "{error}");
}

#[test]
fn memory_limits_are_compared_when_loading() {
    let with = |memory| Setup {
        limits: Limits {
            memory,
            ..Limits::default()
        },
        ..Setup::default()
    };
    let error = load_error(&with(3 << 16), &guests::idles());
    assert!(
        matches!(error, LoadError::MemoryTooSmall { needed, .. } if needed == 4 << 16),
        "{error}"
    );
    let error = load_error(&with(33 << 20), &guests::idles());
    assert!(matches!(error, LoadError::MemoryTooLarge { .. }), "{error}");
}

#[test]
fn functions_know_their_triggers() {
    let triggers: Vec<_> = fixture(&guests::idles()).function.triggers().collect();
    assert_eq!(triggers, [Trigger::ViewerRequest]);
    let triggers: Vec<_> = fixture(&handler("", "")).function.triggers().collect();
    assert_eq!(triggers, [Trigger::Handler]);
}

#[tokio::test]
async fn a_trigger_that_is_not_exported_fails_the_call() {
    let fixture = fixture(&guests::idles());
    let call = fixture.function.origin_request(call(), request()).await;
    let failure = call.verdict.unwrap_err();
    assert!(failure.detail.contains("does not export origin-request"));
}

#[test]
fn what_is_not_a_component_is_refused() {
    let engine = Setup::default().engine();
    let module = wat::parse_str("(module)").unwrap();
    assert!(matches!(
        engine.compile(&module),
        Err(CompileError::NotAComponent)
    ));
    for garbage in [&b""[..], b"\0asm", b"garbage", &[0xff; 100]] {
        assert!(matches!(
            engine.compile(garbage),
            Err(CompileError::Invalid(_))
        ));
    }
    let small = EngineSettings {
        instances: 1,
        component: 10,
        ..EngineSettings::default()
    };
    let engine = Engine::new(small, verge_base::Clock::system()).unwrap();
    assert!(matches!(
        engine.compile(&[0; 11]),
        Err(CompileError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn a_second_engine_finds_the_code_that_the_first_compiled() {
    let directory = tempfile::tempdir().unwrap();
    let settings = EngineSettings {
        instances: 1,
        code_cache: Some(directory.path().join("code")),
        ..EngineSettings::default()
    };
    let component = guests::idles();
    for origin in [CodeOrigin::Compiled, CodeOrigin::Cached] {
        let engine = Engine::new(settings.clone(), verge_base::Clock::system()).unwrap();
        let compiled = engine.compile(&component).unwrap();
        assert_eq!(compiled.origin(), origin);
        let fixture = Setup::default().load(&engine, &component).unwrap();
        let call = fixture.function.viewer_request(call(), request()).await;
        assert!(call.verdict.is_ok());
    }
}
