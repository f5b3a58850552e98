//! Tables of heads, each with the section that decides about it.

use proptest::prelude::*;

use super::*;

/// Scans a head in one go.
fn scan_head(bytes: &[u8], limits: &HeadLimits) -> Result<HeadScan, ClientFault> {
    HeadScanner::new(*limits).scan(bytes)
}

fn scan(head: &[u8]) -> Result<HeadScan, ClientFault> {
    scan_head(head, &HeadLimits::default())
}

fn facts(head: &str) -> HeadFacts {
    match scan(head.as_bytes()) {
        Ok(HeadScan::Complete(facts)) => facts,
        other => panic!("{head:?} gave {other:?}"),
    }
}

#[test]
fn valid_heads_are_accepted_whole() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET HTTPS://a/ HTTP/1.1\r\nhOST:a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
        "M-SEARCH //x?y=[1]|{2} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t \r\nZ: caf\u{e9}\tx\r\n\r\n",
    ] {
        assert_eq!(facts(head).len, head.len(), "{head:?}");
    }
}

#[test]
fn what_follows_the_head_is_left_alone() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(facts(&format!("{head}\0\rGET")).len, head.len());
}

#[test]
fn broken_heads_are_refused() {
    use ClientFault as F;
    let line = |text: &str| format!("{text}\r\nHost: a\r\n\r\n");
    let field = |text: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{text}\r\n\r\n");
    for (head, expected) in [
        // RFC 9112 3: exactly one space between the parts.
        (line("GET  / HTTP/1.1"), F::RequestLineInvalid),
        (line("GET /  HTTP/1.1"), F::RequestLineInvalid),
        (line("GET / HTTP/1.1 "), F::RequestLineInvalid),
        (line(" GET / HTTP/1.1"), F::RequestLineInvalid),
        (line("GET\t/\tHTTP/1.1"), F::RequestLineInvalid),
        (line("GET /"), F::RequestLineInvalid),
        (line("GET"), F::RequestLineInvalid),
        (line("G(T / HTTP/1.1"), F::RequestLineInvalid),
        (line("GET /a b HTTP/1.1"), F::RequestLineInvalid),
        (line("GET / http/1.1"), F::RequestLineInvalid),
        (line("GET / HTTP/1.10"), F::RequestLineInvalid),
        (line("GET / HTTP/11"), F::RequestLineInvalid),
        (line("GET / ICY/1.1"), F::RequestLineInvalid),
        (line("\r\n\r\n\r\nGET / HTTP/1.1"), F::RequestLineInvalid),
        (line("GET / HTTP/1.2"), F::VersionUnsupported),
        (line("GET / HTTP/0.9"), F::VersionUnsupported),
        (line("PRI * HTTP/2.0"), F::VersionUnsupported),
        (
            line(&format!("{} / HTTP/1.1", "M".repeat(33))),
            F::MethodUnsupported,
        ),
        // RFC 9112 3.2: the four forms.
        (line("GET /#top HTTP/1.1"), F::TargetInvalid),
        (line("GET /\u{e9} HTTP/1.1"), F::TargetInvalid),
        (line("GET /\0 HTTP/1.1"), F::TargetInvalid),
        (line("GET /\x7f HTTP/1.1"), F::TargetInvalid),
        (line("GET * HTTP/1.1"), F::TargetInvalid),
        (line("GET a HTTP/1.1"), F::TargetInvalid),
        (line("GET ftp://a/ HTTP/1.1"), F::TargetInvalid),
        (line("CONNECT / HTTP/1.1"), F::TargetInvalid),
        (line("CONNECT u@a:1 HTTP/1.1"), F::TargetInvalid),
        // RFC 9112 2.2: lines end in CR LF.
        (line("GET / HTTP/1.1\n"), F::LineEndingInvalid),
        (line("GET /\rx HTTP/1.1"), F::LineEndingInvalid),
        (field("A: b\nC: d"), F::LineEndingInvalid),
        (field("A: b\rC: d"), F::LineEndingInvalid),
        (field("A: b\r"), F::LineEndingInvalid),
        (field("A\r: b"), F::LineEndingInvalid),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned(),
            F::LineEndingInvalid,
        ),
        ("\nGET / HTTP/1.1\r\n".to_owned(), F::LineEndingInvalid),
        // RFC 9112 5.2, 2.2: folding and leading whitespace.
        (field("A: b\r\n c"), F::FieldFolded),
        (field("A: b\r\n\tc"), F::FieldFolded),
        (field("A: b\r\n "), F::FieldFolded),
        (
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned(),
            F::FieldFolded,
        ),
        // RFC 9112 5.1, RFC 9110 5.1, 5.5.
        (field("A : b"), F::FieldInvalid),
        (field("A\t: b"), F::FieldInvalid),
        (field("A b: c"), F::FieldInvalid),
        (field("A"), F::FieldInvalid),
        (field(": b"), F::FieldInvalid),
        (field("A\u{e9}: b"), F::FieldInvalid),
        (field("A: \0"), F::FieldInvalid),
        (field("A: b\x0bc"), F::FieldInvalid),
        (field("A: b\x7f"), F::FieldInvalid),
        // RFC 9112 3.2.
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), F::AuthorityMissing),
        (
            "GET http://a/ HTTP/1.1\r\n\r\n".to_owned(),
            F::AuthorityMissing,
        ),
        (field("Host: a"), F::AuthorityConflicting),
        (field("hOST: b"), F::AuthorityConflicting),
        // RFC 9112 6.1, 6.3.
        (
            field("Content-Length: 1\r\nTransfer-Encoding: chunked"),
            F::FramingConflicting,
        ),
        (
            field("Content-Length: 1\r\nContent-Length: 1"),
            F::ContentLengthInvalid,
        ),
        (field("Content-Length: +1"), F::ContentLengthInvalid),
        (field("Transfer-Encoding: gzip"), F::TransferEncodingInvalid),
        (
            field("Transfer-Encoding: gzip, chunked"),
            F::TransferCodingUnknown,
        ),
        (
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            F::TransferEncodingInvalid,
        ),
        (field("Expect: cake"), F::ExpectationUnknown),
    ] {
        assert_eq!(scan(head.as_bytes()), Err(expected), "{head:?}");
    }
}

#[test]
fn facts_follow_from_the_fields() {
    let head = |lines: &str| facts(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    assert_eq!(head("").framing, Framing::None);
    assert_eq!(
        head("CONTENT-LENGTH:  12 \r\n").framing,
        Framing::Length(12)
    );
    assert_eq!(
        head("Transfer-Encoding: Chunked\r\n").framing,
        Framing::Chunked
    );
    assert!(head("").keeps_alive);
    assert!(!head("Connection: x, close\r\n").keeps_alive);
    assert!(!head("Connection: x\r\nConnection: CLOSE\r\n").keeps_alive);
    assert!(head("Expect: 100-Continue\r\n").expects_continue);
    assert!(head("Connection: Upgrade\r\nUpgrade: websocket\r\n").asks_upgrade);
    assert!(!head("Upgrade: websocket\r\n").asks_upgrade);
    assert!(!head("Connection: Upgrade\r\n").asks_upgrade);
    let old = facts(
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\nExpect: 100-continue\r\n\r\n",
    );
    assert!(!old.asks_upgrade && !old.expects_continue && !old.keeps_alive);
    assert!(facts("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keeps_alive);
    assert!(facts("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").is_connect);
}

#[test]
fn limits_hold_for_heads_that_are_still_arriving() {
    let limits = HeadLimits {
        target_bytes: 10,
        head_bytes: 100,
        fields: 2,
    };
    let scan = |head: &str| scan_head(head.as_bytes(), &limits);
    let line = |target: usize| format!("GET /{} HTTP/1.1\r\n", "x".repeat(target - 1));
    assert_eq!(scan(&line(10)), Ok(HeadScan::Incomplete));
    assert_eq!(scan(&line(11)), Err(ClientFault::TargetTooLong));
    assert_eq!(
        scan(&format!("GET /{}", "x".repeat(30))),
        Err(ClientFault::TargetTooLong)
    );
    assert_eq!(scan(&"x".repeat(33)), Err(ClientFault::MethodUnsupported));
    assert_eq!(scan("A"), Ok(HeadScan::Incomplete));

    let head = |value: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nB: {}\r\n\r\n",
            "x".repeat(value)
        )
    };
    let fits = 100 - head(0).len();
    assert!(matches!(scan(&head(fits)), Ok(HeadScan::Complete(_))));
    assert_eq!(scan(&head(fits + 1)), Err(ClientFault::HeadTooLarge));
    let partial = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(100));
    assert_eq!(scan(&partial), Err(ClientFault::HeadTooLarge));

    let fields = "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n";
    assert_eq!(scan(fields), Ok(HeadScan::Incomplete));
    assert_eq!(
        scan(&format!("{fields}D: e\r\n")),
        Err(ClientFault::FieldsTooMany)
    );
}

#[test]
fn faults_are_reported_before_the_head_is_complete() {
    for (partial, expected) in [
        // What a TLS client sends to a plaintext port.
        ("\x16\x03\x01", ClientFault::RequestLineInvalid),
        (" ", ClientFault::RequestLineInvalid),
        ("GET / HTTP/1.1\r\nA b\r\n", ClientFault::FieldInvalid),
        ("GET / HTTP/1.1\r\nA: b\r\n ", ClientFault::FieldFolded),
        ("GET / HTTP/3.0\r\n", ClientFault::VersionUnsupported),
        (
            "GET / HTTP/1.1\r\nContent-Length: x\r\n",
            ClientFault::ContentLengthInvalid,
        ),
    ] {
        assert_eq!(scan(partial.as_bytes()), Err(expected), "{partial:?}");
    }
}

/// Feeds `head` in pieces of `step` bytes.
fn scan_in_steps(head: &[u8], step: usize, limits: HeadLimits) -> Result<HeadScan, ClientFault> {
    let mut scanner = HeadScanner::new(limits);
    let mut len = 0;
    loop {
        len = (len + step).min(head.len());
        let found = scanner.scan(&head[..len])?;
        if len == head.len() || found != HeadScan::Incomplete {
            return Ok(found);
        }
    }
}

fn hostile_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET / HTTP/1.1\r\n".to_owned()),
        Just("Host: a\r\n".to_owned()),
        Just("Content-Length: 5\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Connection: close\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just(" ".to_owned()),
        Just(":".to_owned()),
        "[ -~]{0,12}",
        "[a-zA-Z-]{1,8}: [ -~]{0,12}\r\n",
    ];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes);
    }

    #[test]
    fn how_a_head_is_cut_does_not_matter(head in hostile_head(), step in 1_usize..40) {
        let limits = HeadLimits { target_bytes: 12, head_bytes: 90, fields: 3 };
        let whole = scan_head(&head, &limits);
        let parts = scan_in_steps(&head, step, limits);
        // A limit may be noticed at another byte, so only the kind of outcome
        // is compared where one is exceeded.
        prop_assert_eq!(whole.is_err(), parts.is_err(), "{:?} {:?}", whole, parts);
        if let (Ok(whole), Ok(parts)) = (whole, parts) {
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn an_accepted_head_has_no_bare_line_ending(head in hostile_head()) {
        if let Ok(HeadScan::Complete(facts)) = scan(&head) {
            let head = &head[..facts.len];
            prop_assert!(head.ends_with(b"\r\n\r\n"));
            for (at, byte) in head.iter().enumerate() {
                if *byte == b'\n' {
                    prop_assert!(at > 0 && head[at - 1] == b'\r');
                }
                if *byte == b'\r' {
                    prop_assert_eq!(head.get(at + 1), Some(&b'\n'));
                }
            }
        }
    }
}
