//! What a function may import: everything common, and what it was granted.
//! An import that is not there fails the load, by name.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::verge::edge;
use crate::call::next;
use crate::grants::Grants;
use crate::state::{CallState, Data};

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
/// exist but nothing can be opened, and requests go only where the call allows it.
pub(crate) fn common(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Data>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    edge::types::add_to_linker::<_, HasSelf<CallState>>(&mut linker, state)?;
    edge::context::add_to_linker::<_, HasSelf<CallState>>(&mut linker, state)?;
    Ok(linker)
}

/// The same for components of WASI 0.3, which import both.
pub(crate) fn concurrent(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Data>> {
    let mut linker = common(engine)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    next::add_to_linker(&mut linker)?;
    Ok(linker)
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
            let grant = match grants.of(name) {
                Some((true, _)) => return None,
                Some((false, key)) => Some(key),
                None if is_common(interface) => return None,
                None => None,
            };
            Some(MissingImport {
                import: name.to_owned(),
                grant,
            })
        })
        .collect()
}

/// What needs no grant: the messages, and the WASI 0.2 packages that exist here; versions and
/// single interfaces are the linker's matter.
fn is_common(interface: &str) -> bool {
    if matches!(interface, "verge:edge/types" | "verge:edge/context") {
        return true;
    }
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
