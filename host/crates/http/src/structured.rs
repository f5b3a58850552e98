//! Structured field values (RFC 9651), as far as this crate needs them.
//!
//! Reading is strict and left to `sfv`: the lines of a field are one value, and
//! a mistake anywhere in it makes the whole of it invalid (RFC 9651 4.2).
//! Writing is lenient: whatever text comes in, what goes out is a valid field value: bytes that a
//! string cannot hold (RFC 9651 3.3.3) are replaced by `?`.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::syntax::{is_token, is_token_byte};

/// The field `name` as a list; `None` if it is absent or invalid.
pub(crate) fn parse_list(fields: &HeaderMap, name: &HeaderName) -> Option<sfv::List> {
    let value = joined(fields, name)?;
    sfv::Parser::new(&value).parse().ok()
}

/// The field `name` as a dictionary; `None` if it is absent or invalid.
pub(crate) fn parse_dictionary(fields: &HeaderMap, name: &HeaderName) -> Option<sfv::Dictionary> {
    let value = joined(fields, name)?;
    sfv::Parser::new(&value).parse().ok()
}

/// The field `name` as an item; `None` if it is absent or invalid.
pub(crate) fn parse_item(fields: &HeaderMap, name: &HeaderName) -> Option<sfv::Item> {
    let value = joined(fields, name)?;
    sfv::Parser::new(&value).parse().ok()
}

/// All lines of a field as one value (RFC 9651 4.2).
fn joined(fields: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = fields.get_all(name).iter();
    let mut value = lines.next()?.as_bytes().to_vec();
    for line in lines {
        value.extend_from_slice(b", ");
        value.extend_from_slice(line.as_bytes());
    }
    Some(value)
}

/// A field value in the making; typical values never leave the stack.
#[derive(Debug, Default)]
pub(crate) struct Writer(SmallVec<[u8; 128]>);

impl Writer {
    /// Text that the caller knows to be valid at this place.
    pub(crate) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// An integer (RFC 9651 3.3.1); at most 15 digits.
    pub(crate) fn integer(&mut self, number: i64) {
        const MAX: i64 = 999_999_999_999_999;
        self.raw(itoa::Buffer::new().format(number.clamp(-MAX, MAX)));
    }

    /// A string (RFC 9651 3.3.3).
    pub(crate) fn string(&mut self, text: &str) {
        self.0.push(b'"');
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b' '..=b'~' => self.0.push(byte),
                _ => self.0.push(b'?'),
            }
        }
        self.0.push(b'"');
    }

    /// A token where `text` is one (RFC 9651 3.3.4), else a string.
    pub(crate) fn token_or_string(&mut self, text: &str) {
        if is_structured_token(text.as_bytes()) {
            self.raw(text);
        } else {
            self.string(text);
        }
    }

    /// A token of RFC 9110 5.6.2 where `text` is one, else a quoted string.
    pub(crate) fn http_token_or_string(&mut self, text: &str) {
        if is_token(text.as_bytes()) {
            self.raw(text);
        } else {
            self.string(text);
        }
    }

    /// The finished value.
    pub(crate) fn finish(self) -> HeaderValue {
        // Only printable ASCII was written, so the fallback is never taken;
        // an empty list is harmless if it were.
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.raw(text);
        Ok(())
    }
}

/// Whether `bytes` are an sf-token (RFC 9651 3.3.4).
fn is_structured_token(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return false;
    };
    (first.is_ascii_alphabetic() || *first == b'*')
        && rest
            .iter()
            .all(|b| is_token_byte(*b) || matches!(b, b':' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> HeaderValue {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.finish()
    }

    #[test]
    fn text_is_a_token_where_it_can_be() {
        for (text, expected) in [
            ("verge", "verge"),
            ("edge-1.example:80/x", "edge-1.example:80/x"),
            ("1up", "\"1up\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("q\"b\\", "\"q\\\"b\\\\\""),
            ("caf\u{e9}\r\n", "\"caf????\""),
        ] {
            assert_eq!(written(|w| w.token_or_string(text)), expected);
        }
    }

    #[test]
    fn integers_stay_within_fifteen_digits() {
        assert_eq!(written(|w| w.integer(i64::MIN)), "-999999999999999");
        assert_eq!(written(|w| w.integer(i64::MAX)), "999999999999999");
        assert_eq!(written(|w| w.integer(-3)), "-3");
    }
}
