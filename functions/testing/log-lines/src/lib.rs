//! Writes to the log, to stdout and to stderr. A number as the query asks for that many log lines;
//! `text=...` logs what follows, as it is.

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
    println!("a line on stdout");
    eprintln!("a line on stderr");
    for line in 0..query.parse().unwrap_or(1_u32) {
        log::info!("line {line} of the log");
    }
    log::warn!("the last line");
    Verdict::Next
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Host, Request};

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
}
