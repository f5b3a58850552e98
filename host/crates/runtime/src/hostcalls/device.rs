//! `verge:edge/device`.

use verge_http::client_hints::{
    ClientHints, Platform, SEC_CH_UA, SEC_CH_UA_MOBILE, SEC_CH_UA_PLATFORM,
};
use wasmtime::component::Resource;

use crate::bindings::verge::edge::device;
use crate::handles::RequestHandle;
use crate::state::CallState;

impl device::Host for CallState {
    fn read(&mut self, _: Resource<RequestHandle>) -> wasmtime::Result<device::Hints> {
        let names = [&SEC_CH_UA, &SEC_CH_UA_MOBILE, &SEC_CH_UA_PLATFORM];
        self.note_seen(names.map(|name| name.as_str()));
        let hints = ClientHints::of(&self.request_call()?.head.fields);
        let brands = hints.brands.into_iter().map(|brand| device::Brand {
            name: brand.name,
            version: brand.version,
        });
        Ok(device::Hints {
            brands: brands.collect(),
            mobile: hints.mobile,
            platform: hints.platform.map(|platform| match platform {
                Platform::Android => device::Platform::Android,
                Platform::ChromeOs => device::Platform::ChromeOs,
                Platform::Ios => device::Platform::Ios,
                Platform::Linux => device::Platform::Linux,
                Platform::MacOs => device::Platform::MacOs,
                Platform::Windows => device::Platform::Windows,
                Platform::Other(name) => device::Platform::Other(name),
            }),
        })
    }
}
