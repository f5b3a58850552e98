//! Requests of functions, by hostcalls.

use super::RawReader;
use super::bindings::imports::verge::edge::fetch;
use super::bindings::imports::verge::edge::types::{self, FieldParam};
use crate::body::BodyError;
use crate::fetch::{FetchError, Outgoing};

pub(crate) struct RawPending(fetch::Pending);

impl RawPending {
    pub(crate) fn wait(self) -> Result<RawFetched, FetchError> {
        match fetch::Pending::wait(self.0) {
            Ok(fetched) => Ok(RawFetched(fetched)),
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) struct RawFetched(fetch::Fetched);

impl RawFetched {
    pub(crate) fn status(&self) -> u16 {
        self.0.status()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.0.get(name)
    }

    pub(crate) fn get_many(&self, names: &[&str]) -> Vec<Option<Vec<u8>>> {
        self.0.get_many(names)
    }

    pub(crate) fn fields(&self) -> Vec<(String, Vec<u8>)> {
        let fields = self.0.fields().into_iter();
        fields.map(|field| (field.name, field.value)).collect()
    }

    pub(crate) fn body(&self) -> Result<RawReader, BodyError> {
        match self.0.body() {
            Ok(reader) => Ok(RawReader(reader)),
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) fn send(request: &Outgoing<'_>, content: &[u8]) -> Result<RawPending, FetchError> {
    let fields = lower(request);
    finish(fetch::send(described(request, &fields), content))
}

pub(crate) fn pass_on(
    request: &Outgoing<'_>,
    content: RawReader,
) -> Result<RawPending, FetchError> {
    let fields = lower(request);
    finish(fetch::pass_on(described(request, &fields), content.0))
}

fn lower<'a>(request: &Outgoing<'a>) -> Vec<FieldParam<'a>> {
    let fields = request.fields.iter();
    let lowered = fields.map(|(name, value)| types::FieldParam {
        name: name.as_str(),
        value: value.as_bytes(),
    });
    lowered.collect()
}

fn described<'a>(request: &Outgoing<'a>, fields: &'a [FieldParam<'a>]) -> fetch::Request<'a> {
    fetch::Request {
        method: request.method,
        uri: request.uri,
        fields,
        head_within_ms: request.head_within_ms,
    }
}

fn finish(sent: Result<fetch::Pending, fetch::FetchError>) -> Result<RawPending, FetchError> {
    match sent {
        Ok(pending) => Ok(RawPending(pending)),
        Err(error) => Err(error.into()),
    }
}

impl From<fetch::FetchError> for FetchError {
    fn from(error: fetch::FetchError) -> Self {
        match error {
            fetch::FetchError::Invalid => Self::Invalid,
            fetch::FetchError::Denied => Self::Denied,
            fetch::FetchError::TooMany => Self::TooMany,
            fetch::FetchError::TooManyAtOnce => Self::TooManyAtOnce,
            fetch::FetchError::TooDeep => Self::TooDeep,
            fetch::FetchError::TooLarge => Self::TooLarge,
            fetch::FetchError::TimedOut => Self::TimedOut,
            fetch::FetchError::Failed(word) => Self::Failed(word),
        }
    }
}
