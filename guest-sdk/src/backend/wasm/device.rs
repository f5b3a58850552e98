//! `verge:edge/device`.

use super::RawRequest;
use super::bindings::imports::verge::edge::device;
use crate::device::{Brand, Hints, Platform};

pub(crate) fn hints(request: &RawRequest) -> Hints {
    let hints = device::read(request.handle());
    let brands = hints.brands.into_iter().map(|brand| Brand {
        name: brand.name,
        version: brand.version,
    });
    Hints {
        brands: brands.collect(),
        mobile: hints.mobile,
        platform: hints.platform.map(|platform| match platform {
            device::Platform::Android => Platform::Android,
            device::Platform::ChromeOs => Platform::ChromeOs,
            device::Platform::Ios => Platform::Ios,
            device::Platform::Linux => Platform::Linux,
            device::Platform::MacOs => Platform::MacOs,
            device::Platform::Windows => Platform::Windows,
            device::Platform::Other(name) => Platform::Other(name),
        }),
    }
}
