//! `verge:edge/types.request`, and the context that travels with it.

use std::str::FromStr as _;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, Method, Version};
use verge_http::surrogate::SurrogateKey;
use wasmtime::component::Resource;

use super::fields;
use crate::bindings::verge::edge::context;
use crate::bindings::verge::edge::types::{
    BodyError, Client, Edit, EditError, Field, HostRequest, Target, TargetError,
};
use crate::handles::{ReaderHandle, RequestHandle};
use crate::outcome::Trigger;
use crate::state::{CallState, MessageRef, RequestHead, note_field};

/// Parts that a request's functions may add to the cache key, and bytes of them.
const KEY_PARTS: usize = 16;
const KEY_PART_BYTES: usize = 4096;
/// Fields that may be declared unkeyed.
const UNKEYED_FIELDS: usize = 32;
/// Fields that an origin trigger may look at one by one; more count as all of them.
const SEEN_FIELDS: usize = 64;
/// The longest path and query that a function may set.
const TARGET_BYTES: usize = 8 << 10;

impl CallState {
    /// Whether this trigger may change the request at all.
    fn may_edit_request(&self) -> bool {
        let sealed = self.request.as_ref().is_none_or(|request| request.sealed);
        match self.trigger {
            Trigger::ViewerRequest | Trigger::OriginRequest => !sealed,
            Trigger::OriginResponse
            | Trigger::ViewerResponse
            | Trigger::Handler
            | Trigger::ViewerMiddleware
            | Trigger::OriginMiddleware
            | Trigger::Deferred => false,
        }
    }

    /// Notes that an origin trigger looks at the fields of these names.
    pub(super) fn note_seen<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        match self.shared.tape.clone() {
            None => self.note_seen_of_origin(names),
            Some(tape) => {
                let names: Vec<N> = names.into_iter().collect();
                tape.roll.note_read(&names);
                self.note_seen_of_origin(names);
            }
        }
    }

    fn note_seen_of_origin<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        let of_origin = self.trigger.is_of_origin();
        let Some(request) = self.request.as_mut().filter(|_| of_origin) else {
            return;
        };
        for name in names {
            if request.seen.everything {
                return;
            }
            if let Ok(name) = HeaderName::from_bytes(name.as_ref().as_bytes()) {
                note_field(&mut request.seen.fields, &name);
            }
            // The list stays short; what is sealed shows nothing that is not on it anyway.
            if request.seen.fields.len() > SEEN_FIELDS {
                request.seen.everything = !request.sealed;
                request.seen.fields.truncate(SEEN_FIELDS);
            }
        }
    }

    /// Notes that an origin trigger looks at all of the request.
    fn note_seen_all(&mut self) -> wasmtime::Result<()> {
        let of_origin = self.trigger.is_of_origin();
        if let Some(request) = self.request.as_mut().filter(|_| of_origin) {
            if request.sealed && !request.seen.everything {
                return Err(wasmtime::format_err!(
                    "it asked for all fields or for the client after its response had begun: \
                     ask before the first write"
                ));
            }
            request.seen.everything = true;
        }
        Ok(())
    }

    /// Whether this trigger may say what the cache key is made of.
    fn may_edit_key(&self) -> bool {
        self.trigger == Trigger::ViewerRequest && self.may_edit_request()
    }
}

type Handle = Resource<RequestHandle>;

impl HostRequest for CallState {
    fn target(&mut self, _: Handle) -> wasmtime::Result<Target> {
        let head = &self.request_call()?.head;
        Ok(Target {
            method: head.method.as_str().to_owned(),
            scheme: head.scheme.as_str().to_owned(),
            authority: head.authority.as_str().to_owned(),
            path_and_query: head.path_and_query.as_str().to_owned(),
        })
    }

    fn set_target(
        &mut self,
        _: Handle,
        target: Target,
    ) -> wasmtime::Result<Result<(), TargetError>> {
        self.hostcall()?;
        if !self.may_edit_request() {
            return Ok(Err(TargetError::Forbidden));
        }
        let target = match CheckedTarget::new(&target) {
            Ok(target) => target,
            Err(error) => return Ok(Err(error)),
        };
        let trigger = self.trigger;
        let scope = std::sync::Arc::clone(&self.scope);
        let Some(request) = self.request.as_mut() else {
            return Ok(Err(TargetError::Forbidden));
        };
        let head = &request.head;
        let readdressed = target.scheme != head.scheme || target.authority != head.authority;
        let allowed = trigger == Trigger::ViewerRequest
            && (target.authority == head.authority || scope.allows_authority(&target.authority));
        if readdressed && !allowed {
            return Ok(Err(TargetError::Forbidden));
        }
        // What is stored under a method must have been asked for with it.
        if trigger == Trigger::OriginRequest && target.method != head.method {
            return Ok(Err(TargetError::Forbidden));
        }
        let unchanged = !readdressed
            && target.method == head.method
            && target.path_and_query == head.path_and_query;
        if !unchanged {
            request.keep_original();
            request.effects.target = true;
            target.write_to(&mut request.head);
        }
        Ok(Ok(()))
    }

    fn client(&mut self, _: Handle) -> wasmtime::Result<Client> {
        self.note_seen_all()?;
        let client = &self.request_call()?.client;
        let protocol = match client.protocol {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_3 => "HTTP/3",
            _ => "HTTP/1.1",
        };
        Ok(Client {
            address: client.address.to_string(),
            port: client.port,
            protocol: protocol.to_owned(),
            tls: client.tls.map(ToOwned::to_owned),
        })
    }

    fn id(&mut self, _: Handle) -> wasmtime::Result<String> {
        Ok(self.request_call()?.id.as_ref().to_owned())
    }

    fn get(&mut self, _: Handle, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.note_seen([&name]);
        Ok(fields::joined(&self.request_call()?.head.fields, &name))
    }

    fn get_many(
        &mut self,
        _: Handle,
        names: Vec<String>,
    ) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
        self.note_seen(&names);
        fields::joined_many(&self.request_call()?.head.fields, &names)
    }

    fn get_lines(&mut self, _: Handle, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        self.note_seen([&name]);
        Ok(fields::lines(&self.request_call()?.head.fields, &name))
    }

    fn fields(&mut self, _: Handle) -> wasmtime::Result<Vec<Field>> {
        self.note_seen_all()?;
        if let Some(tape) = &self.shared.tape {
            tape.roll.note_read_all();
        }
        Ok(fields::all(&self.request_call()?.head.fields))
    }

    fn apply(&mut self, _: Handle, edits: Vec<Edit>) -> wasmtime::Result<Result<(), EditError>> {
        let limits = *self.limits();
        let may_edit = self.may_edit_request();
        let request = self.request_call()?;
        if !may_edit {
            return Ok(Err(EditError::Forbidden));
        }
        Ok(fields::check(edits).and_then(|changes| {
            request.keep_original();
            let touched = &mut request.effects.fields;
            fields::apply(&mut request.head.fields, changes, &limits, touched)
        }))
    }

    fn body(&mut self, _: Handle) -> wasmtime::Result<Result<Resource<ReaderHandle>, BodyError>> {
        self.hostcall()?;
        self.open_reader(MessageRef::Request)
    }

    fn set_body(&mut self, _: Handle, content: Vec<u8>) -> wasmtime::Result<Result<(), BodyError>> {
        let limit = self.limits().body;
        let may_edit = self.may_edit_request();
        let request = self.request_call()?;
        Ok(if !may_edit {
            Err(BodyError::Forbidden)
        } else if content.len() as u64 > limit {
            Err(BodyError::TooLarge)
        } else {
            request.set_content(Bytes::from(content));
            Ok(())
        })
    }

    fn set_origin(&mut self, _: Handle, name: String) -> wasmtime::Result<bool> {
        self.hostcall()?;
        if !self.may_edit_request() || !self.scope.allows_origin(&self.call_id(), &name) {
            return Ok(false);
        }
        if let Some(request) = self.request.as_mut() {
            request.effects.origin = Some(name);
        }
        Ok(true)
    }

    fn add_key_part(&mut self, _: Handle, name: String, value: String) -> wasmtime::Result<bool> {
        let may_edit = self.may_edit_key();
        let parts = &mut self.request_call()?.effects.key_parts;
        let bytes = parts
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            .saturating_add(name.len())
            .saturating_add(value.len());
        if !may_edit || parts.len() >= KEY_PARTS || bytes > KEY_PART_BYTES {
            return Ok(false);
        }
        parts.push((name, value));
        Ok(true)
    }

    fn add_surrogate_key(&mut self, _: Handle, key: String) -> wasmtime::Result<bool> {
        let may_edit = self.may_edit_key();
        let keys = &mut self.request_call()?.effects.surrogate_keys;
        let Some(key) = surrogate_key(&key).filter(|_| may_edit && keys.len() < KEY_PARTS) else {
            return Ok(false);
        };
        keys.push(key);
        Ok(true)
    }

    fn declare_unkeyed(&mut self, _: Handle, name: String) -> wasmtime::Result<bool> {
        let may_edit = self.may_edit_key();
        let unkeyed = &mut self.request_call()?.effects.unkeyed;
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Ok(false);
        };
        if !may_edit || (unkeyed.len() >= UNKEYED_FIELDS && !unkeyed.contains(&name)) {
            return Ok(false);
        }
        note_field(unkeyed, &name);
        Ok(true)
    }

    fn drop(&mut self, _: Handle) -> wasmtime::Result<()> {
        // The request stays with the host; guests only borrow it.
        Ok(())
    }
}

/// One name of Surrogate-Key, which separates them by spaces.
pub(super) fn surrogate_key(text: &str) -> Option<SurrogateKey> {
    SurrogateKey::new(text).filter(|key| !key.as_str().contains(' '))
}

/// A target that is well-formed (RFC 9110 7.1, RFC 9112 3.2.1).
struct CheckedTarget {
    method: Method,
    scheme: Scheme,
    authority: Authority,
    path_and_query: PathAndQuery,
}

/// Whether a client could have sent it: `http` takes more than that.
fn is_strict(authority: &Authority, scheme: &Scheme) -> bool {
    let scheme = if *scheme == Scheme::HTTPS {
        verge_http::Scheme::Https
    } else {
        verge_http::Scheme::Http
    };
    verge_http::Authority::parse(authority.as_str().as_bytes(), scheme).is_ok()
}

impl CheckedTarget {
    fn new(target: &Target) -> Result<Self, TargetError> {
        let method = Method::from_bytes(target.method.as_bytes())
            .ok()
            // A tunnel is not a request for a resource, and a trace tells whoever asks what it
            // should not see (RFC 9110 9.3.6, 9.3.8): neither comes from clients.
            .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
            .ok_or(TargetError::MethodInvalid)?;
        let scheme = match target.scheme.as_str() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return Err(TargetError::Forbidden),
        };
        let authority = Authority::from_str(&target.authority.to_ascii_lowercase())
            .ok()
            // RFC 9110 4.2.4: userinfo is not accepted.
            .filter(|authority| !authority.as_str().contains('@'))
            .filter(|authority| is_strict(authority, &scheme))
            .ok_or(TargetError::AuthorityInvalid)?;
        let path = &target.path_and_query;
        // Everything visible but a fragment: what `http` accepts beyond RFC 3986 is not let in.
        let well_formed = path.len() <= TARGET_BYTES
            && path.starts_with('/')
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"#<>\"\\^`{|}".contains(&byte));
        if !well_formed {
            return Err(TargetError::PathInvalid);
        }
        let path_and_query = PathAndQuery::from_str(path).ok();
        let path_and_query = path_and_query
            .and_then(|target| verge_http::path::normal(&target))
            .ok_or(TargetError::PathInvalid)?;
        Ok(Self {
            method,
            scheme,
            authority,
            path_and_query,
        })
    }

    fn write_to(self, head: &mut RequestHead) {
        head.method = self.method;
        head.scheme = self.scheme;
        head.authority = self.authority;
        head.path_and_query = self.path_and_query;
    }
}

impl context::Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let request = self.request_call()?;
        Ok(request.context.value(&name).map(|value| value.to_vec()))
    }

    fn set(&mut self, name: String, value: Vec<u8>) -> wasmtime::Result<bool> {
        let request = self.request_call()?;
        Ok(request.set_context(&name, Bytes::from(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, scheme: &str, authority: &str, path_and_query: &str) -> Target {
        Target {
            method: method.into(),
            scheme: scheme.into(),
            authority: authority.into(),
            path_and_query: path_and_query.into(),
        }
    }

    #[test]
    fn targets_are_checked() {
        let cases = [
            (target("GET", "https", "A.example:8443", "/a?b=c"), None),
            (target("PURGE", "http", "a.example", "/"), None),
            (
                target("G ET", "http", "a.example", "/"),
                Some(TargetError::MethodInvalid),
            ),
            (
                target("", "http", "a.example", "/"),
                Some(TargetError::MethodInvalid),
            ),
            (
                target("CONNECT", "http", "a.example", "/"),
                Some(TargetError::MethodInvalid),
            ),
            (
                target("GET", "ftp", "a.example", "/"),
                Some(TargetError::Forbidden),
            ),
            (
                target("GET", "http", "u@a.example", "/"),
                Some(TargetError::AuthorityInvalid),
            ),
            (
                target("GET", "http", "", "/"),
                Some(TargetError::AuthorityInvalid),
            ),
            (
                target("GET", "http", "a b", "/"),
                Some(TargetError::AuthorityInvalid),
            ),
            (
                target("GET", "http", "a.example", ""),
                Some(TargetError::PathInvalid),
            ),
            (
                target("GET", "http", "a.example", "*"),
                Some(TargetError::PathInvalid),
            ),
            (
                target("GET", "http", "a.example", "/a b"),
                Some(TargetError::PathInvalid),
            ),
            (
                target("GET", "http", "a.example", "/a#b"),
                Some(TargetError::PathInvalid),
            ),
            (
                target("GET", "http", "a.example", "/\r\n"),
                Some(TargetError::PathInvalid),
            ),
            (
                target("GET", "http", "a.example", "/\u{e9}"),
                Some(TargetError::PathInvalid),
            ),
        ];
        for (target, error) in cases {
            assert_eq!(CheckedTarget::new(&target).err(), error, "{target:?}");
        }
    }
}
