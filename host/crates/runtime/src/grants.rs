//! Which capabilities a function's configuration grants, and the import and the key of each.
//! A capability of `verge:edge` is one row here.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::verge::edge;
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

            /// Whether the import `interface`, named without its version, is granted, and the key
            /// below the function's section that grants it; `None` when it is no capability.
            pub(crate) fn of(self, interface: &str) -> Option<(bool, &'static str)> {
                match interface {
                    $($interface => Some((self.$field, $key)),)*
                    _ => None,
                }
            }

            /// Adds what is granted.
            pub(crate) fn add_to(self, linker: &mut Linker<Data>) -> wasmtime::Result<()> {
                $(if self.$field {
                    edge::$module::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
                })*
                Ok(())
            }
        }
    };
}

grants! {
    /// `verge:edge/config`.
    config: "verge:edge/config", config, "config";
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
