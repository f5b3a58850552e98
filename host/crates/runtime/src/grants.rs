//! Which capabilities a function's configuration grants, and the import and the key of each.
//! A capability of `verge:edge` is one row here.

use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::verge::edge;
use crate::bindings::wasi::config::store;
use crate::bindings::wasi::logging::logging;
use crate::hostcalls::{self, keyvalue};
use crate::state::{CallState, Data};

/// The table: field of [`Grants`], import, module of its bindings, key that grants it.
macro_rules! grants {
    ($($(#[$doc:meta])* $field:ident: $interface:literal, $module:ident, $key:literal;)*) => {
        /// Capabilities that a function's configuration may grant.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Grants {
            $($(#[$doc])* pub $field: bool,)*
            /// `verge:edge/secret`.
            pub secret: bool,
        }

        impl Grants {
            /// Everything there is.
            pub const ALL: Self = Self { $($field: true,)* secret: true };

            /// Whether the import `name` is granted, and the key below the function's section that
            /// grants it; `None` when it is no capability. The version counts where it is that of a
            /// draft; else it is the linker's matter.
            pub(crate) fn of(self, name: &str) -> Option<(bool, &'static str)> {
                let (interface, version) = name.split_once('@').unwrap_or((name, ""));
                match interface {
                    "verge:edge/secret" => Some((self.secret, "grants.secret")),
                    // The same under their standard names.
                    "wasi:config/store" => Some((self.config, "config")),
                    "wasi:logging/logging" => Some((self.log, "grants.log")),
                    $($interface => Some((self.$field, $key)),)*
                    "wasi:keyvalue/store" | "wasi:keyvalue/atomics" | "wasi:keyvalue/batch" => {
                        (version == keyvalue::VERSION).then_some((self.kv, "grants.kv"))
                    }
                    _ => None,
                }
            }

            /// Adds what is granted, as `component` expects it.
            pub(crate) fn add_to(
                self,
                linker: &mut Linker<Data>,
                component: &Component,
            ) -> wasmtime::Result<()> {
                $(if self.$field {
                    edge::$module::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
                })*
                if self.secret {
                    hostcalls::secret::add_to_linker(linker)?;
                }
                if self.config {
                    store::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
                }
                if self.log {
                    logging::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
                }
                if self.kv {
                    keyvalue::add_to_linker(linker, component, state)?;
                }
                Ok(())
            }
        }
    };
}

grants! {
    /// `verge:edge/acl`.
    acl: "verge:edge/acl", acl, "grants.acl";
    /// `verge:edge/cache`.
    cache: "verge:edge/cache", cache, "grants.cache";
    /// `verge:edge/config`.
    config: "verge:edge/config", config, "config";
    /// `verge:edge/defer`.
    defer: "verge:edge/defer", defer, "grants.defer";
    /// `verge:edge/device`.
    device: "verge:edge/device", device, "grants.device";
    /// `verge:edge/geo`.
    geo: "verge:edge/geo", geo, "grants.geo";
    /// `verge:edge/kv`, and `wasi:keyvalue` on the same stores.
    kv: "verge:edge/kv", kv, "grants.kv";
    /// `verge:edge/fetch`. `wasi:http` exists without it; whom it reaches is the same.
    fetch: "verge:edge/fetch", fetch, "grants.fetch";
    /// `verge:edge/log`. A guest's stdout and stderr reach the log without it.
    log: "verge:edge/log", log, "grants.log";
    /// `verge:edge/metrics`.
    metrics: "verge:edge/metrics", metrics, "grants.metrics";
    /// `verge:edge/rate-limit`.
    rate_limit: "verge:edge/rate-limit", rate_limit, "grants.rate_limit";
}

fn state(data: &mut Data) -> &mut CallState {
    data
}
