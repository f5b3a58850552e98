//! Requests and responses in memory.

use std::cell::RefCell;

use http::{HeaderName, HeaderValue};

use super::content::{Content, RawReader, RawWriter};
use crate::backend::Target;
use crate::body::BodyError;
use crate::edit::{Edit, Refusal, Sink};
use crate::request::TargetError;
use crate::testing::Trigger;

/// Fields of framing, routing and the connection, and those that the node writes itself; beside
/// them every `proxy-` field.
const FORBIDDEN: [&str; 20] = [
    "age",
    "cache-status",
    "cdn-loop",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// The most fields, and bytes of fields, of a message.
const FIELDS: usize = 100;
const FIELD_BYTES: usize = 64 * 1024;

/// The most parts that one request may add to its key, and bytes of them.
const KEY_PARTS: usize = 16;
const KEY_PART_BYTES: usize = 4096;

/// The most fields that one request may declare unkeyed.
const UNKEYED_FIELDS: usize = 32;

/// One name of Surrogate-Key, which separates them by spaces.
fn is_surrogate_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_forbidden(name: &HeaderName) -> bool {
    FORBIDDEN.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

/// Field lines in order.
#[derive(Clone, Default)]
pub(crate) struct Fields(pub(crate) Vec<(HeaderName, HeaderValue)>);

impl Fields {
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a HeaderValue> {
        let of_name =
            move |(key, _): &&(HeaderName, HeaderValue)| key.as_str().eq_ignore_ascii_case(name);
        self.0.iter().filter(of_name).map(|(_, value)| value)
    }

    pub(super) fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let lines: Vec<&[u8]> = self.lines(name).map(HeaderValue::as_bytes).collect();
        (!lines.is_empty()).then(|| lines.join(&b", "[..]))
    }

    /// The fields after `edits`, or why they were refused.
    fn edited(&self, edits: &[Edit]) -> Result<Self, Refusal> {
        let mut fields = self.clone();
        for edit in edits {
            if is_forbidden(edit.name()) {
                return Err(Refusal::Forbidden);
            }
            if !matches!(edit, Edit::Append(..)) {
                fields.0.retain(|(name, _)| name != edit.name());
            }
            if let Edit::Set(name, value) | Edit::Append(name, value) = edit {
                fields.0.push((name.clone(), value.clone()));
            }
        }
        let lengths = fields.0.iter().map(|(n, v)| n.as_str().len() + v.len());
        if fields.0.len() > FIELDS || lengths.sum::<usize>() > FIELD_BYTES {
            return Err(Refusal::TooLarge);
        }
        Ok(fields)
    }
}

/// A request and what a function did to it.
pub(crate) struct RequestState {
    pub(crate) trigger: Trigger,
    pub(crate) target: Target,
    pub(crate) client: (String, u16, String, Option<String>),
    pub(crate) id: String,
    pub(crate) fields: Fields,
    /// The origins that may be chosen; `None` for any.
    pub(crate) origins: Option<Vec<String>>,
    pub(crate) origin: Option<String>,
    pub(crate) key_parts: Vec<(String, String)>,
    pub(crate) surrogate_keys: Vec<String>,
    pub(crate) unkeyed: Vec<String>,
    pub(crate) edits: Vec<Edit>,
}

pub(crate) struct RawRequest {
    pub(crate) state: RefCell<RequestState>,
    content: Content,
}

impl RawRequest {
    pub(crate) fn new(state: RequestState, content: Content) -> Self {
        let state = RefCell::new(state);
        Self { state, content }
    }

    pub(crate) fn target(&self) -> Target {
        self.state.borrow().target.clone()
    }

    pub(crate) fn set_target(&self, target: &Target) -> Result<(), TargetError> {
        let mut state = self.state.borrow_mut();
        let moved = target.authority != state.target.authority
            || target.scheme != state.target.scheme
            || target.method != state.target.method;
        match state.trigger {
            Trigger::ViewerRequest => {}
            Trigger::OriginRequest if !moved => {}
            _ => return Err(TargetError::Forbidden),
        }
        if target.method == "CONNECT" {
            return Err(TargetError::MethodInvalid);
        }
        if !target.path_and_query.starts_with('/') {
            return Err(TargetError::PathInvalid);
        }
        state.target = target.clone();
        Ok(())
    }

    pub(crate) fn client(&self) -> (String, u16, String, Option<String>) {
        self.state.borrow().client.clone()
    }

    pub(crate) fn id(&self) -> String {
        self.state.borrow().id.clone()
    }

    pub(crate) fn set_origin(&self, name: &str) -> bool {
        let mut state = self.state.borrow_mut();
        let known = state
            .origins
            .as_ref()
            .is_none_or(|origins| origins.iter().any(|origin| origin == name));
        let can = known && state.trigger.is_request();
        if can {
            state.origin = Some(name.to_owned());
        }
        can
    }

    pub(crate) fn add_key_part(&self, name: &str, value: &str) -> bool {
        let mut state = self.state.borrow_mut();
        let lengths = state.key_parts.iter().map(|(n, v)| n.len() + v.len());
        let bytes = lengths.sum::<usize>() + name.len() + value.len();
        let can = state.trigger == Trigger::ViewerRequest
            && state.key_parts.len() < KEY_PARTS
            && bytes <= KEY_PART_BYTES;
        if can {
            state.key_parts.push((name.to_owned(), value.to_owned()));
        }
        can
    }

    pub(crate) fn add_surrogate_key(&self, key: &str) -> bool {
        let mut state = self.state.borrow_mut();
        let can = state.trigger == Trigger::ViewerRequest
            && state.surrogate_keys.len() < KEY_PARTS
            && is_surrogate_key(key);
        if can {
            state.surrogate_keys.push(key.to_owned());
        }
        can
    }

    pub(crate) fn declare_unkeyed(&self, name: &str) -> bool {
        let mut state = self.state.borrow_mut();
        let name = name.to_ascii_lowercase();
        let known = state.unkeyed.contains(&name);
        let can = state.trigger == Trigger::ViewerRequest
            && (known || state.unkeyed.len() < UNKEYED_FIELDS);
        if can && !known {
            state.unkeyed.push(name);
        }
        can
    }

    fn fields_now(&self) -> Fields {
        self.state.borrow().fields.clone()
    }
}

impl Sink for RawRequest {
    fn apply(&self, edits: &[Edit]) -> Result<(), Refusal> {
        let mut state = self.state.borrow_mut();
        state.fields = state.fields.edited(edits)?;
        state.edits.extend_from_slice(edits);
        Ok(())
    }
}

pub(crate) struct RawResponse {
    status: RefCell<u16>,
    fields: RefCell<Fields>,
    content: Content,
}

impl RawResponse {
    pub(crate) fn new(status: u16) -> Self {
        Self::with(
            status.clamp(200, 599),
            Fields::default(),
            Content::default(),
        )
    }

    pub(crate) fn with(status: u16, fields: Fields, content: Content) -> Self {
        Self {
            status: RefCell::new(status),
            fields: RefCell::new(fields),
            content,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        *self.status.borrow()
    }

    pub(crate) fn set_status(&self, status: u16) -> bool {
        let can = (200..=599).contains(&status);
        if can {
            *self.status.borrow_mut() = status;
        }
        can
    }

    pub(crate) fn add_surrogate_key(&self, key: &str) -> bool {
        let Some(value) = HeaderValue::from_str(key)
            .ok()
            .filter(|_| is_surrogate_key(key))
        else {
            return false;
        };
        let name = HeaderName::from_static("surrogate-key");
        self.fields.borrow_mut().0.push((name, value));
        true
    }

    pub(crate) fn stream_body(&self) -> Result<RawWriter, BodyError> {
        Ok(self.content.stream())
    }

    fn fields_now(&self) -> Fields {
        self.fields.borrow().clone()
    }
}

impl Sink for RawResponse {
    fn apply(&self, edits: &[Edit]) -> Result<(), Refusal> {
        let edited = self.fields.borrow().edited(edits)?;
        *self.fields.borrow_mut() = edited;
        Ok(())
    }
}

/// What requests and responses have in common.
macro_rules! message {
    ($raw:ident) => {
        impl $raw {
            pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
                self.fields_now().joined(name)
            }

            pub(crate) fn get_many(&self, names: &[&str]) -> Vec<Option<Vec<u8>>> {
                let fields = self.fields_now();
                names.iter().map(|name| fields.joined(name)).collect()
            }

            pub(crate) fn get_lines(&self, name: &str) -> Vec<Vec<u8>> {
                let fields = self.fields_now();
                let lines = fields.lines(name).map(|line| line.as_bytes().to_vec());
                lines.collect()
            }

            pub(crate) fn fields(&self) -> Vec<(String, Vec<u8>)> {
                let fields = self.fields_now().0.into_iter();
                let lines = fields.map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec()));
                lines.collect()
            }

            pub(crate) fn body(&self) -> Result<RawReader, BodyError> {
                self.content.take()
            }

            pub(crate) fn set_body(&self, content: &[u8]) -> Result<(), BodyError> {
                self.content.replace(content);
                Ok(())
            }
        }
    };
}

message!(RawRequest);
message!(RawResponse);
