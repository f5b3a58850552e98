//! `[redis]`: what nodes share, and how long anything of it may take.

use std::time::Duration;

use toml::de::DeValue;

use crate::kinds::{Choice, Count, Kind, Size, Text, quoted, text_of, time};
use crate::node::SecretSource;
use crate::section::section;
use crate::table::Table;

/// How the servers belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisMode {
    /// One server; of several, the first that answers.
    Single,
    /// `nodes` are Sentinels.
    Sentinel,
    /// `nodes` are some of a cluster.
    Cluster,
}

const MODE: Choice<RedisMode> = Choice(&[
    ("single", Ok(RedisMode::Single)),
    ("sentinel", Ok(RedisMode::Sentinel)),
    ("cluster", Ok(RedisMode::Cluster)),
]);

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisServer {
    /// Name or address, without brackets.
    pub host: String,
    /// Port; default 6379.
    pub port: u16,
    /// Whether TLS is spoken (`rediss://`).
    pub tls: bool,
    /// The database; default 0.
    pub database: u16,
}

/// A server's URL. A password has no place in it: it would stand in every log of it.
struct ServerUrl;

impl Kind for ServerUrl {
    type Value = RedisServer;

    fn expected(&self) -> String {
        "a URL such as \"redis://10.0.0.5:6379\", or rediss:// for TLS".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<RedisServer, String> {
        let text = text_of(value)?;
        if text.contains('@') {
            return Err("a user or password stands in the URL".to_owned());
        }
        parse_url(text).ok_or_else(|| format!("{} is not valid", quoted(text)))
    }

    fn show(&self, server: &RedisServer) -> String {
        let scheme = if server.tls { "rediss" } else { "redis" };
        let host = if server.host.contains(':') {
            format!("[{}]", server.host)
        } else {
            server.host.clone()
        };
        let RedisServer { port, database, .. } = server;
        quoted(&format!("{scheme}://{host}:{port}/{database}"))
    }
}

fn parse_url(text: &str) -> Option<RedisServer> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("redis", text));
    let tls = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return None,
    };
    let (authority, database) = match rest.split_once('/') {
        Some((authority, "")) => (authority, 0),
        Some((authority, database)) => (authority, database.parse().ok()?),
        None => (rest, 0),
    };
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (
            host,
            port.strip_prefix(':')
                .or(port.is_empty().then_some("6379"))?,
        )
    } else {
        authority.rsplit_once(':').unwrap_or((authority, "6379"))
    };
    let is_host = |text: &str| {
        let mut bytes = text.bytes();
        !text.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    is_host(host).then(|| RedisServer {
        host: host.to_owned(),
        port,
        tls,
        database,
    })
}

/// The first part of every key.
const PREFIX: Text = Text {
    what: "up to 64 letters, digits, `-`, `_`, `.` and `:`",
    accepts: |text| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    },
};

/// A user or a master.
const ACCOUNT: Text = Text {
    what: "a name without blanks",
    accepts: |text| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()),
};

section! {
    /// How much of Redis is used, and for how long; each is a limit.
    pub struct RedisLimits {
        /// How long one command may take; then the request goes on without. 1ms to 5s,
        /// default 20ms.
        pub timeout: Duration = Duration::from_millis(20), time("1ms", "5s");
        /// How long a connection may take; no request waits for one. 10ms to 30s, default 1s.
        pub connect_timeout: Duration = Duration::from_secs(1), time("10ms", "30s");
        /// Commands under way at once, for each use; 1 to 10000, default 256.
        pub commands: usize = 256, Count(1..=10_000);
        /// Failures among the last 20 commands of a use after which it is given up for a
        /// while; 1 to 20, default 5.
        pub breaker_failures: u32 = 5, Count(1..=20);
        /// For how long; then one command tries. 10ms to 5m, default 1s.
        pub breaker_open: Duration = Duration::from_secs(1), time("10ms", "5m");
        /// Largest content that is shared; 1KiB to 256MiB, default 8MiB.
        pub max_object: u64 = 8 << 20, Size(1 << 10..=256 << 20);
        /// Bytes of content from Redis at once, on their way or for clients that read slowly while
        /// memory has no room; beyond it is a miss. 1MiB to 16GiB, default 64MiB.
        pub loads: u64 = 64 << 20, Size(1 << 20..=16 << 30);
        /// Responses that wait to be saved; more are not saved. 1 to 1000000, default 1024.
        pub saves: usize = 1024, Count(1..=1_000_000);
        /// Bytes of content of those; 1MiB to 16GiB, default 64MiB.
        pub saves_bytes: u64 = 64 << 20, Size(1 << 20..=16 << 30);
        /// How long a fetch is left to the node that has begun it and is not heard of; 100ms
        /// to 5m, default 5s.
        pub lease: Duration = Duration::from_secs(5), time("100ms", "5m");
        /// How long a node waits for what another one fetches; 0s (never) to 1m, default 2s.
        pub lease_wait: Duration = Duration::from_secs(2), time("0s", "1m");
        /// Purges that the stream keeps, for nodes that come back; 100 to 1000000, default
        /// 10000.
        pub stream_entries: u64 = 10_000, Count(100..=1_000_000);
        /// How long after purges were last heard of what is stored in Redis is used; 1s to
        /// 5m, default 5s.
        pub stream_trust: Duration = Duration::from_secs(5), time("1s", "5m");
        /// Purges that wait for Redis; more become one of everything. 1 to 1000000, default
        /// 10000.
        pub publish: usize = 10_000, Count(1..=1_000_000);
    }
}

/// `[redis]`. Not reloadable: a change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redis {
    /// The servers (`url` or `nodes`); never empty.
    pub servers: Vec<RedisServer>,
    /// How they belong together; default `single`.
    pub mode: RedisMode,
    /// The name of the master that Sentinels watch.
    pub master: Option<String>,
    /// The user; default that of the server.
    pub username: Option<String>,
    /// The password (`password_file` or `password_env`).
    pub password: Option<SecretSource>,
    /// What all keys begin with; default `verge`.
    pub prefix: String,
    /// Limits.
    pub limits: RedisLimits,
}

impl Redis {
    /// The section, if it stands in the file and is right.
    pub(crate) fn read(table: &Table<'_, '_>) -> Option<Self> {
        let before = table.problems();
        let url = table.maybe("url", ServerUrl);
        let nodes = table.list("nodes", "URLs of servers", false, &ServerUrl);
        let mode = table.or("mode", &MODE, RedisMode::Single);
        let redis = Self {
            mode,
            master: table.maybe("master", ACCOUNT),
            username: table.maybe("username", ACCOUNT),
            password: SecretSource::read(table, "password_file", "password_env"),
            prefix: table.or("prefix", &PREFIX, "verge".to_owned()),
            limits: RedisLimits::read(table),
            servers: match (url, nodes.is_empty()) {
                (Some(_), false) => {
                    table.problem("has both `url` and `nodes`", "expected one of them");
                    return None;
                }
                (Some(url), true) => vec![url],
                (None, _) => nodes,
            },
        };
        if !table.is_given() {
            return None;
        }
        redis.check(table, before);
        (table.problems() == before).then_some(redis)
    }

    fn check(&self, table: &Table<'_, '_>, before: usize) {
        if self.servers.is_empty() && table.problems() == before {
            let expected = "expected `url` or `nodes`, such as url = \"redis://127.0.0.1:6379\"";
            table.problem("names no server", expected);
        }
        match (self.mode, &self.master) {
            (RedisMode::Sentinel, None) => {
                table.missing("master", "the master's name, for `mode = \"sentinel\"`");
            }
            (RedisMode::Single | RedisMode::Cluster, Some(_)) => {
                table.problem_at(
                    "master",
                    "`master` is for `mode = \"sentinel\"`",
                    "expected no `master`",
                );
            }
            _ => {}
        }
        let first = self.servers.first();
        if self.servers.iter().any(|server| {
            first.is_some_and(|first| (first.tls, first.database) != (server.tls, server.database))
        }) {
            table.problem_at(
                "nodes",
                "nodes differ in more than their place",
                "expected one scheme and one database for all",
            );
        }
        if self.mode == RedisMode::Cluster && first.is_some_and(|first| first.database != 0) {
            table.problem("a cluster has one database", "expected no database in URLs");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_strictly() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/0"),
            ("cache.internal", "redis://cache.internal:6379/0"),
            ("rediss://a:7/3", "rediss://a:7/3"),
            ("redis://[::1]:7000/", "redis://[::1]:7000/0"),
            ("redis://[::1]", "redis://[::1]:6379/0"),
        ] {
            let server = parse_url(text).unwrap();
            assert_eq!(ServerUrl.show(&server), quoted(shown), "{text}");
        }
        for text in [
            "",
            "redis://",
            "http://a",
            "redis://a:0",
            "redis://a:x",
            "redis://a/x",
            "a b",
            "redis://[::1",
            "redis://[a]:1",
            "redis://a:70000",
            "redis://a?db=1",
        ] {
            assert_eq!(parse_url(text), None, "{text}");
        }
    }
}
