//! The generated bindings of `wit/`: the imports once, and for each trigger its export.
//! Nothing is written by hand here.

/// What a function imports; the triggers' modules share these types.
pub mod imports {
    wit_bindgen::generate!({
        path: "wit",
        world: "imports",
        ownership: Borrowing { duplicate_if_necessary: true },
        generate_unused_types: true,
    });
}

/// One trigger: its trait `Guest` and the macro `export!`, which the attribute macros call.
macro_rules! trigger {
    ($module:ident, $world:literal, $path:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "wit",
                world: $world,
                ownership: Borrowing { duplicate_if_necessary: true },
                pub_export_macro: true,
                default_bindings_module: $path,
                with: {
                    "verge:edge/types@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::types,
                    "verge:edge/context@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::context,
                    "verge:edge/acl@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::acl,
                    "verge:edge/cache@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::cache,
                    "verge:edge/config@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::config,
                    "verge:edge/defer@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::defer,
                    "verge:edge/device@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::device,
                    "verge:edge/geo@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::geo,
                    "verge:edge/secret@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::secret,
                    "verge:edge/rate-limit@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::rate_limit,
                    "verge:edge/kv@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::kv,
                    "verge:edge/fetch@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::fetch,
                    "verge:edge/log@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::log,
                    "verge:edge/metrics@0.1.0": crate::backend::wasm::bindings::imports::verge::edge::metrics,
                },
            });
            pub use exports::verge::edge::$module::*;
        }
    };
}

trigger!(
    viewer_request,
    "viewer-request-function",
    "verge_sdk::__private::bindings::viewer_request"
);
trigger!(
    origin_request,
    "origin-request-function",
    "verge_sdk::__private::bindings::origin_request"
);
trigger!(
    origin_response,
    "origin-response-function",
    "verge_sdk::__private::bindings::origin_response"
);
trigger!(
    viewer_response,
    "viewer-response-function",
    "verge_sdk::__private::bindings::viewer_response"
);
trigger!(
    deferred,
    "deferred-function",
    "verge_sdk::__private::bindings::deferred"
);
