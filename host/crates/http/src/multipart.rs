//! `multipart/byteranges` (RFC 9110 14.6): what stands around the parts of an
//! answer to several ranges. The parts themselves are not touched: the caller
//! sends a delimiter, the bytes of the part, and so on.

use bytes::Bytes;
use http::HeaderValue;

use crate::range::{ByteRange, content_range};

/// The framing of an answer with several parts.
#[derive(Clone, Debug)]
pub struct Multipart {
    delimiters: Vec<Bytes>,
    end: Bytes,
    content_type: HeaderValue,
    length: u64,
}

impl Multipart {
    /// The framing of `parts` of content with `total` bytes and this
    /// Content-Type, if it has one.
    ///
    /// `random` makes the boundary, 32 digits that no content has but by a guess.
    #[must_use]
    pub fn new(
        parts: &[ByteRange],
        total: u64,
        content_type: Option<&HeaderValue>,
        random: u128,
    ) -> Self {
        let boundary = format!("{random:032x}");
        let mut delimiters = Vec::with_capacity(parts.len());
        let mut length = 0_u64;
        for (index, part) in parts.iter().enumerate() {
            let mut head = Vec::new();
            // The delimiter begins with the line end of what stands before it
            // (RFC 2046 5.1.1); before the first there is nothing.
            if index > 0 {
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(b"--");
            head.extend_from_slice(boundary.as_bytes());
            if let Some(content_type) = content_type {
                head.extend_from_slice(b"\r\nContent-Type: ");
                head.extend_from_slice(content_type.as_bytes());
            }
            head.extend_from_slice(b"\r\nContent-Range: ");
            head.extend_from_slice(content_range(*part, total).as_bytes());
            head.extend_from_slice(b"\r\n\r\n");
            length = length
                .saturating_add(head.len() as u64)
                .saturating_add(part.len());
            delimiters.push(Bytes::from(head));
        }
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let media_type = format!("multipart/byteranges; boundary={boundary}");
        Self {
            delimiters,
            length: length.saturating_add(end.len() as u64),
            end,
            content_type: HeaderValue::from_str(&media_type)
                .unwrap_or_else(|_| HeaderValue::from_static("multipart/byteranges")),
        }
    }

    /// The Content-Type of the whole answer.
    #[must_use]
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// Bytes of the whole answer: its Content-Length.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What stands before each part, in order.
    #[must_use]
    pub fn delimiters(&self) -> &[Bytes] {
        &self.delimiters
    }

    /// What stands behind the last part.
    #[must_use]
    pub fn end(&self) -> &Bytes {
        &self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_framed_as_rfc_9110_14_6_says() {
        let parts = [
            ByteRange { first: 0, last: 1 },
            ByteRange { first: 7, last: 9 },
        ];
        let text = HeaderValue::from_static("text/plain");
        let framing = Multipart::new(&parts, 10, Some(&text), 7);
        let boundary = "00000000000000000000000000000007";
        let mut sent = Vec::new();
        for (delimiter, part) in framing.delimiters().iter().zip(["01", "789"]) {
            sent.extend_from_slice(delimiter);
            sent.extend_from_slice(part.as_bytes());
        }
        sent.extend_from_slice(framing.end());
        let expected = format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
             \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 7-9/10\r\n\r\n789\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(sent).expect("ASCII"), expected);
        assert_eq!(framing.length(), expected.len() as u64);
        assert_eq!(
            framing.content_type(),
            &format!("multipart/byteranges; boundary={boundary}")
        );
    }

    #[test]
    fn content_without_a_type_has_parts_without_one() {
        let parts = [ByteRange { first: 0, last: 0 }];
        let framing = Multipart::new(&parts, 1, None, u128::MAX);
        let head = framing.delimiters().first().expect("one part");
        assert!(head.ends_with(b"\r\nContent-Range: bytes 0-0/1\r\n\r\n"));
        assert!(!head.windows(12).any(|bytes| bytes == b"Content-Type"));
    }
}
