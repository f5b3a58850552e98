//! Which capabilities a function's configuration grants, and the import and the key of each.
//! A capability of `verge:edge` is one row here.

use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::verge::edge;
use crate::hostcalls::keyvalue;
use crate::state::{CallState, Data};

/// The table: field of [`Grants`], import, module of its bindings, key that grants it.
macro_rules! grants {
    ($($(#[$doc:meta])* $field:ident: $interface:literal, $module:ident, $key:literal;)*) => {
        /// Capabilities that a function's configuration may grant.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Grants {
            $($(#[$doc])* pub $field: bool,)*
        }

        impl Grants {
            /// Everything there is.
            pub const ALL: Self = Self { $($field: true,)* };

            /// Whether the import `name` is granted, and the key below the function's section that
            /// grants it; `None` when it is no capability. The version counts where it is that of a
            /// draft; else it is the linker's matter.
            pub(crate) fn of(self, name: &str) -> Option<(bool, &'static str)> {
                let (interface, version) = name.split_once('@').unwrap_or((name, ""));
                match interface {
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
                if self.kv {
                    keyvalue::add_to_linker(linker, component, state)?;
                }
                Ok(())
            }
        }
    };
}

grants! {
    /// `verge:edge/config`.
    config: "verge:edge/config", config, "config";
    /// `verge:edge/kv`, and `wasi:keyvalue` on the same stores.
    kv: "verge:edge/kv", kv, "grants.kv";
    /// `verge:edge/fetch`. `wasi:http` exists without it; whom it reaches is the same.
    fetch: "verge:edge/fetch", fetch, "grants.fetch";
    /// `verge:edge/log`. A guest's stdout and stderr reach the log without it.
    log: "verge:edge/log", log, "grants.log";
    /// `verge:edge/rate-limit`.
    rate_limit: "verge:edge/rate-limit", rate_limit, "grants.rate_limit";
    /// `verge:edge/secret`.
    secret: "verge:edge/secret", secret, "grants.secret";
}

fn state(data: &mut Data) -> &mut CallState {
    data
}
