//! HTTP/2 frames in one direction of a connection, found by their headers as
//! the bytes pass by (RFC 9113 4.1). Pure: no I/O, no clock.

/// Bytes of a frame header (RFC 9113 4.1).
const HEADER: usize = 9;
/// Payload bytes that are looked at: the error code of RST_STREAM and GOAWAY.
const PAYLOAD: usize = 8;

/// Frame types (RFC 9113 6).
pub(super) mod kind {
    pub(in crate::listener) const DATA: u8 = 0;
    pub(in crate::listener) const HEADERS: u8 = 1;
    pub(in crate::listener) const RST_STREAM: u8 = 3;
    pub(in crate::listener) const PUSH_PROMISE: u8 = 5;
    pub(in crate::listener) const GOAWAY: u8 = 7;
    pub(in crate::listener) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::listener) const CONTINUATION: u8 = 9;
}

/// One frame, as far as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) length: u32,
    /// The error code of RST_STREAM and GOAWAY, otherwise 0.
    pub(super) code: u32,
}

/// Finds frames in one direction of a connection's bytes.
#[derive(Debug)]
pub(super) struct FrameScanner {
    header: [u8; HEADER],
    payload: [u8; PAYLOAD],
    /// Bytes of `header` and `payload` that are known, together.
    known: usize,
    /// Bytes to pass over before the next header.
    skip: usize,
}

impl FrameScanner {
    /// Starts to look after `preface` bytes.
    pub(super) fn new(preface: usize) -> Self {
        Self {
            header: [0; HEADER],
            payload: [0; PAYLOAD],
            known: 0,
            skip: preface,
        }
    }

    /// Whether no frame is begun and not ended.
    pub(super) fn is_between_frames(&self) -> bool {
        self.known == 0 && self.skip == 0
    }

    /// Looks at the next bytes and tells of each frame that begins in them.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Frame)) {
        loop {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            while self.known < self.wanted() {
                let Some((byte, rest)) = bytes.split_first() else {
                    return;
                };
                self.learn(*byte);
                bytes = rest;
            }
            let frame = self.frame();
            self.skip = (frame.length as usize).saturating_sub(self.known - HEADER);
            self.known = 0;
            tell(frame);
        }
    }

    fn learn(&mut self, byte: u8) {
        let slot = match self.known.checked_sub(HEADER) {
            None => self.header.get_mut(self.known),
            Some(index) => self.payload.get_mut(index),
        };
        if let Some(slot) = slot {
            *slot = byte;
        }
        self.known += 1;
    }

    /// Bytes that must be known before the frame is told.
    fn wanted(&self) -> usize {
        if self.known < HEADER {
            return HEADER;
        }
        let payload = match self.header[3] {
            kind::RST_STREAM => 4,
            kind::GOAWAY => 8,
            _ => 0,
        };
        HEADER + payload.min(self.length() as usize)
    }

    fn length(&self) -> u32 {
        let [a, b, c, ..] = self.header;
        u32::from_be_bytes([0, a, b, c])
    }

    fn frame(&self) -> Frame {
        let [.., kind, flags, s0, s1, s2, s3] = self.header;
        let [p0, p1, p2, p3, p4, p5, p6, p7] = self.payload;
        let code = match (kind, self.known - HEADER) {
            (kind::RST_STREAM, 4) => u32::from_be_bytes([p0, p1, p2, p3]),
            (kind::GOAWAY, 8) => u32::from_be_bytes([p4, p5, p6, p7]),
            _ => 0,
        };
        Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            length: self.length(),
            code,
        }
    }
}

/// A GOAWAY frame (RFC 9113 6.8).
pub(super) fn goaway(last_stream: u32, code: u32) -> [u8; HEADER + 8] {
    let [l0, l1, l2, l3] = last_stream.to_be_bytes();
    let [c0, c1, c2, c3] = code.to_be_bytes();
    [
        0,
        0,
        8,
        kind::GOAWAY,
        0,
        0,
        0,
        0,
        0,
        l0,
        l1,
        l2,
        l3,
        c0,
        c1,
        c2,
        c3,
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SETTINGS: u8 = 4;

    pub(in crate::listener) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let mut bytes = vec![0; 24];
        bytes.extend(frame(SETTINGS, 0, 0, &[1; 12]));
        bytes.extend(frame(kind::HEADERS, 4, 5, &[2; 100]));
        bytes.extend(frame(kind::RST_STREAM, 0, 5, &[0, 0, 0, 8]));
        bytes.extend(frame(kind::DATA, 0, 7, &[]));
        bytes.extend(goaway(9, 11));
        for step in 1..bytes.len() {
            let mut scanner = FrameScanner::new(24);
            let mut found = Vec::new();
            for piece in bytes.chunks(step) {
                scanner.scan(piece, |frame| found.push(frame));
            }
            let kinds: Vec<_> = found.iter().map(|f| (f.kind, f.stream, f.code)).collect();
            assert_eq!(
                kinds,
                [(4, 0, 0), (1, 5, 0), (3, 5, 8), (0, 7, 0), (7, 0, 11)],
                "in steps of {step}"
            );
            assert!(scanner.is_between_frames());
        }
    }

    #[test]
    fn a_frame_shorter_than_its_kind_allows_does_not_confuse_the_scan() {
        let mut bytes = frame(kind::RST_STREAM, 0, 5, &[1]);
        bytes.extend(frame(SETTINGS, 0, 0, &[]));
        let mut found = Vec::new();
        FrameScanner::new(0).scan(&bytes, |frame| found.push(frame.kind));
        assert_eq!(found, [kind::RST_STREAM, SETTINGS]);
    }
}
