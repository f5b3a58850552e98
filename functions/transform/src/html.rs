//! Substitutions in HTML as it streams: text in what is shown, links in attributes. Tags,
//! comments, scripts and styles stay as they are.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::html_content::{Element, TextChunk, TextType};
use lol_html::{
    DocumentContentHandlers, ElementContentHandlers, HandlerResult, HtmlRewriter, MemorySettings,
    Selector, Settings,
};
use verge_sdk::Error;

use crate::replace::{Replacer, Rules};

/// Bytes that are kept of one tag, at most: what is longer is passed on as it is, with all behind it.
const TAG_BYTES_MAX: usize = 256 * 1024;

/// Attributes whose value is a URL, and those that hold several.
const LINKS: [&str; 8] = [
    "href",
    "src",
    "action",
    "formaction",
    "poster",
    "data",
    "cite",
    "background",
];
const LINK_LISTS: [&str; 2] = ["srcset", "imagesrcset"];

/// What came out, until it is written.
type Sink = Rc<RefCell<Vec<u8>>>;

type Output = Box<dyn FnMut(&[u8])>;

/// HTML that comes in pieces.
pub(crate) struct Html<'r> {
    /// None when it was given up.
    rewriter: Option<HtmlRewriter<'r, Output>>,
    sink: Sink,
}

impl<'r> Html<'r> {
    /// With these substitutions in text and in links.
    ///
    /// # Errors
    /// Never but for an error in this file.
    pub(crate) fn new(text: &'r Rules, links: &'r Rules) -> Result<Self, Error> {
        let memory = MemorySettings::new()
            .with_max_allowed_memory_usage(TAG_BYTES_MAX)
            .with_graceful_bail_out_on_memory_limit_exceeded(true);
        let mut settings = Settings::new()
            .with_memory_settings(memory)
            // A page that is hard to read is no reason to break it off.
            .with_strict(false)
            .with_adjust_charset_on_meta_tag(true);
        if !text.is_empty() {
            let mut replacer = Replacer::new(text);
            let handler = move |chunk: &mut TextChunk<'_>| replace_text(&mut replacer, chunk);
            let handlers = DocumentContentHandlers::default().text(handler);
            settings = settings.append_document_content_handler(handlers);
        }
        if !links.is_empty() {
            let names = LINKS.iter().chain(&LINK_LISTS);
            let selector: Vec<String> = names.map(|name| format!("[{name}]")).collect();
            let selector: Selector = selector.join(",").parse()?;
            let handler = move |element: &mut Element<'_, '_>| replace_links(links, element);
            let handlers = ElementContentHandlers::default().element(handler);
            let handlers = (std::borrow::Cow::Owned(selector), handlers);
            settings = settings.append_element_content_handler(handlers);
        }
        let sink = Sink::default();
        let into = Rc::clone(&sink);
        let output: Output = Box::new(move |piece| into.borrow_mut().extend_from_slice(piece));
        let rewriter = Some(HtmlRewriter::new(settings, output));
        Ok(Self { rewriter, sink })
    }

    /// What can be said when this piece has come, added to `out`.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let read = match &mut self.rewriter {
            None => {
                out.extend_from_slice(piece);
                return;
            }
            Some(rewriter) => rewriter.write(piece),
        };
        out.append(&mut self.sink.borrow_mut());
        if read.is_err() {
            // It has given out what it had: from here on the page is as it was.
            self.rewriter = None;
        }
    }

    /// The rest.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(rewriter) = self.rewriter.take() {
            // If it fails, it has given out what it had.
            let _ = rewriter.end();
            out.append(&mut self.sink.borrow_mut());
        }
    }
}

/// A text comes in chunks, too; its last one says so.
fn replace_text(replacer: &mut Replacer<'_>, chunk: &mut TextChunk<'_>) -> HandlerResult {
    if !matches!(chunk.text_type(), TextType::Data | TextType::RCData) {
        return Ok(());
    }
    let mut out = Vec::new();
    replacer.push(chunk.as_str().as_bytes(), &mut out);
    if chunk.last_in_text_node() {
        replacer.finish(&mut out);
    }
    // What is held back begins where a rule does: characters stay whole.
    let out = String::from_utf8(out)?;
    if out != chunk.as_str() {
        chunk.set_str(out);
    }
    Ok(())
}

fn replace_links(rules: &Rules, element: &mut Element<'_, '_>) -> HandlerResult {
    for name in LINKS {
        if let Some(url) = element.get_attribute(name)
            && let Some(changed) = changed_link(rules, &url)
        {
            element.set_attribute(name, &changed)?;
        }
    }
    for name in LINK_LISTS {
        let Some(list) = element.get_attribute(name) else {
            continue;
        };
        let urls = list.split(',').map(|candidate| {
            let url = candidate.trim_start();
            let (space, _) = candidate.split_at(candidate.len() - url.len());
            match changed_link(rules, url) {
                Some(changed) => format!("{space}{changed}"),
                None => candidate.to_owned(),
            }
        });
        let changed = urls.collect::<Vec<_>>().join(",");
        if changed != list {
            element.set_attribute(name, &changed)?;
        }
    }
    Ok(())
}

/// A URL that begins with a rule's, and not only with its letters: `http://old.example` is no
/// beginning of `http://old.example.org/`.
fn changed_link(rules: &Rules, url: &str) -> Option<String> {
    let url = url.trim_start();
    rules.iter().find_map(|(old, new)| {
        let rest = url.strip_prefix(old)?;
        let ends = ['/', '?', '#', ':', ' ', '\t', '\n', '\r', '\u{c}'];
        let is_whole = rest.is_empty() || old.ends_with('/') || rest.starts_with(ends);
        is_whole.then(|| format!("{new}{rest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(pieces: &[&[u8]], text: &str, links: &str) -> String {
        let text = Rules::read(text).expect("they are rules");
        let links = Rules::read(links).expect("they are rules");
        let mut html = Html::new(&text, &links).expect("it begins");
        let mut out = Vec::new();
        for piece in pieces {
            html.push(piece, &mut out);
        }
        html.finish(&mut out);
        String::from_utf8(out).expect("it is text")
    }

    const TEXT: &str = "Acme => Emca & Co\nB\u{e4}r => Wolf";
    const LINKS: &str = "http://old.example => https://www.example\n/v1/ => /v2/";

    const PAGE: &str = "<!doctype html><html><head><title>Acme</title>\
        <style>.Acme { color: red }</style><script>var a = \"Acme http://old.example/\";</script>\
        <link rel=stylesheet href='/v1/a.css'></head>\n<body class=Acme><!-- Acme -->\
        <p title=\"Acme\">Ac<b>me</b> AcAcme, B\u{e4}r!</p>\
        <a href=\"http://old.example/a?b=1&amp;c#d\">x</a><a href=http://old.example>y</a>\
        <a href=\"http://old.example.org/\">z</a><a href=\"/v1\">w</a>\
        <img src=\"http://old.example/i.png\" srcset=\"http://old.example/2.png 2x, /v1/3.png 3x, /other 4x\">\
        <form action='http://old.example:8080/'></form></body></html>";

    const EXPECTED: &str = "<!doctype html><html><head><title>Emca & Co</title>\
        <style>.Acme { color: red }</style><script>var a = \"Acme http://old.example/\";</script>\
        <link rel=stylesheet href=\"/v2/a.css\"></head>\n<body class=Acme><!-- Acme -->\
        <p title=\"Acme\">Ac<b>me</b> AcEmca & Co, Wolf!</p>\
        <a href=\"https://www.example/a?b=1&amp;c#d\">x</a><a href=\"https://www.example\">y</a>\
        <a href=\"http://old.example.org/\">z</a><a href=\"/v1\">w</a>\
        <img src=\"https://www.example/i.png\" srcset=\"https://www.example/2.png 2x, /v2/3.png 3x, /other 4x\">\
        <form action=\"https://www.example:8080/\"></form></body></html>";

    #[test]
    fn text_and_links_are_replaced_wherever_pieces_end() {
        let page = PAGE.as_bytes();
        for cut in 0..=page.len() {
            let (a, b) = page.split_at(cut);
            assert_eq!(rewritten(&[a, b], TEXT, LINKS), EXPECTED, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = page.chunks(1).collect();
        assert_eq!(rewritten(&bytes, TEXT, LINKS), EXPECTED);
    }

    #[test]
    fn page_without_a_match_stays_as_it_is() {
        let page = "<P CLASS = 'a'>x &lt; y<br/><A HREF=/b >c</a><!-- d --><script>1<2</script";
        assert_eq!(rewritten(&[page.as_bytes()], TEXT, LINKS), page);
    }

    #[test]
    fn tag_that_does_not_end_is_passed_on_as_it_is() {
        let tag = format!("<p>Acme</p><a title='{}", "x".repeat(2 * TAG_BYTES_MAX));
        let page = format!("{tag}'>Acme</a>");
        let pieces: Vec<&[u8]> = page.as_bytes().chunks(16 * 1024).collect();
        let out = rewritten(&pieces, TEXT, LINKS);
        assert_eq!(out.len(), page.len() + "Emca & Co".len() - "Acme".len());
        assert!(out.starts_with("<p>Emca & Co</p><a title='xx"));
        assert!(out.ends_with("xx'>Acme</a>"));
    }
}
