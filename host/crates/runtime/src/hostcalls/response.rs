//! `verge:edge/types.response`: the one that was given, or made by the guest.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use verge_http::Body;
use verge_http::surrogate::{SURROGATE_KEY, SURROGATE_KEYS_MAX};
use wasmtime::component::Resource;

use super::fields;
use super::request::surrogate_key;
use crate::bindings::verge::edge::types::{BodyError, Edit, EditError, Field, HostResponse};
use crate::handles::{ReaderHandle, ResponseHandle, WriterHandle};
use crate::state::{CallState, MessageRef, ResponseState, Writer, note_field};

type Handle = Resource<ResponseHandle>;

impl HostResponse for CallState {
    fn new(&mut self, status: u16) -> wasmtime::Result<Handle> {
        self.hostcall()?;
        let mut response = Response::new(Body::Empty);
        if let Ok(status) = StatusCode::from_u16(status.clamp(200, 599)) {
            *response.status_mut() = status;
        }
        let number = self.responses.add_new(ResponseState::new(response))?;
        Ok(Resource::new_own(number))
    }

    fn status(&mut self, response: Handle) -> wasmtime::Result<u16> {
        Ok(self.response_call(response.rep())?.head.status.as_u16())
    }

    fn set_status(&mut self, response: Handle, status: u16) -> wasmtime::Result<bool> {
        let response = self.response_call(response.rep())?;
        let status = match StatusCode::from_u16(status) {
            Ok(status) if (200..=599).contains(&status.as_u16()) => status,
            _ => return Ok(false),
        };
        if response.sealed {
            return Ok(false);
        }
        if response.head.status != status {
            response.keep_original();
            response.head.status = status;
            response.effects.status = true;
        }
        Ok(true)
    }

    fn get(&mut self, response: Handle, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let response = self.response_call(response.rep())?;
        Ok(fields::joined(&response.head.headers, &name))
    }

    fn get_many(
        &mut self,
        response: Handle,
        names: Vec<String>,
    ) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
        let response = self.response_call(response.rep())?;
        fields::joined_many(&response.head.headers, &names)
    }

    fn get_lines(&mut self, response: Handle, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let response = self.response_call(response.rep())?;
        Ok(fields::lines(&response.head.headers, &name))
    }

    fn fields(&mut self, response: Handle) -> wasmtime::Result<Vec<Field>> {
        let response = self.response_call(response.rep())?;
        Ok(fields::all(&response.head.headers))
    }

    fn apply(
        &mut self,
        response: Handle,
        edits: Vec<Edit>,
    ) -> wasmtime::Result<Result<(), EditError>> {
        let limits = *self.limits();
        let response = self.response_call(response.rep())?;
        if response.sealed {
            return Ok(Err(EditError::Forbidden));
        }
        Ok(fields::check(edits).and_then(|changes| {
            response.keep_original();
            let touched = &mut response.effects.fields;
            fields::apply(&mut response.head.headers, changes, &limits, touched)
        }))
    }

    fn add_surrogate_key(&mut self, response: Handle, key: String) -> wasmtime::Result<bool> {
        let response = self.response_call(response.rep())?;
        let value = surrogate_key(&key).and_then(|key| HeaderValue::from_str(key.as_str()).ok());
        let lines = response.head.headers.get_all(&SURROGATE_KEY).iter().count();
        match value {
            Some(value) if !response.sealed && lines < SURROGATE_KEYS_MAX => {
                response.keep_original();
                response.head.headers.append(SURROGATE_KEY.clone(), value);
                note_field(&mut response.effects.fields, &SURROGATE_KEY);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn body(
        &mut self,
        response: Handle,
    ) -> wasmtime::Result<Result<Resource<ReaderHandle>, BodyError>> {
        self.hostcall()?;
        self.open_reader(MessageRef::Response(response.rep()))
    }

    fn set_body(
        &mut self,
        response: Handle,
        content: Vec<u8>,
    ) -> wasmtime::Result<Result<(), BodyError>> {
        let limit = self.limits().body;
        let response = self.response_call(response.rep())?;
        Ok(if response.sealed || !response.may_have_content() {
            Err(BodyError::Forbidden)
        } else if content.len() as u64 > limit {
            Err(BodyError::TooLarge)
        } else {
            response.set_content(Bytes::from(content));
            Ok(())
        })
    }

    fn stream_body(
        &mut self,
        response: Handle,
    ) -> wasmtime::Result<Result<Resource<WriterHandle>, BodyError>> {
        let number = response.rep();
        let response = self.response_call(number)?;
        if response.sealed || !response.may_have_content() {
            return Ok(Err(BodyError::Forbidden));
        }
        if response.content.written {
            return Ok(Err(BodyError::Taken));
        }
        response.begin_writing();
        let writer = self.writers.add(Writer {
            response: number,
            written: 0,
        })?;
        Ok(Ok(Resource::new_own(writer)))
    }

    fn drop(&mut self, response: Handle) -> wasmtime::Result<()> {
        if response.owned() {
            self.responses.remove(response.rep());
        }
        Ok(())
    }
}
