//! What must not be on disk: secrets, and the values of some fields. Done once for a finished
//! recording, on whatever thread writes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::blob::{Blob, hex, unhex};

/// What is shorter is not looked for outside of its place: it would be found everywhere.
const SHORTEST: usize = 4;

/// Finds what was left out, and names it.
#[derive(Default)]
pub(crate) struct Redactor {
    fields: Vec<String>,
    /// What is looked for everywhere, and what stands in its place.
    known: Vec<(Known, String)>,
    /// What was left out.
    pub(super) left_out: BTreeSet<String>,
}

/// Secrets stay where they are zeroed in the end.
enum Known {
    Secret(Arc<[u8]>),
    Field(Vec<u8>),
}

impl Known {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Secret(bytes) => bytes,
            Self::Field(bytes) => bytes,
        }
    }
}

/// What stands in the place of the secret `name`.
pub(super) fn secret_mark(name: &str) -> String {
    format!("[redacted secret {name}]")
}

/// What stands in the place of a value of the field `name`.
fn field_mark(name: &str) -> String {
    format!("[redacted field {name}]")
}

impl Redactor {
    /// Leaves out the values of `fields`, whose names are in lower case.
    pub(super) fn new(fields: Vec<String>) -> Self {
        Self {
            fields,
            ..Self::default()
        }
    }

    pub(super) fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Leaves a secret out wherever it is.
    pub(super) fn add_secret(&mut self, name: &str, secret: Arc<[u8]>) {
        if secret.len() >= SHORTEST {
            self.known.push((Known::Secret(secret), secret_mark(name)));
        }
    }

    /// Whether the field's value is left out.
    pub(super) fn is_field(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|field| field.eq_ignore_ascii_case(name))
    }

    /// Learns the values of fields that are left out, so that they are where else they are.
    pub(super) fn learn(&mut self, fields: &[(String, Blob)]) {
        for (name, value) in fields {
            if !self.is_field(name) {
                continue;
            }
            // A scheme and its credentials; cookies and their values.
            let whole = value.0.as_slice();
            let words = whole.split(|byte| matches!(byte, b' ' | b';' | b','));
            let values = words.clone().filter_map(|word| {
                let sign = word.iter().position(|byte| *byte == b'=')?;
                word.get(sign + 1..)
            });
            // Words such as a scheme, or `Path=/`, are in many places and say nothing.
            let telling = words.chain(values).filter(|part| part.len() >= 8);
            for part in std::iter::once(whole).chain(telling) {
                if part.len() >= SHORTEST {
                    let known = Known::Field(part.to_vec());
                    self.known.push((known, field_mark(name)));
                }
            }
        }
        // A part must not be taken out of the whole before that is looked for.
        self.known
            .sort_by_key(|(known, _)| std::cmp::Reverse(known.bytes().len()));
    }

    /// Replaces the values of fields.
    pub(super) fn field_list(&mut self, fields: &mut [(String, Blob)]) {
        for (name, value) in fields {
            if self.is_field(name) {
                let mark = field_mark(name);
                self.left_out.insert(format!("field {name}"));
                value.0 = mark.into_bytes();
            } else {
                self.blob(value);
            }
        }
    }

    pub(super) fn blob(&mut self, blob: &mut Blob) {
        if let Some(bytes) = self.replaced(&blob.0) {
            blob.0 = bytes;
        }
    }

    pub(super) fn text(&mut self, text: &mut String) {
        if let Some(bytes) = self.replaced(text.as_bytes()) {
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
    }

    /// Replaces what is known in everything that a question or an answer has; the values of lists
    /// named `fields` by their names.
    pub(super) fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(entries) => {
                let digits = entries.get("hex").and_then(Value::as_str);
                if let (1, Some(bytes)) = (entries.len(), digits.and_then(unhex)) {
                    if let Some(bytes) = self.replaced(&bytes) {
                        *value = match String::from_utf8(bytes) {
                            Ok(text) => Value::String(text),
                            Err(error) => serde_json::json!({ "hex": hex(error.as_bytes()) }),
                        };
                    }
                    return;
                }
                for (name, entry) in entries {
                    if name == "fields"
                        && let Ok(mut fields) =
                            serde_json::from_value::<Vec<(String, Blob)>>(entry.clone())
                    {
                        self.field_list(&mut fields);
                        *entry = serde_json::to_value(fields).unwrap_or_default();
                    } else {
                        self.value(entry);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Stars over what is known in content, which keeps its length; also where it lies across pieces.
    pub(super) fn mask(&mut self, pieces: &mut [Blob]) {
        let mut whole: Vec<u8> = pieces.iter().flat_map(|piece| &piece.0).copied().collect();
        let mut is_hit = false;
        for (known, mark) in &self.known {
            let bytes = known.bytes();
            let mut from = 0;
            while let Some(place) = find(&whole, bytes, from) {
                is_hit = true;
                from = place + bytes.len();
                self.left_out.insert(inner(mark));
                if let Some(hit) = whole.get_mut(place..from) {
                    hit.fill(b'*');
                }
            }
        }
        if is_hit {
            let mut rest = whole.as_slice();
            for piece in pieces {
                let (own, others) = rest.split_at(piece.0.len().min(rest.len()));
                piece.0 = own.to_vec();
                rest = others;
            }
        }
    }

    fn replaced(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut replaced: Option<Vec<u8>> = None;
        for (known, mark) in &self.known {
            let mut from = 0;
            while let Some(place) = find(replaced.as_deref().unwrap_or(bytes), known.bytes(), from)
            {
                let text = replaced.get_or_insert_with(|| bytes.to_vec());
                text.splice(place..place + known.bytes().len(), mark.bytes());
                from = place + mark.len();
                self.left_out.insert(inner(mark));
            }
        }
        replaced
    }
}

/// `secret NAME` of a mark.
fn inner(mark: &str) -> String {
    let inner = mark.strip_prefix("[redacted ").unwrap_or(mark);
    inner.trim_end_matches(']').to_owned()
}

fn find(text: &[u8], part: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let place = rest.windows(part.len()).position(|window| window == part)?;
    Some(from + place)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redactor() -> Redactor {
        let mut redactor = Redactor::new(vec!["authorization".into(), "cookie".into()]);
        redactor.add_secret("key", b"sesame".as_slice().into());
        redactor.learn(&[
            ("Authorization".into(), Blob(b"Bearer opensaysme".to_vec())),
            ("cookie".into(), Blob(b"a=1; sid=0123456789".to_vec())),
            ("accept".into(), Blob(b"text/html;q=0.99999".to_vec())),
        ]);
        redactor
    }

    #[test]
    fn secrets_and_values_of_fields_go_wherever_they_are() {
        let mut value = json!({
            "uri": "https://a/?k=sesame&t=opensaysme",
            "fields": [["Cookie", "x=y"], ["x-sid", "0123456789"], ["accept", "*/*"]],
            "content": { "hex": "ff736573616d65" },
            "list": [{ "deep": "Bearer opensaysme" }, 7, null],
        });
        let mut redactor = redactor();
        redactor.value(&mut value);
        let text = value.to_string();
        for gone in ["sesame", "opensays", "0123456789", "x=y", "736573616d65"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert!(text.contains("*/*"), "{text}");
        let left_out: Vec<_> = redactor.left_out.iter().map(String::as_str).collect();
        assert!(left_out.contains(&"secret key"), "{left_out:?}");
        assert!(left_out.contains(&"field Cookie"), "{left_out:?}");
    }

    #[test]
    fn content_keeps_its_length_and_secrets_across_pieces_are_found() {
        let mut pieces = [b"one ses".to_vec(), b"ame two".to_vec()].map(Blob);
        redactor().mask(&mut pieces);
        assert_eq!(pieces, [b"one ***".to_vec(), b"*** two".to_vec()].map(Blob));
    }
}
