use proptest::prelude::*;

use super::*;

fn scan(body: &[u8]) -> Result<ChunkScan, ClientFault> {
    ChunkScanner::new(ChunkLimits::default()).scan(body)
}

#[test]
fn valid_bodies_end_where_they_end() {
    for body in [
        "0\r\n\r\n",
        "000\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "2\r\n\r\n\r\n0\r\n\r\n",
        "5;a\r\nhello\r\n0;b=c\r\n\r\n",
        "5 ; a = \"x;\\\"\r y\" ;b\r\nhello\r\n0\r\n\r\n"
            .replace('\r', "")
            .replace('\n', "\r\n")
            .as_str(),
        "0\r\nA: b\r\nC:\r\n\r\n",
        "0000000000000001\r\nx\r\n0\r\n\r\n",
    ] {
        let expected = ChunkScan {
            consumed: body.len(),
            ended: true,
        };
        assert_eq!(scan(body.as_bytes()), Ok(expected), "{body:?}");
        let more = format!("{body}GET / HTTP/1.1");
        assert_eq!(scan(more.as_bytes()), Ok(expected), "{body:?}");
    }
}

#[test]
fn broken_bodies_are_refused() {
    use ClientFault as F;
    for (body, expected) in [
        // RFC 9112 7.1: the size.
        ("\r\n", F::ChunkInvalid),
        ("x\r\n", F::ChunkInvalid),
        ("0x5\r\n", F::ChunkInvalid),
        ("+5\r\n", F::ChunkInvalid),
        ("-5\r\n", F::ChunkInvalid),
        (" 5\r\n", F::ChunkInvalid),
        ("5 \r\n", F::ChunkInvalid),
        ("5_0\r\n", F::ChunkInvalid),
        ("5\n", F::ChunkInvalid),
        ("5\rx", F::ChunkInvalid),
        ("00000000000000005\r\n", F::ChunkInvalid),
        ("FFFFFFFFFFFFFFFFF\r\n", F::ChunkInvalid),
        // What follows the data.
        ("5\r\nhello0\r\n", F::ChunkInvalid),
        ("5\r\nhello\n", F::ChunkInvalid),
        ("5\r\nhello\rx", F::ChunkInvalid),
        // RFC 9112 7.1.1: extensions.
        ("5;\r\n", F::ChunkInvalid),
        ("5;=\r\n", F::ChunkInvalid),
        ("5;a=\r\n", F::ChunkInvalid),
        ("5;a \r\n", F::ChunkInvalid),
        ("5;a b\r\n", F::ChunkInvalid),
        ("5;a=\"\r\n", F::ChunkInvalid),
        ("5;a\n", F::ChunkInvalid),
        ("5;a=b\0\r\n", F::ChunkInvalid),
        // RFC 9112 7.1.2: trailers.
        ("0\r\nA\r\n", F::LineEndingInvalid),
        ("0\r\nA b\r\n", F::FieldInvalid),
        ("0\r\n: b\r\n", F::FieldInvalid),
        ("0\r\nA: b\0\r\n", F::FieldInvalid),
        ("0\r\nA: b\n", F::LineEndingInvalid),
        ("0\r\nA: b\rC", F::LineEndingInvalid),
        ("0\r\nA: b\r\n c\r\n", F::FieldFolded),
        ("0\r\n\n", F::LineEndingInvalid),
        ("0\r\n\rx", F::LineEndingInvalid),
    ] {
        assert_eq!(scan(body.as_bytes()), Err(expected), "{body:?}");
    }
}

#[test]
fn sizes_that_overflow_together_are_refused() {
    let mut scanner = ChunkScanner::new(ChunkLimits::default());
    assert!(scanner.scan(b"1\r\nx\r\nFFFFFFFFFFFFFFFF\r").is_ok());
    assert_eq!(scanner.scan(b"\n"), Err(ClientFault::ChunkInvalid));
}

#[test]
fn limits_hold_over_the_whole_body() {
    let limits = ChunkLimits {
        extension_bytes: 6,
        trailer_bytes: 10,
        trailer_fields: 2,
    };
    let scan = |body: &str| ChunkScanner::new(limits).scan(body.as_bytes());
    // Each extension costs its bytes and the end of its line.
    assert!(scan("1;a\r\nx\r\n1;b\r\nx\r\n").is_ok());
    assert_eq!(
        scan("1;a\r\nx\r\n1;b\r\nx\r\n1;c"),
        Err(ClientFault::ChunkInvalid)
    );
    assert!(scan("0\r\nA:\r\nB:\r\n\r\n").is_ok());
    assert_eq!(
        scan("0\r\nA:x\r\nB:\r\n\r\n"),
        Err(ClientFault::HeadTooLarge)
    );
    let limits = ChunkLimits {
        trailer_bytes: 100,
        ..limits
    };
    let body = b"0\r\nA:\r\nB:\r\nC:\r\n\r\n";
    assert_eq!(
        ChunkScanner::new(limits).scan(body),
        Err(ClientFault::FieldsTooMany)
    );
}

fn body() -> impl Strategy<Value = (Vec<u8>, u64)> {
    let chunk = proptest::collection::vec(any::<u8>(), 1..40);
    proptest::collection::vec(chunk, 0..6).prop_map(|chunks| {
        let mut body = Vec::new();
        for chunk in &chunks {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        let content = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        (body, content)
    })
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = scan(&bytes);
    }

    #[test]
    fn how_a_body_is_cut_does_not_matter((body, content) in body(), step in 1_usize..20) {
        let mut scanner = ChunkScanner::new(ChunkLimits::default());
        let mut stream = body.clone();
        stream.extend_from_slice(b"next");
        let mut consumed = 0;
        for piece in stream.chunks(step) {
            let found = scanner.scan(piece).expect("valid");
            consumed += found.consumed;
            if found.ended {
                break;
            }
            prop_assert_eq!(found.consumed, piece.len());
        }
        prop_assert!(scanner.is_ended());
        prop_assert_eq!(consumed, body.len());
        prop_assert_eq!(scanner.content_bytes(), content);
    }
}
