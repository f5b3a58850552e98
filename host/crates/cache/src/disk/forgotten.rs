//! Keys of which nothing may be found any more, until the segments say so too:
//! what stands there for them is older than what could not be written, or is
//! damaged. Without that, the next rebuilding of the index would find it again.

use std::collections::HashMap;

/// Keys that may wait to be written down as gone; with more, all that is on disk goes.
const WAITING_MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub(super) struct Forgotten {
    waiting: HashMap<[u8; 32], Gone>,
    is_everything: bool,
}

/// A key that is to be written down as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) digest: [u8; 32],
    /// The beginning of its URI's digest.
    pub(super) uri: u64,
    /// How often the URI counts as known for its sake: purges of it are written down for as
    /// long as a crash could bring it back.
    pub(super) held: u32,
    /// Whether segments have anything of it.
    pub(super) is_written: bool,
}

impl Forgotten {
    /// Notes a key of which `held` records were found.
    pub(super) fn note(&mut self, digest: [u8; 32], uri: u64, held: u32) {
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&digest) {
            self.waiting.clear();
            self.is_everything = true;
        }
        let gone = self.waiting.entry(digest).or_insert(Gone {
            digest,
            uri,
            held: 0,
            is_written: false,
        });
        gone.held = gone.held.saturating_add(held);
        gone.is_written |= held > 0;
    }

    /// What was written of a key meanwhile is gone as well; says whether the key waits here.
    pub(super) fn takes(&mut self, digest: &[u8; 32], records: u32) -> bool {
        let Some(gone) = self.waiting.get_mut(digest) else {
            return false;
        };
        gone.held = gone.held.saturating_add(records);
        gone.is_written = true;
        true
    }

    /// Everything that was written before is gone.
    pub(super) fn is_everything(&self) -> bool {
        self.is_everything
    }

    /// All that waits, which is known here no more.
    pub(super) fn take(&mut self) -> Vec<Gone> {
        self.is_everything = false;
        self.waiting.drain().map(|(_, gone)| gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn what_is_written_meanwhile_is_gone_too_and_nothing_else() {
        let mut forgotten = Forgotten::default();
        forgotten.note(digest(1), 7, 0);
        assert!(forgotten.takes(&digest(1), 1));
        assert!(!forgotten.takes(&digest(2), 1));
        let gone = forgotten.take();
        assert_eq!(gone.len(), 1);
        assert_eq!((gone[0].held, gone[0].is_written), (1, true));
        assert!(!forgotten.takes(&digest(1), 1));
    }

    #[test]
    fn too_many_are_everything() {
        let mut forgotten = Forgotten::default();
        for number in 0..WAITING_MAX {
            forgotten.note(digest(number), 7, 1);
        }
        forgotten.note(digest(0), 7, 1);
        assert!(!forgotten.is_everything());
        forgotten.note(digest(WAITING_MAX), 7, 1);
        assert!(forgotten.is_everything());
        assert_eq!(forgotten.take().len(), 1);
        assert!(!forgotten.is_everything());
    }
}
