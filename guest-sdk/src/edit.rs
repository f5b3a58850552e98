//! Changes to fields: collected, then applied in one hostcall. Which fields may be changed is the
//! host's rule; this file only carries its answer.

use std::fmt;

use http::{HeaderName, HeaderValue};

/// One change to the fields of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Replaces all lines of that name.
    Set(HeaderName, HeaderValue),
    /// Adds a line.
    Append(HeaderName, HeaderValue),
    /// Removes all lines of that name.
    Remove(HeaderName),
}

impl Edit {
    /// The field that it changes.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        match self {
            Self::Set(name, _) | Self::Append(name, _) | Self::Remove(name) => name,
        }
    }
}

/// Why a batch of edits was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A name is not a token (RFC 9110 5.6.2).
    NameInvalid,
    /// A value has a character that field values cannot have (RFC 9110 5.5).
    ValueInvalid,
    /// A field is one of framing or routing, or one that the node writes itself:
    /// `Content-Length`, `Transfer-Encoding`, `Connection`, `Host`, `Via`, `Age`, ...
    Forbidden,
    /// More fields, or more bytes of fields, than a message may have.
    TooLarge,
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::NameInvalid => "a field name is not a token",
            Self::ValueInvalid => "a field value has a forbidden character",
            Self::Forbidden => "a field belongs to the node",
            Self::TooLarge => "too many fields or bytes of fields",
        }
    }
}

/// A batch of edits was refused; none of it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditError {
    refusal: Refusal,
    fields: Vec<String>,
}

impl EditError {
    /// Why.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        self.refusal
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.refusal.reason();
        write!(f, "{reason} (edited: {})", self.fields.join(", "))
    }
}

impl std::error::Error for EditError {}

/// Where edits go: a request or a response of either backend.
pub(crate) trait Sink {
    fn apply(&self, edits: &[Edit]) -> Result<(), Refusal>;
}

/// Edits of one message that are applied together, in one hostcall, or not at all.
///
/// Names and values are what the `http` crate takes: its own types, or text. What is wrong with a
/// text is reported by [`apply`](Self::apply).
///
/// ```
/// # use verge_sdk::testing;
/// # let mut request = testing::Request::get("/").build();
/// request
///     .edit()
///     .set("x-plan", "gold")
///     .append("x-seen-by", "router")
///     .remove("x-debug")
///     .apply()?;
/// # Ok::<(), verge_sdk::EditError>(())
/// ```
#[must_use = "edits take effect only with `apply`"]
pub struct Edits<'a> {
    sink: &'a dyn Sink,
    edits: Vec<Edit>,
    invalid: Option<EditError>,
}

impl<'a> Edits<'a> {
    pub(crate) fn new(sink: &'a dyn Sink) -> Self {
        let (edits, invalid) = (Vec::new(), None);
        Self {
            sink,
            edits,
            invalid,
        }
    }

    /// Replaces all lines of that name by one.
    pub fn set(self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        self.pair(name, value, Edit::Set)
    }

    /// Adds a line.
    pub fn append(self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        self.pair(name, value, Edit::Append)
    }

    /// Removes all lines of that name.
    pub fn remove(mut self, name: impl TryInto<HeaderName>) -> Self {
        match name.try_into() {
            Ok(name) => self.edits.push(Edit::Remove(name)),
            Err(_) => self.reject(Refusal::NameInvalid, "?"),
        }
        self
    }

    /// Adds edits that were made elsewhere.
    pub fn extend(mut self, edits: impl IntoIterator<Item = Edit>) -> Self {
        self.edits.extend(edits);
        self
    }

    /// Applies all of them in one hostcall, or none.
    ///
    /// # Errors
    /// What the node refused, or the first name or value that is no field name or value.
    pub fn apply(self) -> Result<(), EditError> {
        if let Some(invalid) = self.invalid {
            return Err(invalid);
        }
        if self.edits.is_empty() {
            return Ok(());
        }
        self.sink.apply(&self.edits).map_err(|refusal| EditError {
            refusal,
            fields: self
                .edits
                .iter()
                .map(|edit| edit.name().to_string())
                .collect(),
        })
    }

    fn pair(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
        edit: fn(HeaderName, HeaderValue) -> Edit,
    ) -> Self {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => self.edits.push(edit(name, value)),
            (Ok(name), Err(_)) => self.reject(Refusal::ValueInvalid, name.as_str()),
            (Err(_), _) => self.reject(Refusal::NameInvalid, "?"),
        }
        self
    }

    fn reject(&mut self, refusal: Refusal, field: &str) {
        let fields = vec![field.to_owned()];
        self.invalid.get_or_insert(EditError { refusal, fields });
    }
}

impl fmt::Debug for Edits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Edits").field(&self.edits).finish()
    }
}
