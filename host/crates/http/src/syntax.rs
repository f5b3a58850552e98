//! Tokens, quoted strings and lists (RFC 9110 5.6): the pieces that all field
//! parsers here are made of.
//!
//! Nothing here fails and nothing costs more than linear time, whatever the
//! input; what is malformed comes out as it stands, for the caller to judge.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use memchr::{memchr, memchr2};

/// For each byte whether it may stand in a token.
static TOKEN_BYTES: [bool; 256] = token_bytes();

/// Whether `byte` may stand in a token (RFC 9110 5.6.2).
#[inline]
#[must_use]
#[expect(
    clippy::indexing_slicing,
    reason = "the table has an entry for each byte"
)]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time; the index stays below 256"
)]
const fn token_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
}

/// Whether `bytes` are a token (RFC 9110 5.6.2).
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_len(bytes) == bytes.len()
}

/// The number of token bytes at the start of `bytes`.
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    // Eight at a time without a branch for each, which is twice as fast.
    let (chunks, _) = bytes.as_chunks::<8>();
    let is_whole = |chunk: &&[u8; 8]| {
        let fold = |whole, byte: &u8| whole & is_token_byte(*byte);
        chunk.iter().fold(true, fold)
    };
    let whole = 8 * chunks.iter().take_while(is_whole).count();
    let rest = bytes.get(whole..).unwrap_or_default();
    let partial = rest.iter().take_while(|byte| is_token_byte(**byte));
    whole + partial.count()
}

/// `bytes` without optional whitespace at both ends (RFC 9110 5.6.3).
#[must_use]
pub fn trim_ows(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a field value may hold `byte` (RFC 9110 5.5): no control character
/// but the tab.
#[inline]
#[must_use]
pub const fn is_value_byte(byte: u8) -> bool {
    ((byte >= b' ') & (byte != 0x7f)) | (byte == b'\t')
}

/// The members of a comma-separated list, trimmed; empty ones are left out
/// (RFC 9110 5.6.1).
#[derive(Clone, Debug)]
pub struct ListMembers<'a> {
    rest: &'a [u8],
    /// False once a quoted string was found not to end: from there on quotes
    /// are ordinary bytes, so that an open quote hides no member.
    quotes_matter: bool,
}

/// The members of one field value; commas in quoted strings do not separate.
#[must_use]
pub const fn list_members(value: &[u8]) -> ListMembers<'_> {
    ListMembers {
        rest: value,
        quotes_matter: true,
    }
}

/// The members of all lines of the field `name`, in order (RFC 9110 5.3).
pub fn field_members<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    fields
        .get_all(name)
        .iter()
        .flat_map(|value| list_members(value.as_bytes()))
}

impl<'a> Iterator for ListMembers<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = self.member_end();
            let (member, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
            self.rest = rest.get(1..).unwrap_or_default();
            let member = trim_ows(member);
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

impl ListMembers<'_> {
    /// The position of the comma that ends the first member, or the length.
    fn member_end(&mut self) -> usize {
        let mut from = 0;
        loop {
            let tail = self.rest.get(from..).unwrap_or_default();
            let found = if self.quotes_matter {
                memchr2(b',', b'"', tail)
            } else {
                memchr(b',', tail)
            };
            let Some(at) = found else {
                return self.rest.len();
            };
            if tail.get(at) == Some(&b',') {
                return from + at;
            }
            from += at + 1;
            match quoted_string_end(self.rest.get(from..).unwrap_or_default()) {
                Some(end) => from += end,
                None => self.quotes_matter = false,
            }
        }
    }
}

/// The position after the closing quote; `bytes` begin after the opening one.
fn quoted_string_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let tail = bytes.get(from..)?;
        let at = memchr2(b'"', b'\\', tail)?;
        if tail.get(at) == Some(&b'"') {
            return Some(from + at + 1);
        }
        from += at + 2;
    }
}

/// The content of a quoted string, its escapes resolved (RFC 9110 5.6.4).
/// None unless `bytes` are exactly one quoted string.
#[must_use]
pub fn unquote(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = bytes.strip_prefix(b"\"")?;
    if quoted_string_end(inner)? != inner.len() {
        return None;
    }
    let inner = inner.strip_suffix(b"\"")?;
    if memchr(b'\\', inner).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for byte in inner {
        if *byte == b'\\' && !escaped {
            escaped = true;
        } else {
            plain.push(*byte);
            escaped = false;
        }
    }
    Some(Cow::Owned(plain))
}

/// `name [= value]` taken apart at the first `=`; nothing is trimmed, because
/// no whitespace is allowed around it (RFC 9110 5.6.6).
pub(crate) fn split_parameter(member: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(b'=', member).and_then(|at| member.split_at_checked(at)) {
        Some((name, rest)) => (name, rest.strip_prefix(b"=")),
        None => (member, None),
    }
}

/// One or more digits and nothing else; saturates.
pub(crate) fn parse_digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        byte.is_ascii_digit().then(|| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(byte - b'0'))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(value: &str) -> Vec<&str> {
        list_members(value.as_bytes())
            .map(|m| std::str::from_utf8(m).expect("cut at ASCII"))
            .collect()
    }

    #[test]
    fn lists_are_cut_at_commas_outside_of_quotes() {
        for (value, expected) in [
            ("", vec![]),
            (" , ,,\t", vec![]),
            ("a", vec!["a"]),
            ("a, b\t,c", vec!["a", "b", "c"]),
            ("a=\"x, y\", b", vec!["a=\"x, y\"", "b"]),
            ("a=\"x\\\", y\", b", vec!["a=\"x\\\", y\"", "b"]),
            // An open quote hides nothing.
            ("a=\"x, b, c", vec!["a=\"x", "b", "c"]),
            ("a=\"x\\\", b", vec!["a=\"x\\\"", "b"]),
        ] {
            assert_eq!(members(value), expected, "{value}");
        }
    }

    #[test]
    fn quoted_strings_are_unescaped() {
        for (value, expected) in [
            ("\"\"", Some("")),
            ("\"a b\"", Some("a b")),
            ("\"a\\\"b\\\\\"", Some("a\"b\\")),
            ("a", None),
            ("\"", None),
            ("\"a", None),
            ("\"a\\\"", None),
            ("\"a\"b", None),
            ("\"a\"b\"", None),
        ] {
            let plain = unquote(value.as_bytes());
            assert_eq!(plain.as_deref(), expected.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn digits_saturate_and_tolerate_nothing_else() {
        for (text, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1 ", None),
            ("1.0", None),
        ] {
            assert_eq!(parse_digits(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn many_open_quotes_cost_linear_time() {
        // Quadratic behaviour would take minutes here.
        let value = "\"\\\",".repeat(500_000);
        assert!(list_members(value.as_bytes()).count() > 0);
    }

    #[test]
    fn tokens_are_made_of_token_bytes() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_token(&[byte]), is_token_byte(byte), "{byte}");
            let is_other = byte.is_ascii_graphic() && b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            assert_eq!(
                is_token_byte(byte),
                byte.is_ascii_graphic() && !is_other,
                "{byte}"
            );
        }
        assert!(is_token(b"x-a_b!") && !is_token(b"") && !is_token(b"a b"));
    }

    proptest! {
        #[test]
        fn members_are_trimmed_parts_of_the_value(value in "[ -~\t]{0,60}") {
            for member in members(&value) {
                prop_assert!(!member.is_empty());
                prop_assert_eq!(trim_ows(member.as_bytes()), member.as_bytes());
                prop_assert!(value.contains(member));
            }
        }

        #[test]
        fn splitting_what_was_joined_changes_nothing(value in "[a-c,\"\\\\ ]{0,40}") {
            // Joining moves no quote, so a second round finds the same members,
            // unless a quote was left open.
            let first: Vec<String> = members(&value).into_iter().map(str::to_owned).collect();
            if first.iter().all(|m| list_members(m.as_bytes()).quotes_close()) {
                let joined = first.join(", ");
                prop_assert_eq!(members(&joined), first);
            }
        }

        #[test]
        fn unquote_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = unquote(&bytes);
            let _ = list_members(&bytes).count();
        }

        #[test]
        fn quoting_round_trips(text in "[ -~]{0,20}") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            let plain = unquote(quoted.as_bytes());
            prop_assert_eq!(plain.as_deref(), Some(text.as_bytes()));
        }
    }

    impl ListMembers<'_> {
        fn quotes_close(mut self) -> bool {
            while self.next().is_some() {}
            self.quotes_matter
        }
    }
}
