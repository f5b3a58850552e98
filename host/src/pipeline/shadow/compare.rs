//! What a call came to, so that two can be compared: verdict, target, fields, effects, and of the
//! content its digest where it is held whole.

use http::{HeaderMap, Response, StatusCode};
use verge_http::Body;
use verge_runtime::{Digest, EdgeRequest, HandlerCall, RequestCall, ResponseCall, Verdict};

/// Bytes of content that are compared at most; of longer content only the length is.
const CONTENT_BYTES_MAX: u64 = 64 << 10;

/// Names of fields that are told of one comparison.
const FIELDS_TOLD: usize = 5;

/// Most bytes of the name of a field that are told.
const NAME_BYTES_TOLD: usize = 64;

/// What a call came to.
pub(super) struct Came {
    /// `continued`, `responded`, or the word of a failure.
    word: &'static str,
    /// The request as it went on.
    target: Option<String>,
    status: Option<StatusCode>,
    fields: HeaderMap,
    content: Option<Content>,
    /// What else it did: its choice of origin, key parts, surrogate keys.
    effects: String,
}

/// Content that is held whole.
#[derive(PartialEq, Eq)]
struct Content {
    length: u64,
    digest: Option<Digest>,
}

impl Content {
    fn differs_from(&self, other: &Self) -> bool {
        let both = self.digest.zip(other.digest);
        self.length != other.length || both.is_some_and(|(here, there)| here != there)
    }
}

impl Came {
    pub(super) fn of_request(call: &RequestCall) -> Self {
        match &call.verdict {
            Err(failure) => Self::failed(failure.fault.label()),
            Ok(Verdict::Respond(response)) => Self::responded(response),
            Ok(Verdict::Continue) => {
                let effects = &call.effects;
                Self {
                    word: "continued",
                    target: Some(target(&call.request)),
                    status: None,
                    fields: call.request.fields.clone(),
                    content: content(&call.request.body),
                    effects: format!(
                        "{:?} {:?} {:?} {:?}",
                        effects.origin, effects.key_parts, effects.surrogate_keys, effects.unkeyed
                    ),
                }
            }
        }
    }

    pub(super) fn of_response(call: &ResponseCall) -> Self {
        match &call.result {
            Err(failure) => Self::failed(failure.fault.label()),
            Ok(()) => Self {
                word: "continued",
                ..Self::responded(&call.response)
            },
        }
    }

    pub(super) fn of_handler(call: &HandlerCall) -> Self {
        match &call.response {
            Err(failure) => Self::failed(failure.fault.label()),
            Ok(response) => Self::responded(response),
        }
    }

    fn failed(word: &'static str) -> Self {
        Self {
            word,
            target: None,
            status: None,
            fields: HeaderMap::new(),
            content: None,
            effects: String::new(),
        }
    }

    fn responded(response: &Response<Body>) -> Self {
        Self {
            word: "responded",
            target: None,
            status: Some(response.status()),
            fields: response.headers().clone(),
            content: content(response.body()),
            effects: String::new(),
        }
    }

    /// What is different in `other`, in words; nothing that a client or a function said is quoted
    /// but names of fields.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        if self.word != other.word {
            return vec![format!("{} instead of {}", other.word, self.word)];
        }
        let mut told = Vec::new();
        if self.status != other.status {
            let shown = |status: Option<StatusCode>| status.map_or(0, |status| status.as_u16());
            let (there, here) = (shown(other.status), shown(self.status));
            told.push(format!("status {there} instead of {here}"));
        }
        if self.target != other.target {
            told.push("another target".to_owned());
        }
        told.extend(self.differing_fields(other));
        if let (Some(here), Some(there)) = (&self.content, &other.content)
            && here.differs_from(there)
        {
            told.push("other content".to_owned());
        }
        if self.effects != other.effects {
            told.push("another origin, key or surrogate key".to_owned());
        }
        told
    }

    fn differing_fields(&self, other: &Self) -> Vec<String> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.fields.keys().chain(other.fields.keys()) {
            let here = self.fields.get_all(name).iter();
            if !here.eq(other.fields.get_all(name).iter()) && !names.contains(&name.as_str()) {
                names.push(name.as_str());
            }
        }
        names.sort_unstable();
        let more = names.len().saturating_sub(FIELDS_TOLD);
        let mut told: Vec<String> = names
            .iter()
            .take(FIELDS_TOLD)
            .map(|name| format!("field {}", bounded(name)))
            .collect();
        if more > 0 {
            told.push(format!("{more} more fields"));
        }
        told
    }
}

/// A name as it is told: functions choose it, and how long it is.
fn bounded(name: &str) -> &str {
    let end = name.floor_char_boundary(NAME_BYTES_TOLD.min(name.len()));
    name.get(..end).unwrap_or_default()
}

fn target(request: &EdgeRequest) -> String {
    format!(
        "{} {}://{}{}",
        request.method, request.scheme, request.authority, request.path_and_query
    )
}

fn content(body: &Body) -> Option<Content> {
    let bytes = match body {
        Body::Empty => {
            return Some(Content {
                length: 0,
                digest: None,
            });
        }
        Body::Full(bytes) => bytes,
        Body::Stored(_) => {
            let length = body.exact_len()?;
            return Some(Content {
                length,
                digest: None,
            });
        }
        Body::Stream(_) => return None,
    };
    let length = bytes.len() as u64;
    Some(Content {
        length,
        digest: (length <= CONTENT_BYTES_MAX).then(|| Digest::of(bytes)),
    })
}
