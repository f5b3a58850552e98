//! What a function may import: everything common, and what it was granted.
//! An import that is not there fails the load, by name.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::verge::edge;
use crate::state::{CallState, Data};

/// Capabilities that a function's configuration may grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// `verge:edge/config`.
    pub config: bool,
    /// `verge:edge/secret`.
    pub secret: bool,
    /// `verge:edge/rate-limit`.
    pub rate_limit: bool,
    /// `verge:edge/log`. A guest's stdout and stderr reach the log without it.
    pub log: bool,
}

/// An import that a function needs and does not get.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MissingImport {
    /// The import's name, with its version.
    pub import: String,
    /// The key below the function's section that would grant it; `None` when nothing does.
    pub grant: Option<&'static str>,
}

impl std::fmt::Display for MissingImport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.grant {
            Some(key) => write!(
                formatter,
                "{} is not granted: set `{key}` in the function's section",
                self.import
            ),
            None => write!(formatter, "{} does not exist here", self.import),
        }
    }
}

/// Imports that need no grant: the messages, and WASI 0.2, in which files and sockets
/// exist but nothing can be opened, and requests to others are denied.
pub(crate) fn common(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Data>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    edge::types::add_to_linker::<_, HasSelf<CallState>>(&mut linker, state)?;
    edge::context::add_to_linker::<_, HasSelf<CallState>>(&mut linker, state)?;
    Ok(linker)
}

/// Adds what was granted.
pub(crate) fn add_granted(linker: &mut Linker<Data>, grants: Grants) -> wasmtime::Result<()> {
    if grants.config {
        edge::config::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
    }
    if grants.secret {
        edge::secret::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
    }
    if grants.rate_limit {
        edge::rate_limit::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
    }
    if grants.log {
        edge::log::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
    }
    Ok(())
}

fn state(data: &mut Data) -> &mut CallState {
    data
}

/// Imports of `component` that `grants` do not cover, in its order.
pub(crate) fn missing_imports(
    engine: &wasmtime::Engine,
    component: &Component,
    grants: Grants,
) -> Vec<MissingImport> {
    component
        .component_type()
        .imports(engine)
        // Types and functions at the top level are left to the linker.
        .filter(|(_, import)| matches!(import.ty, ComponentItem::ComponentInstance(_)))
        .filter_map(|(name, _)| {
            let interface = name.split('@').next().unwrap_or(name);
            let grant = match interface {
                "verge:edge/types" | "verge:edge/context" => return None,
                "verge:edge/config" if grants.config => return None,
                "verge:edge/secret" if grants.secret => return None,
                "verge:edge/rate-limit" if grants.rate_limit => return None,
                "verge:edge/log" if grants.log => return None,
                "verge:edge/config" => Some("config"),
                "verge:edge/secret" => Some("grants.secret"),
                "verge:edge/rate-limit" => Some("grants.rate_limit"),
                "verge:edge/log" => Some("grants.log"),
                _ if is_wasi(interface) => return None,
                _ => None,
            };
            Some(MissingImport {
                import: name.to_owned(),
                grant,
            })
        })
        .collect()
}

/// The WASI 0.2 packages that exist here; versions and single interfaces are the linker's matter.
fn is_wasi(interface: &str) -> bool {
    let package = interface.split('/').next().unwrap_or(interface);
    matches!(
        package,
        "wasi:cli"
            | "wasi:clocks"
            | "wasi:filesystem"
            | "wasi:http"
            | "wasi:io"
            | "wasi:random"
            | "wasi:sockets"
    )
}
