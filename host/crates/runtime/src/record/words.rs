//! Failures as words, and back.

use verge_http::Failure;
use verge_http::failure::{ClientFault, FunctionFault, NodeFault, OriginFault};

use crate::capabilities::FetchError;
use crate::outcome::{Outcome, Trigger};

/// The word of a failure that there is none of ours for.
pub(super) const INTERNAL: Failure = Failure::Node(NodeFault::Internal);

/// The failure of a word; guests are told no more than the word.
pub(super) fn failure(word: &str) -> Failure {
    let mut all = Vec::new();
    all.extend(ClientFault::ALL.map(Failure::Client));
    all.extend(OriginFault::ALL.map(Failure::sent));
    all.extend(OriginFault::ALL.map(Failure::Unvalidated));
    all.extend(FunctionFault::ALL.map(Failure::Function));
    all.extend(NodeFault::ALL.map(Failure::Node));
    let found = all.into_iter().find(|failure| failure.label() == word);
    found.unwrap_or(INTERNAL)
}

const REFUSALS: [(&str, FetchError); 7] = [
    ("denied", FetchError::Denied),
    ("too-many", FetchError::TooMany),
    ("too-many-at-once", FetchError::TooManyAtOnce),
    ("too-deep", FetchError::TooDeep),
    ("too-large", FetchError::TooLarge),
    ("timed-out", FetchError::TimedOut),
    ("invalid", FetchError::Invalid),
];

/// The word for what became of a fetch.
pub(super) fn of_fetch_error(error: FetchError) -> String {
    let refusal = REFUSALS.iter().find(|(_, known)| *known == error);
    match (refusal, error) {
        (Some((word, _)), _) => (*word).to_owned(),
        (None, FetchError::Failed(failure)) => format!("failed {}", failure.label()),
        (None, other) => other.to_string(),
    }
}

/// What a word of [`of_fetch_error`] stands for.
pub(super) fn fetch_error(word: &str) -> FetchError {
    let refusal = REFUSALS.iter().find(|(known, _)| *known == word);
    match (refusal, word.strip_prefix("failed ")) {
        (Some((_, error)), _) => *error,
        (None, Some(word)) => FetchError::Failed(failure(word)),
        (None, None) => FetchError::Failed(INTERNAL),
    }
}

/// The trigger of a word.
pub(super) fn trigger(word: &str) -> Option<Trigger> {
    Trigger::ALL.into_iter().find(|known| known.label() == word)
}

/// The outcome of a word.
pub(super) fn outcome(word: &str) -> Option<Outcome> {
    let good = [Outcome::Responded, Outcome::Continued, Outcome::Abandoned];
    let failed = FunctionFault::ALL.map(Outcome::from);
    let mut all = good.into_iter().chain(failed);
    all.find(|known| known.label() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_fetches_come_back_as_what_they_stand_for() {
        let failed = OriginFault::ALL.map(|fault| FetchError::Failed(Failure::sent(fault)));
        let refused = REFUSALS.map(|(_, error)| error);
        for error in refused.into_iter().chain(failed) {
            assert_eq!(fetch_error(&of_fetch_error(error)), error);
        }
        assert_eq!(fetch_error("nonsense"), FetchError::Failed(INTERNAL));
    }
}
