//! Between an exported trigger and the function that a developer wrote: lends the host's handles
//! and turns what the function returned into the contract's result.

use super::bindings;
use super::types::{BodyError, Edit, EditError, FieldParam};
use super::{RawRequest, RawResponse, RequestHandle, ResponseHandle};
use crate::verdict::Verdict;
use crate::{Request, Response};

macro_rules! request_trigger {
    ($name:ident) => {
        /// Runs one request trigger.
        ///
        /// # Errors
        /// The function's own error, or a field of its response that was refused.
        pub fn $name(
            handle: &RequestHandle,
            function: fn(&mut Request) -> Result<Verdict, String>,
        ) -> Result<bindings::$name::Verdict, String> {
            let mut request = Request::from_raw(RawRequest::lent(handle));
            match function(&mut request)? {
                Verdict::Next => Ok(bindings::$name::Verdict::Next),
                Verdict::Respond(response) => match response.into_raw()? {
                    RawResponse::Own(own, _) => Ok(bindings::$name::Verdict::Respond(own)),
                    RawResponse::Lent(_) => Err("the response is not this function's".into()),
                },
            }
        }
    };
}

macro_rules! response_trigger {
    ($name:ident) => {
        /// Runs one response trigger.
        ///
        /// # Errors
        /// The function's own error, or a field of the response that was refused.
        pub fn $name(
            request: &RequestHandle,
            response: &ResponseHandle,
            function: fn(&Request, &mut Response) -> Result<(), String>,
        ) -> Result<(), String> {
            let request = Request::from_raw(RawRequest::lent(request));
            let mut given = Response::from_raw(RawResponse::lent(response));
            function(&request, &mut given)?;
            match given.into_raw()? {
                RawResponse::Lent(_) => Ok(()),
                // The function assigned a response of its own to the one that it was given.
                RawResponse::Own(own, content) => replace(response, &own, &content.into_inner()),
            }
        }
    };
}

request_trigger!(viewer_request);
request_trigger!(origin_request);
response_trigger!(origin_response);
response_trigger!(viewer_response);

/// Runs the trigger after the response.
///
/// # Errors
/// The function's own error.
pub fn deferred(payload: &[u8], function: fn(&[u8]) -> Result<(), String>) -> Result<(), String> {
    function(payload)
}

/// Makes `lent` what `own` is. Fields that are the node's stay: it knows what to do with them.
fn replace(lent: &ResponseHandle, own: &ResponseHandle, content: &[u8]) -> Result<(), String> {
    for field in lent.fields() {
        match lent.apply(&[Edit::Remove(&field.name)]) {
            Ok(()) | Err(EditError::Forbidden) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let fields = own.fields();
    let edits = fields.iter().map(|field| {
        let (name, value) = (&field.name, &field.value);
        Edit::Append(FieldParam { name, value })
    });
    let edits: Vec<Edit<'_>> = edits.collect();
    lent.apply(&edits).map_err(|error| error.to_string())?;
    lent.set_status(own.status());
    match lent.set_body(content) {
        // To a HEAD request, or with 204 and the like, there is no content to replace.
        Err(BodyError::Forbidden) if content.is_empty() => Ok(()),
        result => result.map_err(|error| error.to_string()),
    }
}
