//! The host's side of `guest-sdk/wit`, and of the WASI drafts in `wit`, generated. Nothing is written by hand here.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "generated from the WIT package"
)]

pub mod keyvalue;

wasmtime::component::bindgen!({
    path: ["wit/config", "wit/logging", "../../../guest-sdk/wit"],
    inline: "
        package verge:host;

        world functions {
            include verge:edge/imports@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:logging/logging@0.1.0-draft;
            export verge:edge/viewer-request@0.1.0;
            export verge:edge/origin-request@0.1.0;
            export verge:edge/origin-response@0.1.0;
            export verge:edge/viewer-response@0.1.0;
            export verge:edge/deferred@0.1.0;
        }
    ",
    world: "verge:host/functions",
    imports: {
        "verge:edge/types.[method]body-reader.read": async | trappable,
        "verge:edge/types.[method]body-writer.write": async | trappable,
        "verge:edge/kv": async | trappable,
        "verge:edge/rate-limit": async | trappable,
        "verge:edge/cache.insert": async | trappable,
        "verge:edge/cache.transact": async | trappable,
        "verge:edge/cache.[static]obligation.insert": async | trappable,
        "verge:edge/cache.[static]obligation.refresh": async | trappable,
        "verge:edge/fetch.[static]pending.wait": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "verge:edge/cache.obligation": crate::handles::ObligationHandle,
        "verge:edge/types.request": crate::handles::RequestHandle,
        "verge:edge/types.response": crate::handles::ResponseHandle,
        "verge:edge/types.body-reader": crate::handles::ReaderHandle,
        "verge:edge/types.body-writer": crate::handles::WriterHandle,
        "verge:edge/kv.store": crate::handles::StoreHandle,
        "verge:edge/fetch.pending": crate::handles::PendingHandle,
        "verge:edge/fetch.fetched": crate::handles::FetchedHandle,
    },
});
