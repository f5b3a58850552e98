//! What does not load: refused at the start, with the key and what would be right.

use verge_config::Config;
use verge_tests::guests::{component, function, runtime};
use verge_tests::node::Setup;

/// What a node with this configuration says instead of starting.
pub(super) fn refused(setup: &Setup, toml: &str) -> String {
    let file = setup.path().join("verge.toml");
    let text = format!("[listen]\nhttp = \"127.0.0.1:0\"\n[log]\naccess = \"off\"\n{toml}");
    std::fs::write(&file, text).unwrap();
    let config = Config::read(&file).unwrap();
    verge::node::start(config).err().unwrap().to_string()
}

fn with_component(path: &str) -> String {
    format!(
        "{}[function.f]\ncomponent = \"{path}\"\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/\"\nstatic = {{ body = \"\" }}\nviewer_request = [\"f\"]\n",
        runtime(),
    )
}

#[test]
fn import_that_is_not_granted_is_named_with_the_key_that_grants_it() {
    let table = [
        (
            "rate-limit",
            "config = {}",
            "verge:edge/rate-limit@0.1.0",
            "`grants.rate_limit`",
        ),
        (
            "rate-limit",
            "grants = { rate_limit = true }",
            "verge:edge/config@0.1.0",
            "`config`",
        ),
        (
            "auth",
            "config = {}",
            "verge:edge/secret@0.1.0",
            "`grants.secret`",
        ),
        ("log-lines", "", "verge:edge/log@0.1.0", "`grants.log`"),
        (
            "works-later",
            "",
            "verge:edge/defer@0.1.0",
            "`grants.defer`",
        ),
        (
            "keeps-entries",
            "",
            "verge:edge/cache@0.1.0",
            "`grants.cache`",
        ),
        ("asks-lists", "", "verge:edge/acl@0.1.0", "`grants.acl`"),
        ("asks-places", "", "verge:edge/geo@0.1.0", "`grants.geo`"),
        (
            "reads-hints",
            "",
            "verge:edge/device@0.1.0",
            "`grants.device`",
        ),
        (
            "standard-imports",
            "",
            "wasi:config/store@0.2.0-rc.1",
            "`config`",
        ),
        (
            "standard-imports",
            "",
            "wasi:logging/logging@0.1.0-draft",
            "`grants.log`",
        ),
        ("counts", "", "verge:edge/metrics@0.1.0", "`grants.metrics`"),
    ];
    for (guest, keys, import, key) in table {
        let setup = Setup::new();
        let toml = format!(
            "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/\"\nstatic = {{ body = \"\" }}\n",
            runtime(),
            function("f", guest, keys),
        );
        let said = refused(&setup, &toml);
        assert!(
            said.contains(import) && said.contains(key),
            "{guest}: {said}"
        );
        // Lines 1 to 4 are those of `refused`, 5 to 7 those of `[runtime]`.
        let place = "verge.toml:9:1: function.f.component:";
        assert!(said.contains(place), "{guest}: {said}");
    }
}

#[test]
fn function_is_refused_where_it_has_no_trigger() {
    let setup = Setup::new();
    let toml = format!(
        "{}{}{}[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/a\"\nstatic = {{ body = \"\" }}\nviewer_response = [\"auth\"]\n\
         [[site.route]]\npath = \"/b\"\nfunction = \"auth\"\n\
         [[site.route]]\npath = \"/c\"\nstatic = {{ body = \"\" }}\norigin_request = [\"hello\"]\n\
         [secret.jwt-key]\nfile = \"admin-token\"\n",
        runtime(),
        function(
            "auth",
            "auth",
            "config = {}\ngrants = { secret = [\"jwt-key\"], fetch = [], cache = true }"
        ),
        function("hello", "hello", ""),
    );
    let said = refused(&setup, &toml);
    for part in [
        "site[0].route[0].viewer_response: function `auth` exports no `verge:edge/viewer-response`",
        "site[0].route[1].function: function `auth` exports no handler of `wasi:http`",
        "site[0].route[2].origin_request: function `hello` exports no `verge:edge/origin-request`",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.lines().count(), 3, "all problems at once: {said}");
}

#[test]
fn file_that_is_no_function_is_refused_with_what_it_is() {
    let setup = Setup::new();
    let truncated = std::fs::read(component("router")).unwrap();
    let files: [(&str, &[u8], &str); 5] = [
        (
            "core.wasm",
            b"\0asm\x01\0\0\0",
            "core wasm module, not a component: build it for wasm32-wasip2",
        ),
        (
            "garbage.wasm",
            b"\x7fELF and so on",
            "the component is not valid",
        ),
        ("empty.wasm", b"", "the component is not valid"),
        (
            "truncated.wasm",
            &truncated[..truncated.len() / 2],
            "the component is not valid",
        ),
        ("idle.wasm", b"(component)", "it exports no trigger"),
    ];
    for (name, bytes, what) in files {
        std::fs::write(setup.path().join(name), bytes).unwrap();
        let said = refused(&setup, &with_component(name));
        assert!(said.contains("function.f.component: "), "{name}: {said}");
        assert!(said.contains(what), "{name}: {said}");
    }
    let said = refused(&setup, &with_component("absent.wasm"));
    assert!(
        said.contains("cannot read") && said.contains("absent.wasm"),
        "{said}"
    );
    assert!(said.contains("wasm32-wasip2"), "{said}");
}

#[test]
fn all_functions_that_do_not_load_are_named_at_once() {
    let setup = Setup::new();
    let toml = format!(
        "{}[function.a]\ncomponent = \"absent.wasm\"\n{}[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/\"\nstatic = {{ body = \"\" }}\n",
        runtime(),
        function("b", "log-lines", ""),
    );
    let said = refused(&setup, &toml);
    assert!(said.contains("function.a.component"), "{said}");
    assert!(said.contains("function.b.component"), "{said}");
}

#[test]
fn middleware_and_handlers_are_told_apart() {
    let route = |guest: &str, keys: &str| {
        format!(
            "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/\"\n{keys}\n",
            runtime(),
            function("f", guest, ""),
        )
    };
    let setup = Setup::new();
    let said = refused(&setup, &route("middleware", "function = \"f\""));
    assert!(said.contains("site[0].route[0].function"), "{said}");
    assert!(
        said.contains("it belongs into `viewer_middleware`"),
        "{said}"
    );
    for key in ["viewer_middleware", "origin_middleware"] {
        let keys = format!("static = {{ body = \"\" }}\n{key} = [\"f\"]");
        let said = refused(&setup, &route("service", &keys));
        assert!(said.contains(&format!("site[0].route[0].{key}")), "{said}");
        assert!(said.contains("function `f` is no middleware"), "{said}");
    }
}
