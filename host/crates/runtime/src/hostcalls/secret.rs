//! `verge:edge/secret`. Linked by hand: generated code would hand out a copy of each secret on the
//! host's heap, over which nobody writes zeros.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::state::Data;

/// Adds the import.
pub(crate) fn add_to_linker(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("verge:edge/secret@0.1.0")?;
    interface.func_wrap(
        "get",
        |mut store: StoreContextMut<'_, Data>, (name,): (String,)| {
            let state = store.data_mut();
            state.hostcall()?;
            // It goes from the one copy of the node straight into the guest's memory.
            let secret: Option<Arc<[u8]>> = state.capabilities().secret(&name);
            Ok((secret,))
        },
    )
}
