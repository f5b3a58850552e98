//! A strict check of chunked bodies in raw bytes (RFC 9112 7.1), beside the
//! parser that decodes them: it refuses what servers read in different ways
//! and tells where the body ends. It keeps nothing of the content.

use crate::failure::ClientFault;
use crate::syntax::{is_token_byte, is_value_byte};

/// Most digits of a chunk size: what a `u64` holds, leading zeros included.
const SIZE_DIGITS_MAX: u8 = 16;

/// Limits of what is not content in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of all chunk extensions of one body together.
    pub extension_bytes: usize,
    /// Bytes of the trailer section.
    pub trailer_bytes: usize,
    /// Trailer fields.
    pub trailer_fields: usize,
}

impl Default for ChunkLimits {
    /// 4 KiB of extensions, 8 KiB of trailers, 32 trailer fields.
    fn default() -> Self {
        Self {
            extension_bytes: 4 * 1024,
            trailer_bytes: 8 * 1024,
            trailer_fields: 32,
        }
    }
}

/// What one call has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkScan {
    /// How many of the given bytes belong to this body: all, unless it ended.
    pub consumed: usize,
    /// Whether the body ended with them.
    pub ended: bool,
}

/// Follows a chunked body over any number of reads.
#[derive(Clone, Debug)]
pub struct ChunkScanner {
    limits: ChunkLimits,
    state: State,
    /// The size of the chunk at hand, then what is left of its data.
    remaining: u64,
    content_bytes: u64,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailer_fields: usize,
}

/// What the next byte has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A digit of the size, so many of which have come.
    Size(u8),
    /// Whitespace before `;` or `=`: it must not end the line.
    ExtensionGap,
    /// After `;`: whitespace, or a name's first byte.
    ExtensionStart,
    ExtensionName,
    /// After `=`: whitespace, a value's first byte, or a quote.
    ExtensionValueStart,
    ExtensionValue,
    ExtensionQuoted,
    ExtensionEscape,
    ExtensionQuotedEnd,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    /// The first byte of a trailer line, or the CR of the last line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    Ended,
}

impl ChunkScanner {
    /// A scanner at the first byte of a body.
    #[must_use]
    pub const fn new(limits: ChunkLimits) -> Self {
        Self {
            limits,
            state: State::Size(0),
            remaining: 0,
            content_bytes: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailer_fields: 0,
        }
    }

    /// Looks at the next bytes of the connection.
    ///
    /// # Errors
    /// - [`ClientFault::ChunkInvalid`]: a chunk or its extensions are broken,
    ///   extensions are over their limit, or the sizes overflow;
    /// - [`ClientFault::FieldInvalid`], [`ClientFault::FieldFolded`],
    ///   [`ClientFault::LineEndingInvalid`]: the trailer section is broken;
    /// - [`ClientFault::HeadTooLarge`], [`ClientFault::FieldsTooMany`]: the
    ///   trailer section is over its limits.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<ChunkScan, ClientFault> {
        let mut rest = bytes;
        while self.state != State::Ended {
            if self.state == State::Data {
                let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
                let skipped = wanted.min(rest.len());
                rest = rest.get(skipped..).unwrap_or_default();
                self.remaining -= skipped as u64;
                if self.remaining > 0 {
                    break;
                }
                self.state = State::DataReturn;
            }
            let Some((byte, after)) = rest.split_first() else {
                break;
            };
            self.state = self.step(*byte)?;
            rest = after;
        }
        Ok(ChunkScan {
            consumed: bytes.len() - rest.len(),
            ended: self.is_ended(),
        })
    }

    /// Bytes of content that the chunk sizes have announced so far.
    #[must_use]
    pub const fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Whether the whole body has been seen.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The state after `byte`.
    fn step(&mut self, byte: u8) -> Result<State, ClientFault> {
        match self.state {
            State::Size(digits) => self.size(digits, byte),
            State::ExtensionGap
            | State::ExtensionStart
            | State::ExtensionName
            | State::ExtensionValueStart
            | State::ExtensionValue
            | State::ExtensionQuoted
            | State::ExtensionEscape
            | State::ExtensionQuotedEnd => self.extension(byte),
            State::SizeLineFeed => {
                expect_byte(byte, b'\n')?;
                self.content_bytes = self
                    .content_bytes
                    .checked_add(self.remaining)
                    .ok_or(ClientFault::ChunkInvalid)?;
                Ok(if self.remaining == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                })
            }
            // Data is skipped in `scan`, and nothing comes after the end.
            State::Data | State::Ended => Ok(self.state),
            State::DataReturn => expect_byte(byte, b'\r').map(|()| State::DataLineFeed),
            State::DataLineFeed => expect_byte(byte, b'\n').map(|()| State::Size(0)),
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLineFeed
            | State::LastLineFeed => self.trailer(byte),
        }
    }

    /// `1*HEXDIG`; no sign, no `0x`, no whitespace.
    fn size(&mut self, digits: u8, byte: u8) -> Result<State, ClientFault> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if digits == 0 => return Err(ClientFault::ChunkInvalid),
            b'\r' => return Ok(State::SizeLineFeed),
            _ => {
                self.state = State::ExtensionQuotedEnd;
                return self.extension(byte);
            }
        };
        if digits == SIZE_DIGITS_MAX {
            return Err(ClientFault::ChunkInvalid);
        }
        if digits == 0 {
            self.remaining = 0;
        }
        self.remaining = (self.remaining << 4) | u64::from(digit);
        Ok(State::Size(digits + 1))
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
    /// (RFC 9112 7.1.1).
    fn extension(&mut self, byte: u8) -> Result<State, ClientFault> {
        self.extension_bytes += 1;
        if self.extension_bytes > self.limits.extension_bytes {
            return Err(ClientFault::ChunkInvalid);
        }
        let is_blank = matches!(byte, b' ' | b'\t');
        match self.state {
            State::ExtensionStart if is_blank => Ok(State::ExtensionStart),
            State::ExtensionStart | State::ExtensionName if is_token_byte(byte) => {
                Ok(State::ExtensionName)
            }
            State::ExtensionValueStart if is_blank => Ok(State::ExtensionValueStart),
            State::ExtensionValueStart if byte == b'"' => Ok(State::ExtensionQuoted),
            State::ExtensionValueStart | State::ExtensionValue if is_token_byte(byte) => {
                Ok(State::ExtensionValue)
            }
            State::ExtensionQuoted if byte == b'"' => Ok(State::ExtensionQuotedEnd),
            State::ExtensionQuoted if byte == b'\\' => Ok(State::ExtensionEscape),
            State::ExtensionQuoted | State::ExtensionEscape if is_value_byte(byte) => {
                Ok(State::ExtensionQuoted)
            }
            State::ExtensionName | State::ExtensionGap if byte == b'=' => {
                Ok(State::ExtensionValueStart)
            }
            State::ExtensionName
            | State::ExtensionValue
            | State::ExtensionGap
            | State::ExtensionQuotedEnd
                if byte == b';' =>
            {
                Ok(State::ExtensionStart)
            }
            State::ExtensionName
            | State::ExtensionValue
            | State::ExtensionGap
            | State::ExtensionQuotedEnd
                if is_blank =>
            {
                Ok(State::ExtensionGap)
            }
            State::ExtensionName | State::ExtensionValue | State::ExtensionQuotedEnd
                if byte == b'\r' =>
            {
                Ok(State::SizeLineFeed)
            }
            _ => Err(ClientFault::ChunkInvalid),
        }
    }

    /// Field lines and the empty line after them (RFC 9112 7.1.2).
    fn trailer(&mut self, byte: u8) -> Result<State, ClientFault> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.limits.trailer_bytes {
            return Err(ClientFault::HeadTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::LastLineFeed),
            (State::TrailerStart, b' ' | b'\t') => Err(ClientFault::FieldFolded),
            (State::TrailerStart, byte) if is_token_byte(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > self.limits.trailer_fields {
                    return Err(ClientFault::FieldsTooMany);
                }
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, byte) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLineFeed),
            (State::TrailerValue, byte) if is_value_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerLineFeed, b'\n') => Ok(State::TrailerStart),
            (State::LastLineFeed, b'\n') => Ok(State::Ended),
            (State::TrailerLineFeed | State::LastLineFeed, _) | (_, b'\r' | b'\n') => {
                Err(ClientFault::LineEndingInvalid)
            }
            _ => Err(ClientFault::FieldInvalid),
        }
    }
}

fn expect_byte(byte: u8, expected: u8) -> Result<(), ClientFault> {
    if byte == expected {
        Ok(())
    } else {
        Err(ClientFault::ChunkInvalid)
    }
}

#[cfg(test)]
mod tests;
