//! What a request trigger decides, and the shapes in which trigger functions may return.

use std::fmt::Display;

use crate::Response;

/// What becomes of a request after `viewer-request` or `origin-request`.
#[derive(Debug)]
#[must_use = "a verdict takes effect only when the trigger returns it"]
pub enum Verdict {
    /// Go on with the request as it is now.
    Next,
    /// Answer at once. In `origin-request` this stands in for the origin's response, and may be
    /// stored like one.
    Respond(Response),
}

impl From<Response> for Verdict {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

/// The return types of a request trigger.
#[diagnostic::on_unimplemented(
    message = "a request trigger cannot return `{Self}`",
    label = "must be `Verdict`, or `Result<Verdict, E>` where `E: Display`"
)]
pub trait IntoVerdict {
    /// The verdict, or the failure's text.
    #[doc(hidden)]
    fn into_verdict(self) -> Result<Verdict, String>;
}

impl IntoVerdict for Verdict {
    fn into_verdict(self) -> Result<Verdict, String> {
        Ok(self)
    }
}

impl<E: Display> IntoVerdict for Result<Verdict, E> {
    fn into_verdict(self) -> Result<Verdict, String> {
        self.map_err(|error| error.to_string())
    }
}

/// The return types of a response trigger.
#[diagnostic::on_unimplemented(
    message = "a response trigger cannot return `{Self}`",
    label = "must be nothing, or `Result<(), E>` where `E: Display`"
)]
pub trait IntoDone {
    /// Nothing, or the failure's text.
    #[doc(hidden)]
    fn into_done(self) -> Result<(), String>;
}

impl IntoDone for () {
    fn into_done(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> IntoDone for Result<(), E> {
    fn into_done(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}
