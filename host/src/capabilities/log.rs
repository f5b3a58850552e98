//! What a function says, in the node's log.

use verge_runtime::capabilities::{CallId, LogLevel};

/// One line.
pub(super) fn write(call: &CallId, level: LogLevel, message: &str) {
    let (function, request) = (&*call.function, &*call.request);
    match level {
        LogLevel::Trace => tracing::trace!(target: "function", function, request, "{message}"),
        LogLevel::Debug => tracing::debug!(target: "function", function, request, "{message}"),
        LogLevel::Info => tracing::info!(target: "function", function, request, "{message}"),
        LogLevel::Warn => tracing::warn!(target: "function", function, request, "{message}"),
        LogLevel::Error => tracing::error!(target: "function", function, request, "{message}"),
    }
}
