//! Reading fields, and batches of edits: all of a batch is applied, or nothing.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::bindings::verge::edge::types::{Edit, EditError, Field};
use crate::limits::Limits;
use crate::state::note_field;

/// Bytes that one call may bring back: a guest may name a long field many times.
const ANSWER_BYTES: usize = 1 << 20;
/// Edits in one batch, and different fields that a call may edit.
const EDITS: usize = 1024;
const EDITED_FIELDS: usize = 256;

/// One field, its lines joined (RFC 9110 5.3).
pub(super) fn joined(fields: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let mut lines = fields.get_all(name).iter();
    let mut value = lines.next()?.as_bytes().to_vec();
    for line in lines {
        value.extend_from_slice(b", ");
        value.extend_from_slice(line.as_bytes());
    }
    Some(value)
}

/// Several fields in order; an error, which ends the guest, when that is too much.
pub(super) fn joined_many(
    fields: &HeaderMap,
    names: &[String],
) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
    let mut left = ANSWER_BYTES;
    names
        .iter()
        .map(|name| {
            let value = joined(fields, name);
            let length = value.as_ref().map_or(0, Vec::len);
            left = left
                .checked_sub(length)
                .ok_or_else(|| wasmtime::format_err!("it asked for more than 1 MiB of fields"))?;
            Ok(value)
        })
        .collect()
}

/// Each line of one field.
pub(super) fn lines(fields: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    fields
        .get_all(name)
        .iter()
        .map(|line| line.as_bytes().to_vec())
        .collect()
}

/// All lines.
pub(super) fn all(fields: &HeaderMap) -> Vec<Field> {
    fields
        .iter()
        .map(|(name, value)| Field {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        })
        .collect()
}

/// A checked edit.
pub(super) enum Change {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
}

/// Checks the syntax of all edits, and that they touch nothing that is the node's.
pub(super) fn check(edits: Vec<Edit>) -> Result<Vec<Change>, EditError> {
    if edits.len() > EDITS {
        return Err(EditError::TooLarge);
    }
    edits
        .into_iter()
        .map(|edit| match edit {
            Edit::Set(field) => check_field(field).map(|(name, value)| Change::Set(name, value)),
            Edit::Append(field) => {
                check_field(field).map(|(name, value)| Change::Append(name, value))
            }
            Edit::Remove(name) => check_name(&name).map(Change::Remove),
        })
        .collect()
}

fn check_field(field: Field) -> Result<(HeaderName, HeaderValue), EditError> {
    let name = check_name(&field.name)?;
    // RFC 9110 5.5: surrounding whitespace is not part of a value.
    let value = field.value.trim_ascii();
    let value = HeaderValue::from_bytes(value).map_err(|_| EditError::ValueInvalid)?;
    Ok((name, value))
}

fn check_name(name: &str) -> Result<HeaderName, EditError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EditError::NameInvalid)?;
    if is_forbidden(&name) {
        return Err(EditError::Forbidden);
    }
    Ok(name)
}

/// Fields of framing, routing and the connection (RFC 9110 7.6.1, RFC 9112 6), and those that
/// the node writes itself.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "age"
            | "cache-status"
            | "cdn-loop"
            | "connection"
            | "content-length"
            | "expect"
            | "forwarded"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "via"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-real-ip"
    ) || name.as_str().starts_with("proxy-")
}

/// Applies checked edits and notes the names; changes nothing when a limit would be passed.
pub(super) fn apply(
    fields: &mut HeaderMap,
    changes: Vec<Change>,
    limits: &Limits,
    touched: &mut Vec<HeaderName>,
) -> Result<(), EditError> {
    let added = changes
        .iter()
        .fold(Size::default(), |size, change| match change {
            Change::Set(name, value) | Change::Append(name, value) => size.plus(name, value),
            Change::Remove(_) => size,
        });
    let mut names = touched.clone();
    for change in &changes {
        // Taking away what is not there changes nothing.
        if !matches!(change, Change::Remove(name) if !fields.contains_key(name)) {
            note_field(&mut names, change.name());
        }
        if names.len() > EDITED_FIELDS {
            return Err(EditError::TooLarge);
        }
    }
    // Most batches fit whatever they replace; only one that may not fit is tried on a copy.
    if Size::of(fields).and(added).fits(limits) {
        apply_all(fields, changes)?;
    } else {
        let mut copy = fields.clone();
        apply_all(&mut copy, changes)?;
        if !Size::of(&copy).fits(limits) {
            return Err(EditError::TooLarge);
        }
        *fields = copy;
    }
    *touched = names;
    Ok(())
}

fn apply_all(fields: &mut HeaderMap, changes: Vec<Change>) -> Result<(), EditError> {
    // The map's own bound is far above any sensible limit; passing it is an error, not a panic.
    for change in changes {
        match change {
            Change::Set(name, value) => {
                fields
                    .try_insert(name, value)
                    .map_err(|_| EditError::TooLarge)?;
            }
            Change::Append(name, value) => {
                fields
                    .try_append(name, value)
                    .map_err(|_| EditError::TooLarge)?;
            }
            Change::Remove(name) => {
                fields.remove(name);
            }
        }
    }
    Ok(())
}

impl Change {
    fn name(&self) -> &HeaderName {
        match self {
            Self::Set(name, _) | Self::Append(name, _) | Self::Remove(name) => name,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Size {
    lines: usize,
    bytes: usize,
}

impl Size {
    fn of(fields: &HeaderMap) -> Self {
        fields.iter().fold(Self::default(), |size, (name, value)| {
            size.plus(name, value)
        })
    }

    fn plus(self, name: &HeaderName, value: &HeaderValue) -> Self {
        self.and(Self {
            lines: 1,
            bytes: name.as_str().len() + value.len(),
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            lines: self.lines + other.lines,
            bytes: self.bytes + other.bytes,
        }
    }

    fn fits(self, limits: &Limits) -> bool {
        self.lines <= limits.fields && self.bytes <= limits.field_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> Field {
        Field {
            name: name.into(),
            value: value.into(),
        }
    }

    fn apply_edits(
        fields: &mut HeaderMap,
        edits: Vec<Edit>,
        limits: &Limits,
    ) -> Result<Vec<HeaderName>, EditError> {
        let mut touched = Vec::new();
        apply(fields, check(edits)?, limits, &mut touched)?;
        Ok(touched)
    }

    fn sample() -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.append("a", HeaderValue::from_static("1"));
        fields.append("a", HeaderValue::from_static("2"));
        fields.append("b", HeaderValue::from_static("3"));
        fields
    }

    #[test]
    fn names_are_compared_without_regard_to_case() {
        let fields = sample();
        assert_eq!(joined(&fields, "A"), Some(b"1, 2".to_vec()));
        assert_eq!(joined(&fields, "no such"), None);
        assert_eq!(lines(&fields, "A"), [b"1".to_vec(), b"2".to_vec()]);
        assert_eq!(all(&fields).len(), 3);
    }

    #[test]
    fn a_batch_sets_appends_and_removes_in_order() {
        let mut fields = sample();
        let touched = apply_edits(
            &mut fields,
            vec![
                Edit::Set(field("A", "  x ")),
                Edit::Append(field("a", "y")),
                Edit::Remove("B".into()),
                Edit::Remove("absent".into()),
            ],
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(lines(&fields, "a"), [b"x".to_vec(), b"y".to_vec()]);
        assert!(!fields.contains_key("b"));
        assert_eq!(touched, ["a", "b"]);
    }

    #[test]
    fn one_bad_edit_stops_the_whole_batch() {
        let cases = [
            (Edit::Set(field("a b", "x")), EditError::NameInvalid),
            (Edit::Set(field("", "x")), EditError::NameInvalid),
            (Edit::Set(field(":path", "x")), EditError::NameInvalid),
            (Edit::Set(field("c", "x\r\ny: z")), EditError::ValueInvalid),
            (Edit::Set(field("c", "x\0")), EditError::ValueInvalid),
            (
                Edit::Append(field("Content-Length", "1")),
                EditError::Forbidden,
            ),
            (
                Edit::Remove("Transfer-Encoding".into()),
                EditError::Forbidden,
            ),
            (Edit::Set(field("Host", "x")), EditError::Forbidden),
            (
                Edit::Set(field("Proxy-Authorization", "x")),
                EditError::Forbidden,
            ),
        ];
        for (edit, error) in cases {
            let mut fields = sample();
            let edits = vec![Edit::Set(field("a", "changed")), edit];
            assert_eq!(
                apply_edits(&mut fields, edits, &Limits::default()),
                Err(error)
            );
            assert_eq!(fields, sample());
        }
    }

    #[test]
    fn limits_hold_for_the_result_and_not_for_the_batch() {
        let limits = Limits {
            fields: 3,
            field_bytes: 20,
            ..Limits::default()
        };
        let mut fields = sample();
        let replace = vec![Edit::Remove("a".into()), Edit::Set(field("c", "123456789"))];
        assert!(apply_edits(&mut fields, replace, &limits).is_ok());
        for edits in [
            vec![Edit::Set(field("d", "12345678901234567890"))],
            vec![Edit::Append(field("d", "")), Edit::Append(field("d", ""))],
        ] {
            let before = fields.clone();
            assert_eq!(
                apply_edits(&mut fields, edits, &limits),
                Err(EditError::TooLarge)
            );
            assert_eq!(fields, before);
        }
    }

    #[test]
    fn batches_and_edited_fields_are_bounded() {
        let many = |count: usize| (0..count).map(|n| Edit::Set(field(&format!("x{n}"), "")));
        let limits = Limits {
            fields: 5000,
            ..Limits::default()
        };
        for count in [EDITED_FIELDS + 1, EDITS + 1] {
            let mut fields = sample();
            assert_eq!(
                apply_edits(&mut fields, many(count).collect(), &limits),
                Err(EditError::TooLarge)
            );
            assert_eq!(fields, sample());
        }
        assert!(apply_edits(&mut sample(), many(EDITED_FIELDS).collect(), &limits).is_ok());
    }

    #[test]
    fn answers_are_bounded() {
        let mut fields = HeaderMap::new();
        fields.insert("a", HeaderValue::from_bytes(&[b'x'; 60_000]).unwrap());
        let names = vec!["a".to_owned(); 20];
        assert!(joined_many(&fields, &names[..10]).is_ok());
        assert!(joined_many(&fields, &names).is_err());
    }
}
