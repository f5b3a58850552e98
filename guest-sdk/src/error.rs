//! The error of a trigger function: a text for the node's log.

use std::error::Error as StdError;
use std::fmt;

/// Why a trigger function failed. Any error becomes one with `?`, its causes included.
///
/// It is a failure of the *function*: the operator's `on_failure` decides whether the client gets
/// 500 or the function is skipped, and the text goes to the node's log, never to the client. To
/// refuse a request, return [`Verdict::Respond`](crate::Verdict::Respond) instead.
///
/// ```
/// fn limit() -> Result<u32, verge_sdk::Error> {
///     let text = "12 apples";
///     Ok(text.parse()?)
/// }
/// assert_eq!(limit().unwrap_err().to_string(), "invalid digit found in string");
/// ```
pub struct Error(String);

impl Error {
    /// An error with this text.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?})", self.0)
    }
}

// `Error` itself is not a `std::error::Error`: that is what lets every other error convert.
impl<E: StdError> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self(message)
    }
}
