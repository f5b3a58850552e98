//! What things are called in Redis.

use super::format::{Fill, KeyDigest};

/// The Redis keys of one cache key; they are all in one slot of a cluster.
pub(crate) struct Names {
    prefix: String,
    key: String,
}

impl Names {
    pub(crate) fn new(prefix: &str, key: &KeyDigest) -> Self {
        let mut text = String::with_capacity(64);
        for byte in key {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        Self {
            prefix: prefix.to_owned(),
            key: text,
        }
    }

    pub(crate) fn variants(&self) -> String {
        format!("{}:r:{{{}}}", self.prefix, self.key)
    }

    pub(crate) fn chunk(&self, fill: Fill, index: u32) -> String {
        format!("{}:c:{{{}}}:{fill:032x}:{index}", self.prefix, self.key)
    }

    pub(crate) fn lease(&self) -> String {
        format!("{}:f:{{{}}}", self.prefix, self.key)
    }
}
