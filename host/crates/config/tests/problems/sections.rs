//! Wrong sections, one case each: all but routes.

use crate::problems;

/// Cases that stand alone before the smallest valid rest.
#[test]
fn problems_of_sections_have_place_path_and_remedy() {
    for (text, expected) in [
        (
            "limits.idel = \"1s\"",
            "config/x.toml:1:8: limits.idel: unknown key; did you mean `idle`?",
        ),
        (
            "[compression]\ncodings = [\"br\", \"br\"]",
            "config/x.toml:2:18: compression.codings[1]: is named twice; expected each coding once",
        ),
        (
            "[compression]\ncodings = [\"deflate\"]",
            "config/x.toml:2:12: compression.codings[0]: \"deflate\" is not known; expected \"br\" or \"zstd\" or \"gzip\"",
        ),
        (
            "[compression]\ntypes = [\"text\"]",
            "config/x.toml:2:10: compression.types[0]: \"text\" is not valid; expected a media type without parameters, such as \"text/html\", \"text/*\" or \"application/*+json\"",
        ),
        (
            "[compression]\nmin_size = \"1MiB\"\nmax_size = \"1KiB\"",
            "config/x.toml:2:12: compression.min_size: `min_size` is over `max_size`; expected at most as much as `max_size`",
        ),
        (
            "[node]\nbanana = 1",
            "config/x.toml:2:1: node.banana: unknown key; known keys: name, workers, topology",
        ),
        (
            "limits.idle = 5",
            "config/x.toml:1:15: limits.idle: 5 has no unit; expected a duration with its unit, from \"1s\" to \"1h\"",
        ),
        (
            "limits.idle = \"5 sec\"",
            "config/x.toml:1:15: limits.idle: `sec` is not a unit (units: us, ms, s, m, h, d); expected a duration with its unit, from \"1s\" to \"1h\"",
        ),
        (
            "limits.idle = \"2h\"",
            "config/x.toml:1:15: limits.idle: `2h` is out of range; expected a duration with its unit, from \"1s\" to \"1h\"",
        ),
        (
            "limits.idle = true",
            "config/x.toml:1:15: limits.idle: found a boolean; expected a duration with its unit, from \"1s\" to \"1h\"",
        ),
        (
            "limits.head_bytes = \"64KB/s\"",
            "config/x.toml:1:21: limits.head_bytes: `KB/s` is not a unit (units: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB); expected a size in bytes, from \"1KiB\" to \"1MiB\"",
        ),
        (
            "limits.head_bytes = 12",
            "config/x.toml:1:21: limits.head_bytes: 12 is out of range; expected a size in bytes, from \"1KiB\" to \"1MiB\"",
        ),
        (
            "limits.body_rate = \"1KiB\"",
            "config/x.toml:1:20: limits.body_rate: `1KiB` does not end in \"/s\"; expected a rate, from \"0B/s\" to \"1GiB/s\"",
        ),
        (
            "limits.connections = 0",
            "config/x.toml:1:22: limits.connections: 0 is out of range; expected a whole number from 1 to 1000000",
        ),
        (
            "limits.connections = -1",
            "config/x.toml:1:22: limits.connections: -1 is out of range; expected a whole number from 1 to 1000000",
        ),
        (
            "limits.connections = 99999999999999999999",
            "config/x.toml:1:22: limits.connections: 99999999999999999999 is out of range; expected a whole number from 1 to 1000000",
        ),
        (
            "limits.connections = 1.5",
            "config/x.toml:1:22: limits.connections: found a number with a fraction; expected a whole number from 1 to 1000000",
        ),
        (
            "limits = 1",
            "config/x.toml:1:10: limits: found an integer; expected a table",
        ),
        (
            "node.name = \"a b\"",
            "config/x.toml:1:13: node.name: \"a b\" is not valid; expected up to 64 letters, digits, `-`, `_` and `.`, the first a letter or a digit",
        ),
        (
            "node.topology = \"threads\"",
            "config/x.toml:1:17: node.topology: \"threads\" is not known; expected \"per-core\" or \"work-stealing\"",
        ),
        (
            "listen.https = \"localhost\"",
            "config/x.toml:1:16: listen.https: \"localhost\" is not valid; expected an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        ),
        (
            "listen.https = [\"127.0.0.1:1\"]",
            "config/x.toml:1:1: certificate: missing; expected one or more [[certificate]] with `cert` and `key` for `listen.https`",
        ),
        (
            "listen.trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/40\"]",
            "config/x.toml:1:41: listen.trusted_proxies[1]: \"10.0.0.0/40\" is not valid; expected a range of addresses, such as \"10.0.0.0/8\" or \"fd00::/8\"",
        ),
        (
            "admin = { token_file = \"a\", token_env = \"B\" }",
            "config/x.toml:1:9: admin: has both `token_file` and `token_env`; expected one of them",
        ),
        (
            "log.filter = \"loud\"",
            "config/x.toml:1:14: log.filter: \"loud\" is not valid; expected a level or directives, such as \"info,verge::reload=debug\"",
        ),
        (
            "cache = { memory = \"1MiB\", max_object = \"2MiB\" }",
            "config/x.toml:1:41: cache.max_object: `max_object` is over half of `memory`; expected at most half as much as `memory`",
        ),
        (
            "cache = { jitter = \"101%\" }",
            "config/x.toml:1:20: cache.jitter: \"101%\" is out of range; expected a share, from \"0%\" to \"100%\"",
        ),
        (
            "cache = { refresh_ahead = \"0.1\" }",
            "config/x.toml:1:27: cache.refresh_ahead: \"0.1\" is not a share; expected a share, from \"0%\" to \"100%\"",
        ),
        (
            "cache = { statuses = { \"404\" = \"1s\", \"206\" = \"1s\" } }",
            "config/x.toml:1:46: cache.statuses.206: \"206\" is not a status that can be stored; expected one such as \"404\" (not 206 or 304), or a class such as \"5xx\"",
        ),
        (
            "cache = { statuses = { \"4xx\" = 1 } }",
            "config/x.toml:1:32: cache.statuses.4xx: 1 has no unit; expected a duration with its unit, from \"0s\" to \"365d\"",
        ),
        (
            "cache = { default_ttl = \"2d\", max_ttl = \"1d\" }",
            "config/x.toml:1:25: cache.default_ttl: `default_ttl` is over `max_ttl`; expected at most as much as `max_ttl`",
        ),
        (
            "cache = { origin_directives = \"ignore\" }",
            "config/x.toml:1:31: cache.origin_directives: the origin's lifetimes do not count, and there is none in their place; expected `default_ttl` or `statuses` beside it",
        ),
        (
            "cache = { set_cookie = \"keep\" }",
            "config/x.toml:1:24: cache.set_cookie: \"keep\" is not known; expected \"store\" or \"refuse\"",
        ),
        (
            "cache = { bypass = [{ field = \"a\", cookie = \"b\" }] }",
            "config/x.toml:1:21: cache.bypass[0]: has both `field` and `cookie`; expected { field = \"NAME\" } or { cookie = \"NAME\" }",
        ),
        (
            "cache = { bypass = [{}] }",
            "config/x.toml:1:21: cache.bypass[0]: names nothing to look at; expected { field = \"NAME\" } or { cookie = \"NAME\" }",
        ),
        (
            "cache = { targeted_fields = [\"Cache-Control\"] }",
            "config/x.toml:1:30: cache.targeted_fields[0]: `cache-control` is for all caches; expected a targeted field, such as \"CDN-Cache-Control\"",
        ),
        (
            "[secret.key]",
            "config/x.toml:1:1: secret.key: names no source; expected `file` or `env`",
        ),
        (
            "[secret.key]\nfile = \"a\"\nenv = \"B\"",
            "config/x.toml:1:1: secret.key: has both `file` and `env`; expected one of them",
        ),
        (
            "[function.f]",
            "config/x.toml:1:1: function.f.component: missing; expected a path, relative to this file's folder",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\nisolation = \"warm\"",
            "config/x.toml:3:13: function.f.isolation: \"warm\" is not known; expected \"fresh\" or \"prepared\" or \"reused\"",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\nidle_max = 0",
            "config/x.toml:3:12: function.f.idle_max: 0 is out of range; expected a whole number from 1 to 10000",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\nmemory = \"65MiB\"",
            "config/x.toml:3:10: function.f.memory: `memory` is over `runtime.instance_memory`, which is \"64MiB\"; expected less, or a larger `runtime.instance_memory`",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\ngrants = { secret = [\"k\"] }",
            "config/x.toml:3:22: function.f.grants.secret[0]: no secret is named \"k\"; there is no [secret.NAME]",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\ngrants = { sockets = true }",
            "config/x.toml:3:12: function.f.grants.sockets: unknown key; known keys: acl, cache, defer, device, geo, fetch, fetch_site, kv, log, metrics, origins, rate_limit, secret",
        ),
        (
            "[function.f]\ncomponent = \"f.wasm\"\nconfig = { limit = 2026-01-01 }",
            "config/x.toml:3:20: function.f.config.limit: found a date; expected a string, a number, true or false",
        ),
        (
            "[function.\"a b\"]\ncomponent = \"f.wasm\"",
            "config/x.toml:1:1: function.\"a b\": \"a b\" is not a name; expected up to 64 letters, digits, `-`, `_` and `.`, the first a letter or a digit",
        ),
        (
            "[origin.o]",
            "config/x.toml:1:1: origin.o.addresses: missing; expected one or more addresses, such as [\"10.0.0.5:3000\"]",
        ),
        (
            "[origin.o]\naddresses = [\"host\"]",
            "config/x.toml:2:14: origin.o.addresses[0]: \"host\" is not valid; expected a host and a port, such as \"10.0.0.5:3000\" or \"app.internal:3000\"",
        ),
        (
            "[origin.o]\naddresses = [\"host:0\"]",
            "config/x.toml:2:14: origin.o.addresses[0]: \"host:0\" is not valid; expected a host and a port, such as \"10.0.0.5:3000\" or \"app.internal:3000\"",
        ),
        (
            "[origin.o]\naddresses = \"host:1\"\ntls = { verify = false }",
            "config/x.toml:3:18: origin.o.tls.verify: certificates are always verified; expected `ca` with the authority's file instead",
        ),
        (
            "[origin.o]\naddresses = \"host:1\"\nprotocol = \"h2\"",
            "config/x.toml:3:12: origin.o.protocol: \"h2\" is not available in this version; expected \"http/1.1\"",
        ),
        (
            "[origin.o]\naddresses = \"host:1\"\ntimeouts = { conect = \"1s\" }",
            "config/x.toml:3:14: origin.o.timeouts.conect: unknown key; did you mean `connect`?",
        ),
        (
            "sites = 1",
            "config/x.toml:1:1: sites: unknown key; did you mean `site`?",
        ),
    ] {
        let base = if text.starts_with("listen.https = [") {
            ""
        } else {
            "listen.http = \"127.0.0.1:0\""
        };
        // Before, not after: a section's table would swallow the listener.
        let base = base.replace("listen", "\nlisten");
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let document = if first.starts_with('[') {
            format!("{first}\n{rest}\n[listen]\nhttp = \"127.0.0.1:0\"\n")
        } else {
            format!("{first}{base}\n{rest}\n")
        };
        assert_eq!(problems(&document), expected, "{document}");
    }
}
