//! `verge reuse-check`: finds what a function keeps of one request for another, and says where it
//! shows.

use std::process::{Command, Output};

use verge_tests::guests::component;

use crate::kit::{Place, binary, errors};

fn check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output: Output = Command::new(binary())
        .arg("reuse-check")
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code(), said, errors(&output))
}

#[test]
fn function_that_remembers_is_found_with_what_it_told() {
    let guest = component("leaks-state");
    let guest = guest.to_str().unwrap();
    let (code, said, _) = check(&[guest, "--a", "/tell?user=ada", "--b", "/tell?user=bob"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("viewer-request: LEAKS: content is \"user=ada\" in a reused instance, \"\" in a fresh one"),
        "{said}"
    );
    let (code, said, told) = check(&[guest, "--a", "/mark"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("field x-before is \"2\" in a reused instance, \"0\""),
        "{said}"
    );
    assert!(told.contains("\"fresh\" or \"prepared\""), "{told}");
    // What the first request leaves for good shows in the answers to the other one alone.
    let first = ["--a", "/first?user=ada", "--b", "/first?user=bob"];
    let (code, said, _) = check(&[&[guest], &first[..]].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("content is \"user=ada\" in a reused instance, \"user=bob\""),
        "{said}"
    );
    // With requests that do not show it there is nothing to see.
    let (code, said, _) = check(&[guest]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn functions_that_keep_nothing_pass_with_each_trigger() {
    let guests = ["touch-fields", "echo-body", "hello"].map(component);
    let guests: Vec<&str> = guests.iter().map(|guest| guest.to_str().unwrap()).collect();
    let (code, said, told) = check(&guests);
    assert_eq!(code, Some(0), "{said}{told}");
    for part in [
        "touch_fields.wasm, viewer-request: no leak",
        "touch_fields.wasm, origin-response: no leak",
        "hello.wasm, handler: no leak",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// One function that cannot be checked hides nothing of another one.
#[test]
fn leak_is_told_beside_functions_that_cannot_be_checked() {
    let guests = ["traps", "service", "leaks-state"].map(component);
    let [traps, service, leaks] = guests.each_ref().map(|guest| guest.to_str().unwrap());
    let (code, said, told) = check(&[traps, service, leaks, "--a", "/tell"]);
    assert_eq!(code, Some(1), "{said}{told}");
    assert!(
        said.contains("leaks_state.wasm, viewer-request: LEAKS"),
        "{said}"
    );
    assert!(told.contains("not checked: a call failed"), "{told}");
    assert!(told.contains("is for triggers"), "{told}");
    let (code, said, told) = check(&[traps, leaks]);
    assert_eq!(code, Some(2), "{said}{told}");
    assert!(
        said.contains("leaks_state.wasm, viewer-request: no leak"),
        "{said}"
    );
}

#[test]
fn imports_with_nothing_behind_them_are_named() {
    let guest = component("keeps-entries");
    let (code, said, told) = check(&[guest.to_str().unwrap(), "--a", "/look/entry"]);
    assert_eq!(code, Some(0), "{said}{told}");
    assert!(
        said.contains("not fully checked, since it got nothing from: cache"),
        "{said}"
    );
}

#[test]
fn functions_of_a_configuration_are_checked_with_their_settings() {
    let place = Place::new();
    let config = place.write(
        "verge.toml",
        &format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\n[function.leaks]\ncomponent = \"{}\"\n\
             cpu = \"10s\"\ndeadline = \"10s\"\n[function.good]\ncomponent = \"{}\"\n\
             cpu = \"10s\"\ndeadline = \"10s\"\n[[site]]\nnames = [\"*\"]\n[[site.route]]\n\
             path = \"/\"\nstatic = {{ body = \"\" }}\nviewer_request = [\"leaks\", \"good\"]\n",
            component("leaks-state").display(),
            component("touch-fields").display(),
        ),
    );
    let config = config.to_str().unwrap();
    let (code, said, told) = check(&["--config", config, "good"]);
    assert_eq!(code, Some(0), "{said}{told}");
    let (code, said, _) = check(&["--config", config, "--a", "/tell"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("leaks, viewer-request: LEAKS"), "{said}");
    assert!(said.contains("good, viewer-request: no leak"), "{said}");
    let (code, _, told) = check(&["--config", config, "other"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("there is no [function.other]"), "{told}");
}

#[test]
fn what_cannot_be_checked_is_told() {
    let service = component("service");
    for (arguments, expected) in [
        (vec![], "nothing to check"),
        (vec!["missing.wasm"], "missing.wasm"),
        (
            vec![service.to_str().unwrap()],
            "isolation \"reused\" is for triggers",
        ),
    ] {
        let (code, _, told) = check(&arguments);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
    }
    let guest = component("leaks-state");
    let (code, _, told) = check(&[guest.to_str().unwrap(), "--a", "a"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("`a` is no target"), "{told}");
}
