//! The configuration as the pipeline asks for it on each request.

use std::time::Duration;

use verge_config::{Config, Problem, ProxyField};
use verge_http::coding::{Coding, CodingRules, MediaTypes};
use verge_http::forwarded::ForwardedSource;
use verge_http::via::{LoopLimits, Pseudonym};

use crate::pipeline::compress::{CompressionSettings, Levels};
use crate::pipeline::sanitize::SanitizeRules;

/// How often a request may have passed this node, or any proxy, before it counts as a loop.
const LOOPS: LoopLimits = LoopLimits {
    own_passes: 0,
    hops: 20,
};

/// Values that every request needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name in Via, Cache-Status, Proxy-Status and CDN-Loop.
    pub name: String,
    /// What sanitising needs.
    pub sanitize: SanitizeRules,
    /// What is compressed, and how.
    pub compression: CompressionSettings,
    /// How long a collapsed request waits for the leader's head.
    pub collapse_wait: Duration,
    /// How far behind what has arrived of a response a range may begin, in bytes, to wait for it.
    pub range_ahead: u64,
    /// Gaps in stored pieces with fewer stored bytes than this between them are one request.
    pub gaps_apart: u64,
}

impl Settings {
    /// The settings of `config`; `None` after adding to `problems`.
    pub(super) fn of(config: &Config, problems: &mut Vec<Problem>) -> Option<Self> {
        let name = config.node.name.clone();
        let Some(pseudonym) = Pseudonym::new(&name) else {
            problems.push(config.problem(
                "node.name",
                format!("`{name}` is not a token"),
                "expected letters, digits and -._~",
            ));
            return None;
        };
        Some(Self {
            sanitize: SanitizeRules {
                pseudonym,
                loops: LOOPS,
                fields_max: config.limits.fields,
                target_bytes_max: config.limits.target_bytes,
                content_bytes_max: config.limits.request_body,
                trusted_proxies: config.listen.trusted_proxies.clone(),
                forwarded_source: match config.listen.proxy_field {
                    ProxyField::Forwarded => ForwardedSource::Forwarded,
                    ProxyField::XForwardedFor => ForwardedSource::XForwardedFor,
                },
            },
            compression: compression(config),
            collapse_wait: config.cache.collapse_wait,
            range_ahead: config.cache_limits.range_ahead,
            gaps_apart: config.cache_limits.gaps_apart,
            name,
        })
    }
}

fn compression(config: &Config) -> CompressionSettings {
    let settings = &config.compression;
    let coding = |coding: &verge_config::Coding| match coding {
        verge_config::Coding::Brotli => Coding::Brotli,
        verge_config::Coding::Zstd => Coding::Zstd,
        verge_config::Coding::Gzip => Coding::Gzip,
    };
    CompressionSettings {
        rules: CodingRules {
            codings: settings.codings.iter().map(coding).collect(),
            types: MediaTypes::new(settings.types.iter().map(String::as_str)),
            min_size: settings.min_size,
            max_size: settings.max_size,
        },
        levels: Levels {
            brotli: settings.brotli_level,
            zstd: settings.zstd_level,
            gzip: settings.gzip_level,
        },
    }
}
