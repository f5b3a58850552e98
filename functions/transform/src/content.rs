//! Content that is substituted as it streams: in which responses, and how. Memory is bounded by
//! one piece, and by what may still become a match.

use verge_sdk::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use verge_sdk::http::{HeaderValue, Method, StatusCode};
use verge_sdk::{Error, Request, Response, config};

use crate::html::Html;
use crate::replace::{Replacer, Rules};

/// Bytes that are asked for at once.
const PIECE: u32 = 64 * 1024;

/// Fields that hold sums of the content as it was (RFC 9530, and its ancestors).
const SUMS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// What is put in place of what.
pub(crate) struct Substitutions {
    text: Rules,
    links: Rules,
}

/// What is done with a response's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Nothing: it is not even read.
    LeaveAlone,
    /// It is HTML.
    Html,
    /// It is other text.
    Text,
}

impl Substitutions {
    /// Those of the settings; there may be none.
    pub(crate) fn configured() -> Result<Self, Error> {
        let rules = |name: &str| {
            let lines = config::get(name).unwrap_or_default();
            Rules::read(&lines).map_err(|why| Error::new(format!("config `{name}`: {why}")))
        };
        let (text, links) = (rules("replace")?, rules("links")?);
        Ok(Self { text, links })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.links.is_empty()
    }

    /// Substitutes in the content of a response, should it be one to substitute in.
    pub(crate) fn apply(&self, request: &Request, response: &mut Response) -> Result<(), Error> {
        if self.is_empty() || request.method() == Method::HEAD {
            return Ok(());
        }
        match select_work(response) {
            Work::LeaveAlone => Ok(()),
            Work::Text if self.text.is_empty() => Ok(()),
            Work::Text => {
                let mut replacer = Replacer::new(&self.text);
                stream(response, |piece, out| match piece {
                    Some(piece) => replacer.push(piece, out),
                    None => replacer.finish(out),
                })
            }
            Work::Html => {
                let mut html = Html::new(&self.text, &self.links)?;
                stream(response, |piece, out| match piece {
                    Some(piece) => html.push(piece, out),
                    None => html.finish(out),
                })
            }
        }
    }
}

/// Sends the content through `change`, piece by piece, and once more without one at its end.
fn stream(
    response: &mut Response,
    mut change: impl FnMut(Option<&[u8]>, &mut Vec<u8>),
) -> Result<(), Error> {
    let mut edit = response.edit();
    for name in SUMS {
        edit = edit.remove(name);
    }
    edit.apply()?;
    let mut reader = response.body()?;
    let mut writer = response.stream_body()?;
    let mut out = Vec::new();
    loop {
        let piece = reader.next_piece(PIECE)?;
        change(piece.as_deref(), &mut out);
        if !out.is_empty() {
            writer.write_piece(&out)?;
            out.clear();
        }
        if piece.is_none() {
            return Ok(writer.finish()?);
        }
    }
}

/// Coded content is left alone: it would have to be read and coded again. So is a part of a whole,
/// which ends within what is looked for, and what must not be transformed (RFC 9110 7.7).
fn select_work(response: &Response) -> Work {
    let partial = [
        StatusCode::NO_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    let [kind, coding, cache_control] =
        response.headers_many([CONTENT_TYPE, CONTENT_ENCODING, CACHE_CONTROL]);
    let text = |value: Option<HeaderValue>| {
        let value = value.unwrap_or(HeaderValue::from_static(""));
        value.to_str().unwrap_or("?").to_ascii_lowercase()
    };
    let coding = text(coding);
    let must_stay = text(cache_control)
        .split(',')
        .any(|directive| directive.trim() == "no-transform");
    if partial.contains(&response.status()) || !matches!(&*coding, "" | "identity") || must_stay {
        return Work::LeaveAlone;
    }
    work_for(&text(kind))
}

/// By the media type in lower case. Text in another charset than UTF-8 is left alone: what is
/// looked for would be other bytes.
fn work_for(media_type: &str) -> Work {
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
    let charset = charset.map_or("utf-8", |charset| charset.trim_matches('"'));
    if !matches!(charset, "utf-8" | "utf8" | "us-ascii") {
        return Work::LeaveAlone;
    }
    let is_text = essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json" | "application/javascript" | "application/xml"
        );
    match essence {
        "text/html" | "application/xhtml+xml" => Work::Html,
        _ if is_text => Work::Text,
        _ => Work::LeaveAlone,
    }
}

#[cfg(test)]
mod tests {
    use verge_sdk::Verdict;
    use verge_sdk::testing::{self, Host};

    use super::*;

    fn host() -> Host {
        Host::new()
            .config("replace", "Acme => Emca\n2025 => 2026")
            .config("links", "http://old.example => https://www.example")
    }

    fn substituted(response: testing::Response) -> Response {
        let request = testing::Request::get("/").build();
        let mut response = response.build();
        let substitutions = Substitutions::configured().expect("they are right");
        substitutions
            .apply(&request, &mut response)
            .expect("it works");
        response
    }

    fn content(mut response: Response) -> String {
        let content = response.read_body(1 << 20).expect("nobody took it");
        String::from_utf8(content).expect("it is text")
    }

    const PAGE: &str = "<a href=http://old.example/>Acme</a>";

    #[test]
    fn what_is_done_follows_from_the_media_type() {
        let changed = "<a href=\"https://www.example/\">Emca</a>";
        let as_text = "<a href=http://old.example/>Emca</a>";
        let cases = [
            ("text/html", changed),
            ("Text/HTML; charset=\"UTF-8\"", changed),
            ("application/xhtml+xml", changed),
            ("text/plain", as_text),
            ("application/json", as_text),
            ("application/problem+json", as_text),
            ("image/svg+xml; charset=utf-8", as_text),
            ("text/html; charset=utf-16", PAGE),
            ("text/plain; charset=iso-8859-1", PAGE),
            ("image/png", PAGE),
            ("application/octet-stream", PAGE),
            ("", PAGE),
        ];
        let _host = host();
        for (kind, expected) in cases {
            let response = testing::Response::ok().header("content-type", kind);
            assert_eq!(
                content(substituted(response.body(PAGE))),
                expected,
                "{kind}"
            );
        }
        let bare = testing::Response::ok().body(PAGE);
        assert_eq!(content(substituted(bare)), PAGE);
    }

    #[test]
    fn coded_partial_and_protected_content_is_left_alone() {
        let _host = host();
        let html = |status| testing::Response::new(status).header("content-type", "text/html");
        for response in [
            html(StatusCode::OK).header("content-encoding", "br"),
            html(StatusCode::OK).header("content-encoding", "gzip, identity"),
            html(StatusCode::OK).header("cache-control", "max-age=60, No-Transform"),
            html(StatusCode::PARTIAL_CONTENT),
        ] {
            assert_eq!(content(substituted(response.body(PAGE))), PAGE);
        }
        let whole = html(StatusCode::NOT_FOUND).header("content-encoding", "identity");
        assert!(content(substituted(whole.body(PAGE))).contains("Emca"));
    }

    #[test]
    fn sums_of_the_content_go_with_it() {
        let _host = host();
        let sums = |response: testing::Response| {
            let response = response
                .header("content-md5", "x")
                .header("repr-digest", "y");
            substituted(response.header("etag", "\"a\"").body(PAGE))
        };
        let html = sums(testing::Response::ok().header("content-type", "text/html"));
        assert_eq!(
            html.headers_many(["content-md5", "repr-digest"]),
            [None, None]
        );
        let image = sums(testing::Response::ok().header("content-type", "image/png"));
        assert!(image.header("content-md5").is_some());
    }

    #[test]
    fn nothing_is_read_without_substitutions() {
        let _host = Host::new();
        let response = testing::Response::ok().header("content-type", "text/html");
        assert_eq!(content(substituted(response.body(PAGE))), PAGE);
        let _host = Host::new().config("links", "http://a => http://b");
        let response = testing::Response::ok().header("content-type", "text/plain");
        assert_eq!(content(substituted(response.body(PAGE))), PAGE);
    }

    #[test]
    fn wrong_settings_are_named() {
        for (name, value) in [("replace", "a"), ("links", "=> b")] {
            let _host = Host::new().config(name, value);
            let error = Substitutions::configured().err().expect(value);
            assert!(error.to_string().contains(&format!("config `{name}`")));
        }
    }

    #[test]
    fn origin_is_asked_for_content_that_can_be_read_and_for_all_of_it() {
        for (is_set, expected) in [(true, "identity"), (false, "br")] {
            let _host = if is_set { host() } else { Host::new() };
            let request = testing::Request::get("/")
                .header("accept-encoding", "br")
                .header("range", "bytes=0-9")
                .header("if-range", "\"v1\"");
            let request = request.in_trigger(testing::Trigger::OriginRequest);
            let mut request = request.build();
            let asked = crate::ask(&mut request).expect("it works");
            assert!(matches!(asked, Verdict::Next));
            assert_eq!(
                request.header("accept-encoding").expect("it is there"),
                expected
            );
            let part = request.headers_many(["range", "if-range"]);
            assert_eq!(part.map(|field| field.is_some()), [!is_set; 2]);
        }
    }
}
