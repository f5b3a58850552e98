//! A strict check of HTTP/1 request heads in raw bytes, before any other parser
//! sees them (RFC 9112 2 to 5).
//!
//! It keeps nothing of the head: it refuses what servers read in different
//! ways, enforces the limits also on a head that is still arriving, and tells
//! where the head ends and how the body is delimited.

use http::Version;
use memchr::memchr;

use crate::authority::{Authority, Scheme};
use crate::failure::ClientFault;
use crate::fields::ConnectionOptions;
use crate::framing::{Framing, FramingLines, check_expectation};
use crate::syntax::{is_token, is_token_byte, is_value_byte, token_len};

/// Longest method that is looked at.
const METHOD_BYTES_MAX: usize = 32;
/// Empty lines that may stand before a request line (RFC 9112 2.2).
const EMPTY_LINES_MAX: u8 = 2;

/// Limits of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Bytes of the whole head, empty lines included.
    pub head_bytes: usize,
    /// Field lines.
    pub fields: usize,
}

impl Default for HeadLimits {
    /// 8 KiB of target, just under 64 KiB of head, 100 fields.
    fn default() -> Self {
        Self {
            target_bytes: 8 * 1024,
            head_bytes: 64 * 1024 - 1,
            fields: 100,
        }
    }
}

/// What the scan has found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadScan {
    /// All is well so far; more bytes are needed.
    Incomplete,
    /// There is one whole, valid head.
    Complete(HeadFacts),
}

/// What a listener must know of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadFacts {
    /// Bytes from the first one given to the end of the empty line.
    pub len: usize,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the client lets the connection live on (RFC 9112 9.3).
    pub keeps_alive: bool,
    /// Whether the client waits for 100 Continue (RFC 9110 10.1.1).
    pub expects_continue: bool,
    /// Whether the client asks for another protocol (RFC 9110 7.8): after the
    /// origin's 101 what follows is not HTTP.
    pub asks_upgrade: bool,
    /// Whether the method is CONNECT: after a 2xx what follows is not HTTP.
    pub is_connect: bool,
}

/// Scans one head over several reads. Each line is checked once, as soon as it
/// is complete, so a head that arrives byte by byte costs linear time.
#[derive(Clone, Debug)]
pub struct HeadScanner {
    limits: HeadLimits,
    stage: Stage,
    /// Where the first line begins that is not complete.
    line_start: usize,
    /// Up to where no line feed is left to be found.
    searched: usize,
    empty_lines: u8,
    fields: usize,
    version: Version,
    is_connect: bool,
    has_host: bool,
    has_upgrade: bool,
    expects_continue: bool,
    connection: ConnectionOptions,
    framing: FramingLines,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    RequestLine,
    Fields,
    Complete(HeadFacts),
}

impl HeadScanner {
    /// A scanner for the next head of a connection.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            stage: Stage::RequestLine,
            line_start: 0,
            searched: 0,
            empty_lines: 0,
            fields: 0,
            version: Version::HTTP_11,
            is_connect: false,
            has_host: false,
            has_upgrade: false,
            expects_continue: false,
            connection: ConnectionOptions::default(),
            framing: FramingLines::default(),
        }
    }

    /// Looks at `bytes`, which are all bytes from the head's first on: each
    /// call gives those of the call before and more. What follows the head is
    /// not looked at.
    ///
    /// # Errors
    /// The first thing that is wrong. The connection must be closed after the
    /// answer, because nobody can tell where the next request would begin.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<HeadScan, ClientFault> {
        loop {
            if let Stage::Complete(facts) = self.stage {
                return Ok(HeadScan::Complete(facts));
            }
            let unsearched = bytes.get(self.searched..).unwrap_or_default();
            let Some(at) = memchr(b'\n', unsearched) else {
                self.searched = self.searched.max(bytes.len());
                self.check_partial(bytes)?;
                return Ok(HeadScan::Incomplete);
            };
            let end = self.searched + at;
            let line = bytes.get(self.line_start..end).unwrap_or_default();
            self.line(line, end + 1)?;
            self.line_start = end + 1;
            self.searched = end + 1;
        }
    }

    /// Checks a line that ends before `end`; its LF is cut off.
    fn line(&mut self, line: &[u8], end: usize) -> Result<(), ClientFault> {
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(ClientFault::LineEndingInvalid);
        };
        match self.stage {
            Stage::RequestLine if line.is_empty() => {
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES_MAX {
                    return Err(ClientFault::RequestLineInvalid);
                }
            }
            Stage::RequestLine => {
                self.request_line(line)?;
                self.stage = Stage::Fields;
            }
            Stage::Fields if line.is_empty() => {
                self.stage = Stage::Complete(self.finish(end)?);
            }
            Stage::Fields => self.field_line(line)?,
            Stage::Complete(_) => {}
        }
        if end > self.limits.head_bytes {
            return Err(ClientFault::HeadTooLarge);
        }
        Ok(())
    }

    /// Checks what can be said of a line that has not ended.
    fn check_partial(&self, bytes: &[u8]) -> Result<(), ClientFault> {
        let line = bytes.get(self.line_start..).unwrap_or_default();
        match self.stage {
            Stage::RequestLine => self.check_partial_request_line(line)?,
            Stage::Fields if matches!(line.first(), Some(b' ' | b'\t')) => {
                return Err(ClientFault::FieldFolded);
            }
            Stage::Fields | Stage::Complete(_) => {}
        }
        if bytes.len() > self.limits.head_bytes {
            return Err(ClientFault::HeadTooLarge);
        }
        Ok(())
    }

    fn check_partial_request_line(&self, line: &[u8]) -> Result<(), ClientFault> {
        if matches!(line, [] | [b'\r']) {
            return Ok(());
        }
        let start = line.get(..=METHOD_BYTES_MAX).unwrap_or(line);
        match start.iter().position(|byte| !is_token_byte(*byte)) {
            None if start.len() > METHOD_BYTES_MAX => Err(ClientFault::MethodUnsupported),
            None => Ok(()),
            Some(at) if at > 0 && start.get(at) == Some(&b' ') => {
                // The version and its space may have arrived with the target.
                let most = at + 1 + self.limits.target_bytes + " HTTP/1.1\r".len();
                if line.len() > most {
                    return Err(ClientFault::TargetTooLong);
                }
                Ok(())
            }
            Some(_) => Err(ClientFault::RequestLineInvalid),
        }
    }

    /// `method SP target SP HTTP/1.x` (RFC 9112 3).
    fn request_line(&mut self, line: &[u8]) -> Result<(), ClientFault> {
        let invalid = || line_fault(line, ClientFault::RequestLineInvalid);
        let (method, rest) = split_at_space(line).ok_or_else(invalid)?;
        let (target, version) = split_at_space(rest).ok_or_else(invalid)?;
        if !is_token(method) || target.is_empty() {
            return Err(invalid());
        }
        if method.len() > METHOD_BYTES_MAX {
            // RFC 9112 3: longer than any method that this server knows.
            return Err(ClientFault::MethodUnsupported);
        }
        if target.len() > self.limits.target_bytes {
            return Err(ClientFault::TargetTooLong);
        }
        self.version = match version {
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/1.0" => Version::HTTP_10,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(ClientFault::VersionUnsupported);
            }
            _ => return Err(invalid()),
        };
        self.is_connect = method == b"CONNECT";
        if is_target(method, target) {
            Ok(())
        } else {
            Err(line_fault(line, ClientFault::TargetInvalid))
        }
    }

    /// `field-name ":" OWS field-value OWS` (RFC 9112 5).
    fn field_line(&mut self, line: &[u8]) -> Result<(), ClientFault> {
        let (name, value) = match line.split_at_checked(token_len(line)) {
            Some((name, [b':', value @ ..])) if !name.is_empty() => (name, value),
            // RFC 9112 5.2: obs-fold; 2.2: whitespace before the first field.
            Some(([], [b' ' | b'\t', ..])) => return Err(ClientFault::FieldFolded),
            Some(_) | None => return Err(line_fault(line, ClientFault::FieldInvalid)),
        };
        if !is_value(value) {
            return Err(line_fault(line, ClientFault::FieldInvalid));
        }
        self.fields += 1;
        if self.fields > self.limits.fields {
            return Err(ClientFault::FieldsTooMany);
        }
        self.known_field(name, value)
    }

    /// Takes note of the fields that matter here; told apart by length first.
    fn known_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), ClientFault> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.has_host {
                    return Err(ClientFault::AuthorityConflicting);
                }
                self.has_host = true;
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                check_expectation(value)?;
                self.expects_continue = true;
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.has_upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection.add(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.framing.add_content_length(value)?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.framing.add_transfer_encoding(value);
            }
            _ => {}
        }
        Ok(())
    }

    /// Decides when the empty line has come.
    fn finish(&self, len: usize) -> Result<HeadFacts, ClientFault> {
        let is_current = self.version == Version::HTTP_11;
        if is_current && !self.has_host {
            // RFC 9112 3.2: also beside an absolute target.
            return Err(ClientFault::AuthorityMissing);
        }
        Ok(HeadFacts {
            len,
            version: self.version,
            framing: self.framing.decide(self.version)?,
            keeps_alive: self.connection.keeps_alive(self.version),
            expects_continue: self.expects_continue && is_current,
            asks_upgrade: self.has_upgrade && self.connection.upgrade && is_current,
            is_connect: self.is_connect,
        })
    }
}

/// Whether `value` has only bytes that a field value may have.
fn is_value(value: &[u8]) -> bool {
    // Without an early end the loop runs over many bytes at once.
    let bad = value
        .iter()
        .fold(0_u8, |bad, byte| bad | u8::from(!is_value_byte(*byte)));
    bad == 0
}

/// A bare CR is the more telling fault where a line has one.
fn line_fault(line: &[u8], otherwise: ClientFault) -> ClientFault {
    if memchr(b'\r', line).is_some() {
        ClientFault::LineEndingInvalid
    } else {
        otherwise
    }
}

/// What stands before and after the first space.
fn split_at_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = line.split_at_checked(memchr(b' ', line)?)?;
    Some((before, rest.strip_prefix(b" ")?))
}

/// Whether the target has one of the four forms of RFC 9112 3.2 and only
/// visible ASCII, without a fragment.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let bad = target.iter().fold(0_u8, |bad, byte| {
        bad | u8::from(!byte.is_ascii_graphic() | (*byte == b'#'))
    });
    if bad != 0 {
        return false;
    }
    if method == b"CONNECT" {
        return Authority::parse(target, Scheme::Https).is_ok();
    }
    match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ => has_prefix(target, b"http://") || has_prefix(target, b"https://"),
    }
}

fn has_prefix(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests;
