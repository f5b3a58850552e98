//! `[acl.NAME]`: lists of address ranges, in the configuration and in files.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::addresses::range;
use crate::kinds::{Kind, quoted, text_of};
use crate::table::Table;

/// Longest label of an entry, in bytes.
const LABEL_BYTES: usize = 64;

/// What an entry says of the addresses in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclAction {
    /// They may; the default.
    Allow,
    /// They may not.
    Deny,
}

/// A range, what it says, and the operator's word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AclEntry {
    /// The range.
    pub range: IpNet,
    /// What it says.
    pub action: AclAction,
    /// A word for it.
    pub label: Option<Arc<str>>,
}

impl AclEntry {
    /// What an entry looks like.
    pub const EXPECTED: &'static str = "a range of addresses, then perhaps `allow` or `deny`, then perhaps a label, such as \
         \"10.0.0.0/8 deny scanner\"";

    /// Reads one entry: a range, perhaps `allow` or `deny`, perhaps a label without blanks.
    ///
    /// # Errors
    /// A clause that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let range = range(first).ok_or_else(|| format!("{} is not a range", quoted(first)))?;
        let mut label = words.next();
        let action = match label {
            Some("deny") => AclAction::Deny,
            _ => AclAction::Allow,
        };
        if matches!(label, Some("allow" | "deny")) {
            label = words.next();
        }
        if let Some(more) = words.next() {
            return Err(format!("{} is too much", quoted(more)));
        }
        if label
            .is_some_and(|label| label.len() > LABEL_BYTES || label.chars().any(char::is_control))
        {
            return Err(format!(
                "the label is not valid, or over {LABEL_BYTES} bytes"
            ));
        }
        Ok(Self {
            range,
            action,
            label: label.map(Arc::from),
        })
    }
}

struct Entry;

impl Kind for Entry {
    type Value = AclEntry;

    fn expected(&self) -> String {
        AclEntry::EXPECTED.to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<AclEntry, String> {
        AclEntry::parse(text_of(value)?)
    }

    fn show(&self, value: &AclEntry) -> String {
        quoted(&value.range.to_string())
    }
}

/// `[acl.NAME]`: a list that functions can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acl {
    /// Its name.
    pub name: Arc<str>,
    /// Entries in the configuration itself.
    pub entries: Vec<AclEntry>,
    /// A file with further entries, one a line.
    pub file: Option<PathBuf>,
}

impl Acl {
    pub(crate) fn read(name: &Arc<str>, table: &Table<'_, '_>) -> Self {
        let before = table.problems();
        let list = Self {
            name: Arc::clone(name),
            entries: table.list("entries", "entries", false, &Entry),
            file: table.file("file"),
        };
        if table.problems() == before && list.file.is_none() && table.item("entries").is_none() {
            table.problem("has no entries", "expected `entries` or `file`, or both");
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        let entry = |text| {
            let entry = AclEntry::parse(text).ok()?;
            Some((
                entry.range.to_string(),
                entry.action,
                entry.label.map(|label| label.to_string()),
            ))
        };
        let (allow, deny) = (AclAction::Allow, AclAction::Deny);
        let table = [
            ("10.0.0.0/8", Some(("10.0.0.0/8", allow, None))),
            ("192.0.2.7", Some(("192.0.2.7/32", allow, None))),
            ("::1 deny", Some(("::1/128", deny, None))),
            (
                " fd00::/8  allow  vpn ",
                Some(("fd00::/8", allow, Some("vpn"))),
            ),
            (
                "10.0.0.0/8 partner",
                Some(("10.0.0.0/8", allow, Some("partner"))),
            ),
            ("10.0.0.0/33", None),
            ("deny 10.0.0.0/8", None),
            ("10.0.0.0/8 deny a b", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(range, action, label): (&str, _, Option<&str>)| {
                (range.to_owned(), action, label.map(str::to_owned))
            });
            assert_eq!(entry(text), expected, "{text}");
        }
    }
}
