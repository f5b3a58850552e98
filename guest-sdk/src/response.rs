//! A response: the one that a trigger was given, or one that the function made.

use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::backend::imp::RawResponse;
use crate::body::{BodyError, BodyWriter};
use crate::fields::field_methods;
use crate::request::Refused;

/// A status that a function cannot answer with: it is not in 200..=599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a function cannot answer with status {0}")]
pub struct StatusRefused(pub StatusCode);

/// A response. It stays with the host: each method reads or changes only what it names.
///
/// A response trigger may also assign a new one, with content from [`set_body`](Self::set_body),
/// to the one that it was given.
///
/// ```
/// use verge_sdk::{Response, http::StatusCode};
///
/// let refusal = Response::new(StatusCode::FORBIDDEN)
///     .with_header("content-type", "text/plain")
///     .with_body("members only\n");
/// assert_eq!(refusal.status(), StatusCode::FORBIDDEN);
/// ```
pub struct Response {
    pub(crate) raw: RawResponse,
    /// The first thing that a `with_` method was refused; the trigger fails with it.
    refused: Option<String>,
}

impl Response {
    /// An empty response. A status outside 200..=599 makes the trigger fail.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        let mut response = Self::from_raw(RawResponse::new(status.as_u16()));
        if !(200..=599).contains(&status.as_u16()) {
            response.refuse(StatusRefused(status));
        }
        response
    }

    pub(crate) fn from_raw(raw: RawResponse) -> Self {
        let refused = None;
        Self { raw, refused }
    }

    /// Sets a field. A name or value that the node refuses makes the trigger fail.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Self {
        if let Err(error) = self.edit().set(name, value).apply() {
            self.refuse(error);
        }
        self
    }

    /// Sets the content. Content over the function's body limit makes the trigger fail.
    #[must_use]
    pub fn with_body(mut self, content: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.set_body(content) {
            self.refuse(error);
        }
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        // The host keeps it in 200..=599.
        StatusCode::from_u16(self.raw.status()).unwrap_or_default()
    }

    /// Changes the status.
    ///
    /// # Errors
    /// It is not in 200..=599.
    pub fn set_status(&mut self, status: StatusCode) -> Result<(), StatusRefused> {
        let set = self.raw.set_status(status.as_u16());
        set.then_some(()).ok_or(StatusRefused(status))
    }

    /// Gives the response, should it be stored, one more name by which it is purged: visible ASCII
    /// without spaces. Of use in `origin-response`: behind it nothing is stored.
    ///
    /// # Errors
    /// [`Refused::SurrogateKey`] when it is not valid, or there are too many.
    pub fn add_surrogate_key(&mut self, key: &str) -> Result<(), Refused> {
        let added = self.raw.add_surrogate_key(key);
        added
            .then_some(())
            .ok_or_else(|| Refused::SurrogateKey(key.into()))
    }

    field_methods!();

    /// Replaces the content by what is written, piece by piece. The trigger goes on running while
    /// the response is sent.
    ///
    /// ```
    /// # use verge_sdk::{BodyError, Response, http::StatusCode};
    /// /// Passes the content on in capital letters, without ever holding all of it.
    /// fn shout(response: &mut Response) -> Result<(), BodyError> {
    ///     let mut reader = response.body()?;
    ///     let mut writer = response.stream_body()?;
    ///     while let Some(piece) = reader.next_piece(16 * 1024)? {
    ///         writer.write_piece(piece.to_ascii_uppercase())?;
    ///     }
    ///     writer.finish()
    /// }
    /// # let mut response = Response::new(StatusCode::OK).with_body("hush");
    /// # shout(&mut response).unwrap();
    /// # assert_eq!(response.read_body(10).unwrap(), b"HUSH");
    /// ```
    ///
    /// # Errors
    /// The message cannot have content, or is streamed already.
    pub fn stream_body(&mut self) -> Result<BodyWriter, BodyError> {
        self.raw.stream_body().map(BodyWriter::from_raw)
    }

    fn refuse(&mut self, error: impl fmt::Display) {
        self.refused.get_or_insert_with(|| error.to_string());
    }

    /// What a `with_` method was refused, if one was.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The response for the host, unless something was refused.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_raw(self) -> Result<RawResponse, String> {
        match self.refused {
            None => Ok(self.raw),
            Some(refused) => Err(format!("response: {refused}")),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.raw.status())
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}
