//! Origins of a test: answers that it prepared, and what they were asked.

use super::{Content, Fields, RawReader, with};
use crate::body::BodyError;
use crate::fetch::{FetchError, Outgoing};
use crate::testing::Fetched;

/// What a test's origin answers.
pub(crate) type Answer = Result<RawFetched, FetchError>;

/// How answers for a URI are made.
pub(crate) type Answers = Box<dyn Fn(&Fetched) -> Answer>;

#[derive(Default)]
pub(crate) struct Origins {
    /// URIs, or their beginnings with a `*` at the end, and their answers.
    pub(crate) answers: Vec<(String, Answers)>,
    pub(crate) asked: Vec<Fetched>,
}

impl Origins {
    /// The last one that fits: a test can replace what its set-up prepared.
    fn answer(&self, asked: &Fetched) -> Answer {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(begin) => asked.uri.starts_with(begin),
            None => asked.uri == pattern,
        };
        let mut fitting = self.answers.iter().rev().filter(|(uri, _)| fits(uri));
        fitting
            .next()
            .map_or(Err(FetchError::Denied), |(_, answer)| answer(asked))
    }
}

pub(crate) struct RawPending(Answer);

impl RawPending {
    pub(crate) fn wait(self) -> Answer {
        self.0
    }
}

pub(crate) struct RawFetched {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) content: Content,
}

impl RawFetched {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.fields.joined(name)
    }

    pub(crate) fn get_many(&self, names: &[&str]) -> Vec<Option<Vec<u8>>> {
        names.iter().map(|name| self.get(name)).collect()
    }

    pub(crate) fn fields(&self) -> Vec<(String, Vec<u8>)> {
        let lines = self.fields.0.iter();
        let lines = lines.map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec()));
        lines.collect()
    }

    pub(crate) fn body(&self) -> Result<RawReader, BodyError> {
        self.content.take()
    }
}

pub(crate) fn send(request: &Outgoing<'_>, content: &[u8]) -> Result<RawPending, FetchError> {
    let asked = Fetched {
        method: request.method.to_owned(),
        uri: request.uri.to_owned(),
        fields: request.fields.clone(),
        content: content.to_vec(),
    };
    let answer = with(|state| {
        state.fetch.asked.push(asked.clone());
        state.fetch.answer(&asked)
    });
    Ok(RawPending(answer))
}

pub(crate) fn pass_on(
    request: &Outgoing<'_>,
    content: RawReader,
) -> Result<RawPending, FetchError> {
    let mut all = Vec::new();
    loop {
        match content.read(u32::MAX) {
            Ok(Some(piece)) => all.extend(piece),
            Ok(None) => return send(request, &all),
            Err(_) => return Ok(RawPending(Err(FetchError::Failed("incomplete".into())))),
        }
    }
}
