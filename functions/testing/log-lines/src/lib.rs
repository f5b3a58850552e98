//! Writes to the log, to stdout and to stderr. A number as the query asks for that many log lines;
//! `text=...` logs what follows, as it is; `fields` logs fields at each level, and which levels
//! are written.

use verge_sdk::log::Level;
use verge_sdk::{Request, Verdict, log};

#[verge_sdk::viewer_request]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a guest prints must reach the node's log"
)]
fn write(request: &mut Request) -> Verdict {
    let query = request.query().unwrap_or_default();
    if let Some(text) = query.strip_prefix("text=") {
        log::info!("{text}");
        return Verdict::Next;
    }
    if query == "fields" {
        with_fields();
        return Verdict::Next;
    }
    println!("a line on stdout");
    eprintln!("a line on stderr");
    for line in 0..query.parse().unwrap_or(1_u32) {
        log::info!("line {line} of the log");
    }
    log::warn!("the last line");
    Verdict::Next
}

fn with_fields() {
    log::debug!(step = 1_u8; "a step");
    log::info!(user = "Ada\n", share = 0.5, old = false; "came");
    log::error!(status = -1; "went");
    let levels = [Level::Debug, Level::Info, Level::Error];
    let written: Vec<bool> = levels.into_iter().map(log::is_enabled).collect();
    log::error!("written: {written:?}");
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Host, Request};

    use super::Level;

    #[test]
    fn lines_are_logged_in_order() {
        let host = Host::new();
        let _ = super::write(&mut Request::get("/?2").build());
        let lines: Vec<String> = host.logged().into_iter().map(|line| line.message).collect();
        assert_eq!(
            lines,
            ["line 0 of the log", "line 1 of the log", "the last line"]
        );
    }

    #[test]
    fn lines_below_the_level_are_not_written() {
        let host = Host::new().log_level(Level::Info);
        let _ = super::write(&mut Request::get("/?fields").build());
        let lines = host.logged();
        let [came, _, written] = &lines[..] else {
            unreachable!("three lines: {lines:?}");
        };
        assert_eq!(came.field("user"), Some(&"Ada\n".into()));
        assert_eq!(came.field("share"), Some(&0.5.into()));
        assert_eq!(written.message, "written: [false, true, true]");
    }
}
