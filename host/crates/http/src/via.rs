//! Via (RFC 9110 7.6.3) and CDN-Loop (RFC 8586): saying that a message passed
//! here, and noticing when it has passed too often.

use http::header::VIA;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::failure::ClientFault;
use crate::syntax::{field_members, is_token};

/// The field of RFC 8586.
static CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The name by which this node is known in Via and CDN-Loop; the field values
/// are made once.
#[derive(Clone, Debug)]
pub struct Pseudonym {
    name: HeaderValue,
    via_1_0: HeaderValue,
    via_1_1: HeaderValue,
    via_2: HeaderValue,
    via_3: HeaderValue,
}

/// How often a request may have passed, and how far it may have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopLimits {
    /// Passes through this node before this one: 0 unless a route leads back
    /// here on purpose.
    pub own_passes: usize,
    /// Members of Via, and of CDN-Loop.
    pub hops: usize,
}

impl Default for LoopLimits {
    /// No own passes, 20 hops.
    fn default() -> Self {
        Self {
            own_passes: 0,
            hops: 20,
        }
    }
}

/// A member of Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViaMember<'a> {
    /// `1.1`, or `name/version` for what is not HTTP.
    pub received_protocol: &'a [u8],
    /// `host[:port]` or a pseudonym.
    pub received_by: &'a [u8],
}

impl Pseudonym {
    /// None if `name` is not a token (RFC 9110 5.6.2).
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if !is_token(name.as_bytes()) {
            return None;
        }
        let value = |text: &str| HeaderValue::from_str(text).ok();
        Some(Self {
            name: value(name)?,
            via_1_0: value(&format!("1.0 {name}"))?,
            via_1_1: value(&format!("1.1 {name}"))?,
            via_2: value(&format!("2 {name}"))?,
            via_3: value(&format!("3 {name}"))?,
        })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    fn is(&self, name: &[u8]) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(name)
    }

    fn via(&self, received: Version) -> &HeaderValue {
        if received == Version::HTTP_2 {
            &self.via_2
        } else if received == Version::HTTP_3 {
            &self.via_3
        } else if received == Version::HTTP_10 || received == Version::HTTP_09 {
            &self.via_1_0
        } else {
            &self.via_1_1
        }
    }
}

/// The members of Via, the client's end first. What is malformed is given with
/// an empty `received_by`, because it is still a hop.
pub fn via_members(fields: &HeaderMap) -> impl Iterator<Item = ViaMember<'_>> {
    field_members(fields, &VIA).map(|member| {
        let mut words = member
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        ViaMember {
            received_protocol: words.next().unwrap_or_default(),
            received_by: words.next().unwrap_or_default(),
        }
    })
}

/// Refuses a request that has passed here, or anywhere, too often.
///
/// # Errors
/// [`ClientFault::LoopDetected`].
pub fn check_loop(
    fields: &HeaderMap,
    own: &Pseudonym,
    limits: LoopLimits,
) -> Result<(), ClientFault> {
    let via = count(via_members(fields).map(|member| own.is(member.received_by)));
    // RFC 8586 2: cdn-id, then parameters that say nothing about loops.
    let cdn = count(field_members(fields, &CDN_LOOP).map(|member| {
        let id = member.split(|byte| matches!(byte, b';' | b' ' | b'\t'));
        own.is(id.into_iter().next().unwrap_or_default())
    }));
    // A pass leaves a member in each field, so the two are not added.
    if via.own.max(cdn.own) > limits.own_passes || via.all.max(cdn.all) > limits.hops {
        return Err(ClientFault::LoopDetected);
    }
    Ok(())
}

/// Removes our members, where they are of this very pass: a function that copies the fields of its
/// request brings them along. A loop over others is noticed all the same, because requests that go
/// on to an origin get our member again.
pub fn remove_own(fields: &mut HeaderMap, own: &Pseudonym) {
    let is_own_via = |member: &[u8]| {
        let mut words = member.split(|byte| matches!(byte, b' ' | b'\t'));
        words
            .rfind(|word| !word.is_empty())
            .is_some_and(|by| own.is(by))
    };
    remove_members(fields, &VIA, is_own_via);
    remove_members(fields, &CDN_LOOP, |member| own.is(member));
}

fn remove_members(fields: &mut HeaderMap, name: &HeaderName, is_own: impl Fn(&[u8]) -> bool) {
    if !field_members(fields, name).any(&is_own) {
        return;
    }
    let others = field_members(fields, name).filter(|member| !is_own(member));
    let others = others.collect::<Vec<_>>().join(&b", "[..]);
    match HeaderValue::from_bytes(&others) {
        Ok(value) if !value.is_empty() => drop(fields.insert(name.clone(), value)),
        Ok(_) | Err(_) => drop(fields.remove(name)),
    }
}

struct Count {
    all: usize,
    own: usize,
}

fn count(members: impl Iterator<Item = bool>) -> Count {
    members.fold(Count { all: 0, own: 0 }, |count, is_own| Count {
        all: count.all + 1,
        own: count.own + usize::from(is_own),
    })
}

/// Appends our member to Via; `received` is the version of the message as it
/// came in. Allocates nothing for the value.
pub fn append_via(fields: &mut HeaderMap, received: Version, own: &Pseudonym) {
    fields.append(VIA, own.via(received).clone());
}

/// Appends our member to CDN-Loop, in a request that goes on to an origin.
pub fn append_cdn_loop(fields: &mut HeaderMap, own: &Pseudonym) {
    fields.append(CDN_LOOP.clone(), own.name.clone());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn verge() -> Pseudonym {
        Pseudonym::new("verge").expect("a token")
    }

    #[test]
    fn a_pseudonym_is_a_token() {
        assert_eq!(verge().as_str(), "verge");
        for name in ["", "a b", "a,b", "a;b", "caf\u{e9}", "a\r\nb", "\"a\""] {
            assert!(Pseudonym::new(name).is_none(), "{name}");
        }
    }

    #[test]
    fn loops_are_noticed_in_either_field() {
        for (name, value, passes) in [
            ("via", "1.1 other", 0),
            ("via", "1.1 verge", 1),
            ("via", "1.0 a, HTTP/2 VERGE (comment), 1.1 b", 1),
            ("via", "2 verge, 1.1 verge", 2),
            ("via", "1.1 verge-2, 1.1 x.verge", 0),
            ("via", "1.1 a (verge)", 0),
            ("via", "verge", 0),
            ("cdn-loop", "other", 0),
            ("cdn-loop", "Verge", 1),
            ("cdn-loop", "a;b=\"x, verge\", verge; c=1", 1),
            ("cdn-loop", "verge;a, verge", 2),
        ] {
            for own_passes in 0..3 {
                let limits = LoopLimits {
                    own_passes,
                    hops: 20,
                };
                let found = check_loop(&fields(&[(name, value)]), &verge(), limits);
                assert_eq!(found.is_err(), passes > own_passes, "{value} {own_passes}");
            }
        }
    }

    #[test]
    fn long_ways_are_refused() {
        let limits = LoopLimits {
            own_passes: 0,
            hops: 3,
        };
        let three = fields(&[("via", "1.1 a, 1.1 b"), ("via", "1.1 c")]);
        assert!(check_loop(&three, &verge(), limits).is_ok());
        let four = fields(&[("cdn-loop", "a, b, c"), ("cdn-loop", "d")]);
        let found = check_loop(&four, &verge(), limits);
        assert_eq!(found, Err(ClientFault::LoopDetected));
    }

    #[test]
    fn own_members_are_removed_and_others_stay() {
        for (name, value, left) in [
            ("via", "1.1 a, 1.1 verge", Some("1.1 a")),
            ("via", "1.1 verge", None),
            ("via", "1.1 verges", Some("1.1 verges")),
            (
                "cdn-loop",
                "a;b=\"x, verge\", Verge",
                Some("a;b=\"x, verge\""),
            ),
            ("cdn-loop", "verge", None),
        ] {
            let mut request = fields(&[(name, value)]);
            remove_own(&mut request, &verge());
            let found = request.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(found, left, "{name}: {value}");
        }
    }

    #[test]
    fn our_member_comes_last() {
        let mut request = fields(&[("via", "1.0 a")]);
        append_via(&mut request, Version::HTTP_2, &verge());
        append_cdn_loop(&mut request, &verge());
        let via: Vec<_> = request.get_all(VIA).iter().collect();
        assert_eq!(via, ["1.0 a", "2 verge"]);
        assert_eq!(request.get("cdn-loop").expect("appended"), "verge");
        assert_eq!(verge().via(Version::HTTP_11), "1.1 verge");
        assert_eq!(verge().via(Version::HTTP_10), "1.0 verge");
        let once = LoopLimits {
            own_passes: 1,
            hops: 20,
        };
        assert!(check_loop(&request, &verge(), once).is_ok());
        assert!(check_loop(&request, &verge(), LoopLimits::default()).is_err());
    }

    proptest! {
        #[test]
        fn what_was_appended_is_found(via in "[ -~]{0,40}", cdn in "[ -~]{0,40}") {
            let mut request = fields(&[("via", &via), ("cdn-loop", &cdn)]);
            append_via(&mut request, Version::HTTP_11, &verge());
            let found = check_loop(&request, &verge(), LoopLimits::default());
            prop_assert_eq!(found, Err(ClientFault::LoopDetected));
        }
    }
}
