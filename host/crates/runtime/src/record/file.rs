//! A recording's file: reading one that anybody may have made, and leaving out what must not be in it.

use std::time::Duration;

use serde::Deserialize;

use super::redact::Redactor;
use super::{RECORDING_FORMAT, Recording, words};

/// Why a file cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It is no recording.
    #[error(
        "it is no recording of a call: {0}; expected the JSON that a node with \
         `[function.NAME.record]` writes"
    )]
    Foreign(String),
    /// It is one of another version.
    #[error(
        "it has the format {0}, and this Verge reads {RECORDING_FORMAT}; expected the Verge that \
         wrote it"
    )]
    Version(u32),
    /// Something of it is not as it was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// What a configuration may allow a call at most: a file that anybody may have made must not run
/// longer, nor fill the memory.
const CPU_MAX: Duration = Duration::from_secs(60);
const DEADLINE_MAX: Duration = Duration::from_secs(600);
const LOG_MAX: u64 = 16 << 20;

/// What every version has.
#[derive(Deserialize)]
struct Marked {
    verge_recording: u32,
}

impl Recording {
    /// Reads what a file has.
    ///
    /// # Errors
    /// It is no recording, or none that this version can replay.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordingError> {
        let marked: Marked = serde_json::from_slice(bytes)
            .map_err(|error| RecordingError::Foreign(error.to_string()))?;
        if marked.verge_recording != RECORDING_FORMAT {
            return Err(RecordingError::Version(marked.verge_recording));
        }
        let recording: Self = serde_json::from_slice(bytes)
            .map_err(|error| RecordingError::Damaged(error.to_string()))?;
        let damaged = |what: &str, is: &str| {
            Err(RecordingError::Damaged(format!(
                "`{is}` is no {what} of this Verge"
            )))
        };
        if words::trigger(&recording.trigger).is_none() {
            return damaged("trigger", &recording.trigger);
        }
        if words::outcome(&recording.outcome.outcome).is_none() {
            return damaged("outcome", &recording.outcome.outcome);
        }
        let limits = &recording.limits;
        if limits.cpu > CPU_MAX || limits.deadline > DEADLINE_MAX || limits.log_bytes > LOG_MAX {
            return Err(RecordingError::Damaged(
                "its limits are above those that a function can have".to_owned(),
            ));
        }
        if crate::Digest::parse(&recording.digest).is_none() {
            return damaged("digest", &recording.digest);
        }
        Ok(recording)
    }

    /// What its file has.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Maps have names for keys and numbers are finite: it cannot fail.
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Leaves out what must not be on disk.
    pub(super) fn redact(&mut self, redactor: &mut Redactor) {
        for message in self.input.messages() {
            redactor.learn(&message.fields);
        }
        for call in &self.calls {
            for told in [Some(&call.ask), call.answer.as_ref()]
                .into_iter()
                .flatten()
            {
                let fields = told.get("fields").cloned().unwrap_or_default();
                redactor.learn(&serde_json::from_value::<Vec<_>>(fields).unwrap_or_default());
            }
        }
        self.input.redact(redactor);
        for content in &mut self.contents {
            redactor.mask(&mut content.pieces);
            redactor.field_list(&mut content.trailers);
        }
        for call in &mut self.calls {
            redactor.value(&mut call.ask);
            if let Some(answer) = &mut call.answer {
                redactor.value(answer);
            }
        }
        let outcome = &mut self.outcome;
        redactor.value(&mut outcome.message);
        redactor.blob(&mut outcome.content);
        if let Some(detail) = &mut outcome.detail {
            redactor.text(detail);
        }
        self.redacted = redactor.left_out.iter().cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_recording_is_refused_with_the_reason() {
        for (text, expected) in [
            ("", "it is no recording of a call"),
            ("{}", "missing field `verge_recording`"),
            ("[1]", "it is damaged"),
            ("\u{0}\u{1}", "it is no recording of a call"),
            ("{\"verge_recording\": 2}", "it has the format 2"),
            ("{\"verge_recording\": 1}", "it is damaged: missing field"),
        ] {
            let error = Recording::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
