//! `[kv.NAME]` and its grants: what is read, and what is said about what is wrong.

use std::path::Path;

use verge_config::{Config, KvBackend, RateScope};

use crate::problems;

/// Stands behind each case.
const REST: &str = "\n[listen]\nhttp = \"127.0.0.1:0\"\n";

const REDIS: &str = "[redis]\nurl = \"redis://127.0.0.1\"\n";

#[test]
fn stores_and_grants_are_read() {
    let text = format!(
        "{REDIS}[kv.here]\npath = \"kv/here\"\nmax_bytes = \"2MiB\"\n[kv.there]\nbackend = \"redis\"\n\
         [function.f]\ncomponent = \"f.wasm\"\ngrants = {{ kv = [\"there\", \"here\"], rate_limit = \"region\" }}\n\
         [function.g]\ncomponent = \"f.wasm\"\ngrants = {{ kv = \"here\", rate_limit = true }}{REST}"
    );
    let config = Config::from_toml(&text, Path::new("/etc/verge/x.toml")).unwrap();
    let (here, there) = (&config.kv["here"], &config.kv["there"]);
    assert_eq!(here.path.as_deref(), Some(Path::new("/etc/verge/kv/here")));
    assert_eq!(
        (here.backend(), there.backend()),
        (KvBackend::Disk, KvBackend::Redis)
    );
    assert_eq!(
        (here.limits.max_bytes, there.limits.max_bytes),
        (2 << 20, 256 << 20)
    );
    let (f, g) = (&config.functions["f"].grants, &config.functions["g"].grants);
    assert_eq!(
        f.kv.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
        ["there", "here"]
    );
    assert_eq!(g.kv.len(), 1);
    assert_eq!(
        (f.rate_limit, g.rate_limit),
        (Some(RateScope::Region), Some(RateScope::Node))
    );
}

#[test]
fn problems_of_stores_and_grants_have_place_path_and_remedy() {
    for (text, expected) in [
        (
            "[kv.s]",
            "config/x.toml:1:1: kv.s.path: missing; expected a path for the store's file, or backend = \"redis\"",
        ),
        (
            "[kv.s]\nbackend = \"redis\"",
            "config/x.toml:2:11: kv.s.backend: there is no [redis]; expected a section [redis] with `url` or `nodes`",
        ),
        (
            "[kv.s]\nbackend = \"memory\"\npath = \"s\"",
            "config/x.toml:2:11: kv.s.backend: \"memory\" is not known; expected \"disk\" or \"redis\"",
        ),
        (
            "[kv.a]\npath = \"s\"\n[kv.b]\npath = \"s\"",
            "config/x.toml:4:8: kv.b.path: `path` is the file of [kv.a]; expected a file of its own",
        ),
        (
            "[kv.s]\npath = \"s\"\nmax_bytes = \"1KiB\"",
            "config/x.toml:3:13: kv.s.max_bytes: `1KiB` is out of range; expected a size in bytes, from \"1MiB\" to \"1TiB\"",
        ),
        (
            "[kv.s]\npath = \"s\"\n[function.f]\ncomponent = \"f.wasm\"\ngrants = { kv = [\"t\"] }",
            "config/x.toml:5:18: function.f.grants.kv[0]: no kv is named \"t\"; did you mean \"s\"? (kvs: s)",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\ngrants = { rate_limit = \"moon\" }",
            "config/x.toml:3:25: function.f.grants.rate_limit: \"moon\" is not known; expected false, true, \"node\" or \"region\"",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\ngrants = { rate_limit = \"region\" }",
            "config/x.toml:3:25: function.f.grants.rate_limit: there is no [redis]; expected a section [redis] with `url` or `nodes`",
        ),
    ] {
        assert_eq!(problems(&format!("{text}{REST}")), expected, "{text}");
    }
    let text = format!("{REDIS}[kv.s]\nbackend = \"redis\"\npath = \"s\"{REST}");
    assert_eq!(
        problems(&text),
        "config/x.toml:5:8: kv.s.path: `path` has no meaning with backend = \"redis\"; expected one of them"
    );
}
