//! Lists of address ranges, as functions ask them.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use verge_base::PrefixMap;
use verge_config::{AclAction, AclEntry};
use verge_runtime::capabilities as asked;

use crate::files;

/// Most bytes of a list's file.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most entries of a list.
const ENTRIES_MAX: usize = 1_000_000;

/// One list. It does not change: a list that is saved anew is another value.
pub(crate) struct Acl {
    entries: PrefixMap<Meaning>,
    /// What it was made of.
    source: Vec<AclEntry>,
}

/// What an entry says.
struct Meaning {
    action: AclAction,
    label: Option<Arc<str>>,
}

impl Acl {
    /// A list of entries, of which the last of each range counts.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub(crate) fn read(config: &verge_config::Acl) -> Result<Self, String> {
        let mut source = config.entries.clone();
        if let Some(file) = &config.file {
            read_file(file, &mut source)?;
        }
        if source.len() > ENTRIES_MAX {
            return Err(format!(
                "it has {} entries, more than {ENTRIES_MAX}",
                source.len()
            ));
        }
        let mut entries = PrefixMap::default();
        for entry in &source {
            let meaning = Meaning {
                action: entry.action,
                label: entry.label.clone(),
            };
            entries.insert(entry.range.addr(), entry.range.prefix_len(), meaning);
        }
        Ok(Self { entries, source })
    }

    /// Whether it was made of the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// The entry that an address falls under.
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<asked::AclEntry> {
        let address = address.to_canonical();
        let (length, meaning) = self.entries.lookup(address)?;
        // The length is one of this family: it came out of its map.
        let prefix = ipnet::IpNet::new(address, length).ok()?.trunc();
        Some(asked::AclEntry {
            prefix: prefix.to_string(),
            action: match meaning.action {
                AclAction::Allow => asked::AclAction::Allow,
                AclAction::Deny => asked::AclAction::Deny,
            },
            label: meaning.label.clone(),
        })
    }
}

/// One entry a line; what follows a `#` is for people.
fn read_file(path: &Path, entries: &mut Vec<AclEntry>) -> Result<(), String> {
    let content = files::read_bounded(path, FILE_BYTES_MAX)?;
    let shown = path.display();
    let text = std::str::from_utf8(&content).map_err(|_| format!("`{shown}` is not UTF-8"))?;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let entry = AclEntry::parse(line)
            .map_err(|what| format!("line {} of `{shown}`: {what}", number + 1))?;
        entries.push(entry);
    }
    Ok(())
}
