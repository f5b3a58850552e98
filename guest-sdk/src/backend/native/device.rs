//! Client hints of a test's request. Simple forms of the fields are read here; the node reads
//! them as structured fields.

use super::RawRequest;
use crate::device::{Brand, Hints, Platform};

pub(crate) fn hints(request: &RawRequest) -> Hints {
    let text = |name| String::from_utf8(request.get(name)?).ok();
    Hints {
        brands: text("sec-ch-ua").as_deref().map(brands).unwrap_or_default(),
        mobile: match text("sec-ch-ua-mobile").as_deref() {
            Some("?1") => Some(true),
            Some("?0") => Some(false),
            _ => None,
        },
        platform: text("sec-ch-ua-platform").and_then(|text| platform(unquoted(&text)?)),
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.trim().strip_prefix('"')?.strip_suffix('"')
}

fn brands(text: &str) -> Vec<Brand> {
    let members = text.split(',').filter_map(|member| {
        let (name, version) = member.split_once(";v=").unwrap_or((member, "\"\""));
        Some(Brand {
            name: unquoted(name)?.to_owned(),
            version: unquoted(version)?.to_owned(),
        })
    });
    members.collect()
}

fn platform(text: &str) -> Option<Platform> {
    Some(match text {
        "" | "Unknown" => return None,
        "Android" => Platform::Android,
        "Chrome OS" | "Chromium OS" => Platform::ChromeOs,
        "iOS" => Platform::Ios,
        "Linux" => Platform::Linux,
        "macOS" => Platform::MacOs,
        "Windows" => Platform::Windows,
        other => Platform::Other(other.to_owned()),
    })
}
