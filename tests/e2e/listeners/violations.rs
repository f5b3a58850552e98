//! Requests that break the rules of HTTP/1: each gets its status, is counted
//! by its name, harms nobody else, and never smuggles another request.

use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, Wire};

/// What a broken request must come to.
struct Case {
    /// The request, without the smuggled one behind it.
    request: &'static str,
    status: u16,
    label: &'static str,
}

const fn case(request: &'static str, status: u16, label: &'static str) -> Case {
    Case {
        request,
        status,
        label,
    }
}

/// What the request behind a broken one looks like.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: site.example\r\n\r\n";

/// After these nothing on the connection can be trusted.
const CLOSING: &[Case] = &[
    // RFC 9112 6.1, 6.3: the framing is ambiguous or unknown.
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "framing-conflicting",
    ),
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\nabcd",
        400,
        "content-length-invalid",
    ),
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
        400,
        "content-length-invalid",
    ),
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400,
        "transfer-encoding-invalid",
    ),
    case(
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "transfer-encoding-invalid",
    ),
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer-coding-unknown",
    ),
    // RFC 9112 7.1: the chunks.
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        400,
        "chunk-invalid",
    ),
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        400,
        "chunk-invalid",
    ),
    // RFC 9112 2.2, 5.2: lines.
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
        400,
        "line-ending-invalid",
    ),
    case("GET / HTTP/1.1\nHost: a\n\n", 400, "line-ending-invalid"),
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        400,
        "field-folded",
    ),
    // RFC 9112 5.1, RFC 9110 5.5: fields.
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        400,
        "field-invalid",
    ),
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        400,
        "field-invalid",
    ),
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        400,
        "field-invalid",
    ),
    // RFC 9112 3: the request line.
    case("GARBAGE\r\n\r\n", 400, "request-line-invalid"),
    case(
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "request-line-invalid",
    ),
    case(
        "GET /#part HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "target-invalid",
    ),
    case(
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        505,
        "version-unsupported",
    ),
    // RFC 9110 7.2: the host.
    case("GET / HTTP/1.1\r\n\r\n", 400, "authority-missing"),
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        400,
        "authority-conflicting",
    ),
    case(
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        400,
        "authority-invalid",
    ),
    case(
        "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n",
        400,
        "authority-invalid",
    ),
    case(
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        400,
        "authority-invalid",
    ),
    case(
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
        "authority-conflicting",
    ),
    // RFC 9110 7.6.1: Connection cannot take away what must reach its end.
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\n\r\n",
        400,
        "connection-nomination-forbidden",
    ),
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nConnection: keep-alive, cookie\r\n\r\n",
        400,
        "connection-nomination-forbidden",
    ),
    // RFC 9110 10.1.1: an expectation that is not understood.
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: the-spanish-inquisition\r\nContent-Length: 3\r\n\r\nabc",
        417,
        "expectation-unknown",
    ),
];

/// These are framed well, so the connection lives on.
const LIVING: &[Case] = &[
    // RFC 9110 9.3.6, 9.3.8.
    case(
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        501,
        "method-unsupported",
    ),
    // RFC 9110 7.6.3, RFC 8586: it was here before.
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 other, 1.1 verge\r\n\r\n",
        502,
        "loop-detected",
    ),
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: other; a=b, verge\r\n\r\n",
        502,
        "loop-detected",
    ),
];

async fn failures(node: &TestNode, label: &str) -> f64 {
    let series = format!("verge_failures_total{{side=\"client\",failure=\"{label}\"}}");
    node.metric(&series).await
}

#[tokio::test]
async fn broken_requests_are_answered_counted_and_end_their_connection_alone() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut bystander = Wire::connect(node.http()).await;
    let mut wrong = Vec::new();
    for Case {
        request,
        status,
        label,
    } in CLOSING
    {
        let before = failures(&node, label).await;
        let mut wire = Wire::connect(node.http()).await;
        wire.send(format!("{request}{SMUGGLED}")).await;
        let answer = wire.message().await;
        let rest = if answer.says_close() {
            wire.rest().await
        } else {
            Vec::new()
        };
        let counted = failures(&node, label).await - before;
        if answer.status() != *status
            || !answer.says_close()
            || !rest.is_empty()
            || counted != 1.0
            || !answer.text().contains("request id")
        {
            wrong.push(format!(
                "{request:?}: wanted {status} {label}, counted {counted}: {answer:?}, then {:?}",
                String::from_utf8_lossy(&rest)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let answer = bystander.ask("GET /fine HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status(), 200);
    let asked: Vec<_> = origin.requests().iter().map(|r| r.target.clone()).collect();
    assert_eq!(asked, ["/fine"]);
}

#[tokio::test]
async fn refused_requests_that_are_framed_well_cost_only_themselves() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut wire = Wire::connect(node.http()).await;
    let mut wrong = Vec::new();
    for Case {
        request,
        status,
        label,
    } in LIVING
    {
        let before = failures(&node, label).await;
        let answer = wire.ask(request).await;
        let counted = failures(&node, label).await - before;
        if answer.status() != *status || answer.says_close() || counted != 1.0 {
            wrong.push(format!(
                "{request:?}: wanted {status} {label}, counted {counted}: {answer:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(origin.count(), 0);
    let answer = wire.ask("GET /fine HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_tunnel_is_never_opened() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut wire = Wire::connect(node.http()).await;
    let target = origin.address;
    wire.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{SMUGGLED}"
    ))
    .await;
    let answer = wire.message().await;
    assert_eq!(answer.status(), 501);
    assert!(answer.field("allow").unwrap().contains("GET"));
    // What came behind is a request to the node, and to nobody else.
    assert!(
        origin.requests().iter().all(|r| r.field("via").is_some()),
        "{:?}",
        origin.requests()
    );
}

#[tokio::test]
async fn an_upgrade_is_not_passed_on() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut wire = Wire::connect(node.http()).await;
    let answer = wire
        .ask(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x-mine\r\nUpgrade: websocket\r\n\
             X-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\n\r\n",
        )
        .await;
    assert_eq!(answer.status(), 200);
    let asked = origin.requests().pop().unwrap();
    for name in ["upgrade", "x-mine", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(asked.field(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_violation_over_tls_is_answered_too() {
    let node = verge_tests::node::Setup::new()
        .with_tls(&[&["site.example"]])
        .start(
            "[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/\"\nstatic = { body = \"\" }\n",
        )
        .await;
    let roots = node.authority.as_ref().unwrap().roots();
    let stream = verge_tests::client::tls(node.https(), "site.example", roots, b"http/1.1").await;
    let mut wire = Wire::over(stream);
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
        .await;
    let answer = wire.message().await;
    assert_eq!(answer.status(), 400);
    assert!(answer.says_close());
    assert!(wire.is_closed().await);
}
