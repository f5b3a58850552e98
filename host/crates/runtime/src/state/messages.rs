//! Messages inside a call: as they are now, and enough to put back what was
//! given if the call fails.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Method, header, response};
use verge_http::Body;

use crate::message::{
    ClientFacts, ContentChange, Context, EdgeRequest, RequestEffects, ResponseEffects, SeenInput,
};
use crate::outcome::Trigger;

/// A request inside a call.
pub(crate) struct RequestState {
    pub(crate) head: RequestHead,
    pub(crate) context: Context,
    /// The head as it was given, once it was edited.
    original: Option<Box<RequestHead>>,
    /// The context as it was given, once it was changed.
    original_context: Option<Context>,
    pub(crate) client: Arc<ClientFacts>,
    pub(crate) id: Arc<str>,
    pub(crate) content: Content,
    pub(crate) effects: RequestEffects,
    pub(crate) seen: SeenInput,
    /// It was handed to the caller already; what the guest still sees is a copy.
    pub(crate) sealed: bool,
}

#[derive(Clone)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) path_and_query: PathAndQuery,
    pub(crate) fields: HeaderMap,
}

/// A response inside a call: one that was given, or one that the guest made.
pub(crate) struct ResponseState {
    pub(crate) head: response::Parts,
    original: Option<Box<response::Parts>>,
    pub(crate) content: Content,
    pub(crate) effects: ResponseEffects,
    pub(crate) sealed: bool,
}

/// The content of a message inside a call.
#[derive(Default)]
pub(crate) struct Content {
    /// What it came with, unless a reader has it.
    pub(super) given: Option<Body>,
    replaced: Option<Bytes>,
    /// The guest took a writer for it.
    pub(crate) written: bool,
    /// It closed that writer properly.
    pub(crate) finished: bool,
}

/// The messages of a call, when it ends or when its response begins.
#[derive(Default)]
pub(crate) struct Messages {
    pub(crate) request: Option<RequestState>,
    pub(crate) response: Option<ResponseState>,
    /// What a `wasi:http` handler was to be given, if it never took it.
    pub(crate) incoming: Option<http::Request<Body>>,
}

impl RequestState {
    pub(crate) fn new(request: EdgeRequest) -> Self {
        Self {
            head: RequestHead {
                method: request.method,
                scheme: request.scheme,
                authority: request.authority,
                path_and_query: request.path_and_query,
                fields: request.fields,
            },
            context: request.context,
            original: None,
            original_context: None,
            client: request.client,
            id: request.id,
            content: Content::new(request.body),
            effects: RequestEffects::default(),
            seen: SeenInput::default(),
            sealed: false,
        }
    }

    /// Remembers what was given; to be called before each edit.
    pub(crate) fn keep_original(&mut self) {
        if self.original.is_none() && !self.sealed {
            self.original = Some(Box::new(self.head.clone()));
        }
    }

    /// Sets a value of the context; false when it is full.
    pub(crate) fn set_context(&mut self, name: &str, value: Bytes) -> bool {
        if self.sealed {
            return false;
        }
        if self.original_context.is_none() {
            self.original_context = Some(self.context.clone());
        }
        self.context.set(name, value)
    }

    pub(crate) fn set_content(&mut self, content: Bytes) {
        self.keep_original();
        self.head.fields.remove(header::CONTENT_LENGTH);
        self.content.replaced = Some(content);
    }

    /// The request for the caller: as it is now, or as it was if the call failed.
    pub(crate) fn settle(mut self, succeeded: bool) -> (EdgeRequest, RequestEffects, SeenInput) {
        let (body, change) = self.content.settle(succeeded);
        if !succeeded {
            self.effects = RequestEffects::default();
            if let Some(original) = self.original {
                self.head = *original;
            }
            if let Some(original) = self.original_context {
                self.context = original;
            }
        }
        self.effects.content = change;
        let request = EdgeRequest {
            method: self.head.method,
            scheme: self.head.scheme,
            authority: self.head.authority,
            path_and_query: self.head.path_and_query,
            fields: self.head.fields,
            client: self.client,
            id: self.id,
            body,
            context: self.context,
        };
        (request, self.effects, self.seen)
    }

    /// What the guest sees once the request was handed to the caller. What an origin trigger has
    /// not looked at by then stays hidden: the decision about storing is taken.
    pub(super) fn sealed_copy(&self, trigger: Trigger) -> Self {
        let mut head = self.head.clone();
        if trigger.is_of_origin() && !self.seen.everything {
            let seen = &self.seen.fields;
            let hidden: Vec<HeaderName> = head
                .fields
                .keys()
                .filter(|name| !seen.contains(name))
                .cloned()
                .collect();
            for name in hidden {
                head.fields.remove(name);
            }
        }
        Self {
            head,
            context: self.context.clone(),
            original: None,
            original_context: None,
            client: Arc::clone(&self.client),
            id: Arc::clone(&self.id),
            content: Content::default(),
            effects: RequestEffects::default(),
            seen: self.seen.clone(),
            sealed: true,
        }
    }
}

impl ResponseState {
    pub(crate) fn new(response: http::Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            head,
            original: None,
            content: Content::new(body),
            effects: ResponseEffects::default(),
            sealed: false,
        }
    }

    /// Remembers what was given; to be called before each edit.
    pub(crate) fn keep_original(&mut self) {
        if self.original.is_none() && !self.sealed {
            self.original = Some(Box::new(self.head.clone()));
        }
    }

    /// Whether the status admits content (RFC 9110 15.3.5, 15.4.5).
    pub(crate) fn may_have_content(&self) -> bool {
        !matches!(self.head.status.as_u16(), 204 | 304)
    }

    pub(crate) fn set_content(&mut self, content: Bytes) {
        self.keep_original();
        self.head.headers.remove(header::CONTENT_LENGTH);
        self.content.replaced = Some(content);
        self.content.written = false;
    }

    pub(crate) fn begin_writing(&mut self) {
        self.keep_original();
        self.head.headers.remove(header::CONTENT_LENGTH);
        self.content.replaced = Some(Bytes::new());
        self.content.written = true;
        self.content.finished = false;
    }

    /// The response for the caller: as it is now, or as it was if the call failed. `streamed` is
    /// the content that the guest wrote, when it wrote some.
    pub(crate) fn settle(
        mut self,
        succeeded: bool,
        streamed: Option<Body>,
    ) -> (http::Response<Body>, ResponseEffects) {
        let (mut body, mut change) = self.content.settle(succeeded);
        if succeeded {
            if let Some(streamed) = streamed {
                (body, change) = (streamed, ContentChange::Replaced);
            }
        } else {
            self.effects = ResponseEffects::default();
            if let Some(original) = self.original {
                self.head = *original;
            }
        }
        self.effects.content = change;
        (http::Response::from_parts(self.head, body), self.effects)
    }

    pub(super) fn sealed_copy(&self) -> Self {
        Self {
            head: self.head.clone(),
            original: None,
            content: Content::default(),
            effects: ResponseEffects::default(),
            sealed: true,
        }
    }
}

impl Content {
    fn new(body: Body) -> Self {
        Self {
            given: Some(body),
            ..Self::default()
        }
    }

    /// The guest took a writer and did not close it.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.written && !self.finished
    }

    /// What the guest put in its place.
    pub(crate) fn replaced(&self) -> Option<&Bytes> {
        self.replaced.as_ref()
    }

    pub(crate) fn take_given(&mut self) -> Option<Body> {
        self.given.take()
    }

    fn settle(self, succeeded: bool) -> (Body, ContentChange) {
        match (self.replaced.filter(|_| succeeded), self.given) {
            (Some(content), _) => (Body::from(content), ContentChange::Replaced),
            (None, Some(body)) => (body, ContentChange::Untouched),
            (None, None) => (Body::Empty, ContentChange::Consumed),
        }
    }
}

/// Adds a name to a list that holds each name once.
pub(crate) fn note_field(names: &mut Vec<HeaderName>, name: &HeaderName) {
    if !names.contains(name) {
        names.push(name.clone());
    }
}
