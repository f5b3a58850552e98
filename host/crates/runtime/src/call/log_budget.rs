//! What one call may still log: its level, its bytes, and text that stays text.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::capabilities::{CallId, Capabilities, LogField, LogLevel, LogValue};

/// What a line and a field count against the limit beside their text: about what they take beside
/// it in the log, so that empty ones are not free.
const LINE_BYTES: usize = 64;
const FIELD_BYTES: usize = 16;
/// What a value that is no text counts.
const NUMBER_BYTES: usize = 8;

/// What one call may still log.
pub(crate) struct LogBudget {
    left: AtomicU64,
    dropped: AtomicU32,
}

impl LogBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            left: AtomicU64::new(bytes),
            dropped: AtomicU32::new(0),
        }
    }

    pub(crate) fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Logs a line, or counts it as dropped.
    pub(crate) fn write(
        &self,
        capabilities: &dyn Capabilities,
        id: &CallId,
        level: LogLevel,
        message: &str,
    ) {
        if level >= capabilities.log_threshold() && self.take(message.len()) {
            capabilities.log(id, level, &escape_controls(message));
        }
    }

    /// Logs a line with fields, or counts it as dropped.
    pub(crate) fn write_with(
        &self,
        capabilities: &dyn Capabilities,
        id: &CallId,
        level: LogLevel,
        message: &str,
        mut fields: Vec<LogField>,
    ) {
        if level < capabilities.log_threshold() {
            return;
        }
        let costs = fields.iter().map(|field| {
            let value = match &field.value {
                LogValue::Text(text) => text.len(),
                _ => NUMBER_BYTES,
            };
            field
                .name
                .len()
                .saturating_add(value)
                .saturating_add(FIELD_BYTES)
        });
        let cost = costs.fold(message.len(), usize::saturating_add);
        if !self.take(cost) {
            return;
        }
        for field in &mut fields {
            escape_in_place(&mut field.name);
            if let LogValue::Text(text) = &mut field.value {
                escape_in_place(text);
            }
        }
        capabilities.log_with(id, level, &escape_controls(message), &fields);
    }

    /// Takes a line with `bytes` of text of the limit, or counts it as dropped.
    fn take(&self, bytes: usize) -> bool {
        let cost = bytes.saturating_add(LINE_BYTES) as u64;
        match self.left.load(Ordering::Relaxed).checked_sub(cost) {
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                true
            }
        }
    }
}

fn escape_in_place(text: &mut String) {
    if let Cow::Owned(escaped) = escape_controls(text) {
        *text = escaped;
    }
}

/// A guest must not be able to forge lines or drive a terminal.
fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_cannot_forge_lines() {
        assert_eq!(escape_controls("a\nb\u{1b}[31m\tc"), "a\\nb\\u{1b}[31m\tc");
    }
}
