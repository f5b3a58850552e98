//! Targeted cache control (RFC 9213): response fields such as
//! CDN-Cache-Control that tell one sort of cache what Cache-Control tells all.
//!
//! They are strict structured fields: one that is malformed or empty is as if
//! it were absent. Of the rest the first of the target list decides alone, and
//! Cache-Control and Expires are not looked at (RFC 9213 2.2).

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, ListEntry};

use crate::age::DELTA_SECONDS_MAX;
use crate::cache_control::{Qualified, ResponseDirectives, field_names};
use crate::structured;

/// CDN-Cache-Control (RFC 9213 3.1).
pub static CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// The same, for caches of this kind alone.
pub static VERGE_CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("verge-cdn-cache-control");

/// The directives that hold for a response, and who gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectiveDirectives {
    /// The directives.
    pub directives: ResponseDirectives,
    /// The targeted field that they stand in; `None`: Cache-Control, and
    /// Expires counts, too.
    pub targeted: Option<HeaderName>,
}

impl EffectiveDirectives {
    /// Of a response, for a cache with this target list (RFC 9213 2.2).
    #[must_use]
    pub fn of(response: &HeaderMap, targets: &[HeaderName]) -> Self {
        let common = ResponseDirectives::parse(response);
        let chosen = targets
            .iter()
            .find_map(|name| Some((name, parse(response, name)?)));
        match chosen {
            None => Self {
                directives: common,
                targeted: None,
            },
            Some((name, mut directives)) => {
                // Whether content may be changed is no matter of caching, so
                // it is not overridden (RFC 9111 5.2.2.6).
                directives.no_transform |= common.no_transform;
                Self {
                    directives,
                    targeted: Some(name.clone()),
                }
            }
        }
    }
}

/// The directives of one targeted field; `None` if it is absent, empty or
/// malformed (RFC 9213 2.1).
#[must_use]
pub fn parse(response: &HeaderMap, name: &HeaderName) -> Option<ResponseDirectives> {
    if !response.contains_key(name) {
        return None;
    }
    let members = structured::parse_dictionary(response, name)?;
    if members.is_empty() {
        return None;
    }
    let mut directives = ResponseDirectives::default();
    for (key, entry) in &members {
        // Parameters are ignored (RFC 9213 2.1).
        let value = match entry {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        add(&mut directives, key.as_str(), value);
    }
    Some(directives)
}

/// Takes one member. A value of the wrong type is not consumed (RFC 9213 2.1):
/// a lifetime then is none, so that the response is stale (RFC 9111 4.2.1),
/// and fields that cannot be read are all fields.
fn add(directives: &mut ResponseDirectives, name: &str, value: Option<&BareItem>) {
    let is_true = matches!(value, Some(BareItem::Boolean(true)));
    match name {
        "max-age" => directives.max_age = Some(seconds(value)),
        "s-maxage" => directives.s_maxage = Some(seconds(value)),
        "stale-while-revalidate" => directives.stale_while_revalidate = Some(seconds(value)),
        "stale-if-error" => directives.stale_if_error = Some(seconds(value)),
        "no-cache" => qualify(&mut directives.no_cache, value),
        "private" => qualify(&mut directives.private, value),
        "no-store" => directives.no_store |= is_true,
        "must-revalidate" => directives.must_revalidate |= is_true,
        "proxy-revalidate" => directives.proxy_revalidate |= is_true,
        "must-understand" => directives.must_understand |= is_true,
        "no-transform" => directives.no_transform |= is_true,
        "public" => directives.public |= is_true,
        "immutable" => directives.immutable |= is_true,
        // Unknown directives are ignored (RFC 9111 5.2.3).
        _ => {}
    }
}

fn seconds(value: Option<&BareItem>) -> Duration {
    let number = value.and_then(BareItem::as_integer).map(i64::from);
    let number = number.and_then(|number| u64::try_from(number).ok());
    Duration::from_secs(number.unwrap_or(0).min(DELTA_SECONDS_MAX))
}

fn qualify(directive: &mut Qualified, value: Option<&BareItem>) {
    let names = match value {
        Some(BareItem::Boolean(false)) => return,
        Some(BareItem::String(list)) => field_names(list.as_str().as_bytes()),
        Some(BareItem::Token(name)) => field_names(name.as_str().as_bytes()),
        _ => None,
    };
    directive.add_names(names);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn read(value: &str) -> Option<ResponseDirectives> {
        parse(&fields(&[("cdn-cache-control", value)]), &CDN_CACHE_CONTROL)
    }

    const fn lifetime(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn members_are_directives_rfc_9213_2_1() {
        let found = read(
            "max-age=60;x=\"y\", no-store, no-cache=\"a, B\", private, s-maxage=0060, \
             must-revalidate;a, unknown=(1 2), stale-if-error=5, public",
        );
        let expected = ResponseDirectives {
            max_age: lifetime(60),
            no_store: true,
            no_cache: Qualified::Fields(vec!["a".parse().unwrap(), "b".parse().unwrap()]),
            private: Qualified::Whole,
            s_maxage: lifetime(60),
            must_revalidate: true,
            stale_if_error: lifetime(5),
            public: true,
            ..ResponseDirectives::default()
        };
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn malformed_and_empty_fields_are_ignored_whole_rfc_9213_2_1() {
        for value in [
            "",
            "  ",
            "max-age=60,",
            "max-age=60, , no-store",
            "Max-Age=60",
            "max-age=60 no-store",
            "max-age= 60",
            "max-age =60",
            "max-age='60'",
            "max-age=60s",
            "max-age=\"60",
            "max-age=9999999999999999",
            "max-age=-",
            "max-age=1.",
            "&",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
        assert!(read("none").is_some());
    }

    #[test]
    fn values_of_another_type_are_not_consumed_rfc_9213_2_1() {
        for (value, expected) in [
            ("max-age=60", 60),
            ("max-age=00060", 60),
            ("max-age=999999999999999", DELTA_SECONDS_MAX),
            ("max-age=1, max-age=60", 60),
            ("max-age=\"60\"", 0),
            ("max-age=60.0", 0),
            ("max-age=-60", 0),
            ("max-age=a60", 0),
            ("max-age=:NjA=:", 0),
            ("max-age=(60)", 0),
            ("max-age", 0),
            ("max-age=?0", 0),
        ] {
            let found = read(value).expect("well formed");
            assert_eq!(found.max_age, lifetime(expected), "{value}");
        }
        let found = read("no-store=?0, must-revalidate=1, public=\"x\", no-cache=?0, private=1");
        let expected = ResponseDirectives {
            private: Qualified::Whole,
            ..ResponseDirectives::default()
        };
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn the_first_valid_field_of_the_target_list_decides_rfc_9213_2_2() {
        let targets = [VERGE_CDN_CACHE_CONTROL.clone(), CDN_CACHE_CONTROL.clone()];
        let (own, cdn) = ("verge-cdn-cache-control", "cdn-cache-control");
        type Row = (
            &'static [(&'static str, &'static str)],
            u64,
            Option<&'static str>,
        );
        let rows: [Row; 6] = [
            (&[("cache-control", "max-age=1")], 1, None),
            (
                &[
                    ("cache-control", "max-age=1"),
                    ("cdn-cache-control", "max-age=2"),
                ],
                2,
                Some(cdn),
            ),
            (
                &[
                    ("cdn-cache-control", "max-age=2"),
                    ("verge-cdn-cache-control", "max-age=3"),
                ],
                3,
                Some(own),
            ),
            (
                &[
                    ("cdn-cache-control", "max-age=2"),
                    ("verge-cdn-cache-control", ""),
                ],
                2,
                Some(cdn),
            ),
            (
                &[
                    ("cache-control", "max-age=1"),
                    ("cdn-cache-control", "max-age=2,"),
                ],
                1,
                None,
            ),
            // The lines of one field are one dictionary.
            (
                &[
                    ("cdn-cache-control", "max-age=2"),
                    ("cdn-cache-control", "max-age=4"),
                ],
                4,
                Some(cdn),
            ),
        ];
        for (lines, expected, from) in rows {
            let found = EffectiveDirectives::of(&fields(lines), &targets);
            assert_eq!(found.directives.max_age, lifetime(expected), "{lines:?}");
            assert_eq!(
                found.targeted.as_ref().map(HeaderName::as_str),
                from,
                "{lines:?}"
            );
        }
        let not_targeted = fields(&[("cache-control", "max-age=1"), (cdn, "max-age=2")]);
        let found = EffectiveDirectives::of(&not_targeted, &[]);
        assert_eq!(found.directives.max_age, lifetime(1));
    }

    #[test]
    fn a_targeted_field_overrides_all_but_no_transform() {
        let response = fields(&[
            (
                "cache-control",
                "no-store, private, must-revalidate, no-transform",
            ),
            ("cdn-cache-control", "max-age=60"),
        ]);
        let found = EffectiveDirectives::of(&response, std::slice::from_ref(&CDN_CACHE_CONTROL));
        let expected = ResponseDirectives {
            max_age: lifetime(60),
            no_transform: true,
            ..ResponseDirectives::default()
        };
        assert_eq!(found.directives, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                let mut response = HeaderMap::new();
                response.insert(&CDN_CACHE_CONTROL, value);
                let _ = parse(&response, &CDN_CACHE_CONTROL);
            }
        }

        #[test]
        fn what_is_well_formed_in_both_means_the_same(
            age in 0_u64..3_000_000_000, flags in proptest::sample::subsequence(
                vec!["no-store", "private", "must-revalidate", "public", "immutable", "x"], 0..6),
        ) {
            let value = format!("max-age={age}, {}", flags.join(", "));
            let value = value.trim_end_matches([',', ' ']);
            let common = ResponseDirectives::parse_values(std::iter::once(value.as_bytes()));
            prop_assert_eq!(read(value), Some(common));
        }
    }
}
