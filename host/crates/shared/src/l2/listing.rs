//! What Redis has for a key, told to operators: heads only, and no lookup is counted.

use super::format::KeyDigest;
use super::{Candidate, L2, LookupOutcome, Names, bulk, stamped};

impl L2 {
    /// What `read` makes of each variant of a key.
    pub(crate) async fn list<T>(
        &self,
        key: &KeyDigest,
        mut read: impl FnMut(Candidate<'_>) -> Option<T>,
    ) -> Result<Vec<T>, LookupOutcome> {
        let inner = &self.0;
        if !inner.stream.is_trusted(inner.around.clock.now()) {
            return Err(LookupOutcome::Untrusted);
        }
        if inner.owed.owes(key) {
            return Ok(Vec::new());
        }
        let names = Names::new(&inner.around.settings.prefix, key);
        let (now_us, values) = self.variants(&names).await?;
        let mut found = Vec::new();
        for value in values {
            let head = bulk(value).and_then(|bytes| stamped(&bytes, now_us, key));
            if let Some((ago_us, head)) = head
                && let Some(candidate) = self.candidate(&head, ago_us)
            {
                found.extend(read(candidate));
            }
        }
        Ok(found)
    }
}
