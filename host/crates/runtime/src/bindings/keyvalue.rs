//! The host's side of `wasi:keyvalue`, generated. Nothing is written by hand here.

wasmtime::component::bindgen!({
    path: "wit/keyvalue",
    world: "wasi:keyvalue/imports",
    imports: { default: async | trappable },
    with: {
        "wasi:keyvalue/store.bucket": crate::handles::StoreHandle,
        "wasi:keyvalue/atomics.cas": crate::handles::CasHandle,
    },
});

/// The `batch` that the draft had at first, under the same version: `get-many` leaves the key out
/// where there is no value.
pub mod first {
    wasmtime::component::bindgen!({
        path: "wit/keyvalue-first",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store": super::wasi::keyvalue::store,
        },
    });
}
