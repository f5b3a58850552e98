//! Reading fields: the part that requests and responses have in common.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The host's bytes as a value. The host parsed them, so every value converts; bytes that RFC 9110
/// 5.5 forbids would count as absent.
pub(crate) fn value(bytes: Vec<u8>) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).ok()
}

pub(crate) fn map(fields: Vec<(String, Vec<u8>)>) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, bytes) in fields {
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name), value(bytes)) {
            map.append(name, value);
        }
    }
    map
}

/// The methods that read and edit fields, for a type with a `raw` message.
macro_rules! field_methods {
    () => {
        /// One field, its lines joined with `, ` (RFC 9110 5.3); `None` when there is none.
        /// Case of the name does not matter. One hostcall.
        #[must_use]
        pub fn header(&self, name: impl AsRef<str>) -> Option<http::HeaderValue> {
            self.raw.get(name.as_ref()).and_then(crate::fields::value)
        }

        /// Several fields in one hostcall, in the order of `names`.
        ///
        /// ```
        /// # let request = verge_sdk::testing::Request::get("/").header("accept", "a/b").build();
        /// let [accept, cookie] = request.headers_many(["accept", "cookie"]);
        /// assert_eq!(accept.unwrap(), "a/b");
        /// assert_eq!(cookie, None);
        /// ```
        #[must_use]
        pub fn headers_many<const N: usize>(
            &self,
            names: [impl AsRef<str>; N],
        ) -> [Option<http::HeaderValue>; N] {
            let names = names.each_ref().map(|name| name.as_ref());
            let mut values = self.raw.get_many(&names).into_iter();
            std::array::from_fn(|_| values.next().flatten().and_then(crate::fields::value))
        }

        /// Each line of one field, in order. One hostcall.
        #[must_use]
        pub fn header_lines(&self, name: impl AsRef<str>) -> Vec<http::HeaderValue> {
            let lines = self.raw.get_lines(name.as_ref());
            lines.into_iter().filter_map(crate::fields::value).collect()
        }

        /// All fields. Copies each of them into the function: prefer the methods above.
        #[must_use]
        pub fn headers(&self) -> http::HeaderMap {
            crate::fields::map(self.raw.fields())
        }

        /// Starts a batch of field edits, applied together by
        /// [`Edits::apply`](crate::Edits::apply).
        pub fn edit(&mut self) -> crate::Edits<'_> {
            crate::Edits::new(&self.raw)
        }

        /// Takes the content, to read it piece by piece. What is read and not written again
        /// with [`set_body`](Self::set_body) is gone. What the function itself wrote is not for
        /// reading again, except in a native test.
        ///
        /// # Errors
        /// It was taken before, or the message cannot have content.
        pub fn body(&mut self) -> Result<crate::BodyReader, crate::BodyError> {
            self.raw.body().map(crate::BodyReader::from_raw)
        }

        /// Takes the content and reads all of it, at most `limit` bytes.
        ///
        /// # Errors
        /// [`BodyError::TooLarge`](crate::BodyError::TooLarge) when there is more than `limit`,
        /// or what [`body`](Self::body) and reading return.
        pub fn read_body(&mut self, limit: usize) -> Result<Vec<u8>, crate::BodyError> {
            self.body()?.read_all(limit)
        }

        /// Replaces the content.
        ///
        /// # Errors
        /// It is larger than the function's body limit, or the message cannot have content.
        pub fn set_body(&mut self, content: impl AsRef<[u8]>) -> Result<(), crate::BodyError> {
            self.raw.set_body(content.as_ref())
        }
    };
}
pub(crate) use field_methods;
