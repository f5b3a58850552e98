//! What a client says of its device: client hints (RFC 8942) in the three fields of low entropy
//! that browsers send without being asked (User-Agent Client Hints, sections 3.1, 3.4, 3.6).
//!
//! They are structured fields (RFC 9651); one that is absent or malformed says nothing. Nothing
//! is guessed from User-Agent.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, ListEntry};

use crate::structured;

/// Brands of the browser (section 3.1).
pub static SEC_CH_UA: HeaderName = HeaderName::from_static("sec-ch-ua");
/// Whether a mobile experience is preferred (section 3.4).
pub static SEC_CH_UA_MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");
/// The platform (section 3.6).
pub static SEC_CH_UA_PLATFORM: HeaderName = HeaderName::from_static("sec-ch-ua-platform");

/// Most brands that are read; browsers send three.
const BRANDS: usize = 16;

/// What is known of a client's device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHints {
    /// Names of the browser with their significant versions; some are made up on purpose, so
    /// that nobody relies on a closed list (section 6.2).
    pub brands: Vec<Brand>,
    /// Whether the client prefers a mobile experience.
    pub mobile: Option<bool>,
    /// The platform.
    pub platform: Option<Platform>,
}

/// One name of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    /// The name.
    pub name: String,
    /// The significant version; empty if none was given.
    pub version: String,
}

/// A platform, in the words of section 3.6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the platforms' own names")]
pub enum Platform {
    Android,
    /// Chromium OS, too.
    ChromeOs,
    Ios,
    Linux,
    MacOs,
    Windows,
    /// Another name, as the client wrote it.
    Other(String),
}

impl ClientHints {
    /// The hints of a request.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Self {
        Self {
            brands: brands(request).unwrap_or_default(),
            mobile: structured::parse_item(request, &SEC_CH_UA_MOBILE)
                .and_then(|item| item.bare_item.as_boolean()),
            platform: structured::parse_item(request, &SEC_CH_UA_PLATFORM)
                .and_then(|item| Platform::of(item.bare_item.as_string()?.as_str())),
        }
    }
}

/// A list of strings, each with a parameter `v`; a member that is none says nothing.
fn brands(request: &HeaderMap) -> Option<Vec<Brand>> {
    let list = structured::parse_list(request, &SEC_CH_UA)?;
    let members = list.iter().filter_map(|member| match member {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    });
    let brands = members.filter_map(|item| {
        let version = item.params.get("v").and_then(BareItem::as_string);
        Some(Brand {
            name: item.bare_item.as_string()?.as_str().to_owned(),
            version: version.map(|v| v.as_str().to_owned()).unwrap_or_default(),
        })
    });
    Some(brands.take(BRANDS).collect())
}

impl Platform {
    /// `None` for what says that it does not know.
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "" | "Unknown" => return None,
            "Android" => Self::Android,
            "Chrome OS" | "Chromium OS" => Self::ChromeOs,
            "iOS" => Self::Ios,
            "Linux" => Self::Linux,
            "macOS" => Self::MacOs,
            "Windows" => Self::Windows,
            other => Self::Other(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hints(fields: &[(&HeaderName, &str)]) -> ClientHints {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        ClientHints::of(&map)
    }

    #[test]
    fn what_a_browser_sends_is_read() {
        let hints = hints(&[
            (
                &SEC_CH_UA,
                r#""Chromium";v="124", "Not-A.Brand";v="99", "Plain""#,
            ),
            (&SEC_CH_UA_MOBILE, "?1"),
            (&SEC_CH_UA_PLATFORM, r#""Android""#),
        ]);
        let brand = |name: &str, version: &str| Brand {
            name: name.into(),
            version: version.into(),
        };
        let expected = [
            brand("Chromium", "124"),
            brand("Not-A.Brand", "99"),
            brand("Plain", ""),
        ];
        assert_eq!(hints.brands, expected);
        assert_eq!(hints.mobile, Some(true));
        assert_eq!(hints.platform, Some(Platform::Android));
    }

    #[test]
    fn platforms_have_their_names() {
        let table = [
            (r#""macOS""#, Some(Platform::MacOs)),
            (r#""Chromium OS""#, Some(Platform::ChromeOs)),
            (r#""Fuchsia""#, Some(Platform::Other("Fuchsia".into()))),
            (r#""Unknown""#, None),
            (r#""""#, None),
            ("Windows", None),
            (r#""Windows";a, "Linux""#, None),
        ];
        for (value, platform) in table {
            let hints = hints(&[(&SEC_CH_UA_PLATFORM, value)]);
            assert_eq!(hints.platform, platform, "{value}");
        }
    }

    #[test]
    fn what_is_absent_or_malformed_says_nothing() {
        assert_eq!(hints(&[]), ClientHints::default());
        let malformed = [
            (&SEC_CH_UA, r#""Chromium";v="124", "#),
            (&SEC_CH_UA_MOBILE, "1"),
            (&SEC_CH_UA_PLATFORM, "\"Android"),
        ];
        assert_eq!(hints(&malformed), ClientHints::default());
        // Two lines are one value, and two booleans are no item.
        let twice = [(&SEC_CH_UA_MOBILE, "?1"), (&SEC_CH_UA_MOBILE, "?0")];
        assert_eq!(hints(&twice).mobile, None);
        let many = ["\"x\""; 40].join(", ");
        assert_eq!(hints(&[(&SEC_CH_UA, &many)]).brands.len(), BRANDS);
    }
}
