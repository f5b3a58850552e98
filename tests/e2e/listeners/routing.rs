//! Which site and which route answer, and what stands in the configuration
//! alone: redirects and fixed answers.

use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, Wire};

/// Names and values.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn fixed(path: &str, more: &str, body: &str) -> String {
    format!("[[site.route]]\npath = \"{path}\"\n{more}\nstatic = {{ body = \"{body}\" }}\n")
}

fn site(names: &str, routes: &[String]) -> String {
    format!("[[site]]\nnames = [{names}]\n{}", routes.concat())
}

#[tokio::test]
async fn sites_are_found_by_exact_name_then_longest_wildcard_then_default() {
    let node = TestNode::start(
        &[
            site("\"*\"", &[fixed("/", "", "default")]),
            site("\"*.example\"", &[fixed("/", "", "short")]),
            site("\"*.shop.example\"", &[fixed("/", "", "long")]),
            site("\"api.shop.example\"", &[fixed("/", "", "exact")]),
        ]
        .concat(),
    )
    .await;
    let cases = [
        ("api.shop.example", "exact"),
        ("API.Shop.Example:8080", "exact"),
        ("api.shop.example.", "exact"),
        ("www.shop.example", "long"),
        ("a.b.shop.example", "long"),
        ("shop.example", "short"),
        ("example", "default"),
        ("192.0.2.1", "default"),
        ("[2001:db8::1]:80", "default"),
    ];
    let (mut http1, mut http2) = (
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    );
    for (authority, body) in cases {
        for client in [&mut http1, &mut http2] {
            client.set_authority(authority);
            let reply = client.get("/").await;
            assert_eq!(
                (reply.status.as_u16(), reply.text().as_str()),
                (200, body),
                "{authority}"
            );
        }
    }
}

#[tokio::test]
async fn what_matches_nothing_is_told_so_and_costs_nothing_else() {
    let node = TestNode::start(&site(
        "\"site.example\"",
        &[fixed("/known", "methods = [\"GET\"]", "known")],
    ))
    .await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        client.set_authority("other.example");
        let reply = client.get("/known").await;
        assert_eq!(reply.status, 421);
        assert!(
            reply.text().starts_with(
                "421 Misdirected Request: this server does not serve that host\nrequest id "
            ),
            "{}",
            reply.text()
        );
        let id = reply.field("x-request-id");
        assert!(reply.text().contains(&id) && !id.is_empty(), "{id}");
        assert_eq!(reply.field("cache-control"), "no-store");
        client.set_authority("site.example");
        let reply = client.get("/unknown").await;
        assert_eq!(reply.status, 404);
        assert!(reply.text().contains("nothing is served at this path"));
        let reply = client.send("POST", "/known", &[], "").await;
        assert_eq!(reply.status, 404);
        assert_eq!(client.get("/known").await.text(), "known");
    }
    for label in ["site-unknown", "route-unknown"] {
        let series = format!("verge_failures_total{{side=\"client\",failure=\"{label}\"}}");
        verge_tests::eventually(label, async || node.metric(&series).await >= 2.0).await;
    }
}

#[tokio::test]
async fn routes_are_found_by_path_then_method_then_fields() {
    let node = TestNode::start(&site(
        "\"*\"",
        &[
            fixed("/{*rest}", "", "rest"),
            fixed("/item/{id}", "", "item"),
            fixed("/item/special", "", "special"),
            fixed("/api/{*rest}", "methods = [\"POST\", \"PUT\"]", "write"),
            fixed("/api/{*rest}", "fields = { \"x-beta\" = \"1\" }", "beta"),
            fixed("/api/{*rest}", "fields = { \"x-old\" = true }", "old"),
            fixed(
                "/api/{*rest}",
                "fields = { \"authorization\" = false }",
                "anonymous",
            ),
        ],
    ))
    .await;
    let mut client = node.client().await;
    let cases: &[(&str, &str, Fields<'_>, &str)] = &[
        ("GET", "/", &[], "rest"),
        ("GET", "/item/7", &[], "item"),
        ("GET", "/item/7?q=special", &[], "item"),
        ("GET", "/item/special", &[], "special"),
        ("GET", "/item/7/more", &[], "rest"),
        ("POST", "/api/a", &[("x-beta", "1")], "write"),
        ("GET", "/api/a", &[("x-beta", "1"), ("x-old", "")], "beta"),
        ("GET", "/api/a", &[("x-beta", "2"), ("x-old", "")], "old"),
        ("GET", "/api/a", &[], "anonymous"),
        // Nothing fits on the most specific path: the next one answers.
        ("GET", "/api/a", &[("authorization", "x")], "rest"),
        ("DELETE", "/api/", &[("authorization", "x")], "rest"),
    ];
    for (method, path, fields, body) in cases {
        let reply = client.send(method, path, fields, "").await;
        assert_eq!(reply.text(), *body, "{method} {path} {fields:?}");
    }
}

#[tokio::test]
async fn redirects_keep_the_path_where_they_are_told_to() {
    let route = |path: &str, redirect: &str| {
        format!("[[site.route]]\npath = \"{path}\"\nredirect = {{ {redirect} }}\n")
    };
    let node = TestNode::start(&site(
        "\"*\"",
        &[
            route("/old", "to = \"/new\""),
            route("/temporary", "to = \"/new\", status = 302"),
            route(
                "/move/{*rest}",
                "to = \"https://new.example/\", keep_path = true",
            ),
            route("/root/{*rest}", "to = \"/\", keep_path = true"),
        ],
    ))
    .await;
    let mut client = node.client().await;
    for (path, status, location) in [
        ("/old?a=b", 308, "/new"),
        ("/temporary", 302, "/new"),
        ("/move/a/b?c=d", 308, "https://new.example/move/a/b?c=d"),
        (
            "/move//evil.example",
            308,
            "https://new.example/move//evil.example",
        ),
        ("/root/a", 308, "/root/a"),
    ] {
        let reply = client.get(path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.field("location").as_str()),
            (status, location),
            "{path}"
        );
        assert!(reply.text().is_empty());
    }
    // A body that nobody reads does not become the next request.
    let reply = client
        .send("POST", "/old", &[], "GET / HTTP/1.1\r\n\r\n")
        .await;
    assert_eq!(reply.status, 308);
    assert_eq!(client.get("/temporary").await.status, 302);
}

#[tokio::test]
async fn a_path_never_becomes_another_host_in_a_redirect() {
    let node = TestNode::start(&site(
        "\"*\"",
        &[
            "[[site.route]]\npath = \"/{*rest}\"\nredirect = { to = \"/\", keep_path = true }\n"
                .to_owned(),
        ],
    ))
    .await;
    let mut wire = Wire::connect(node.http()).await;
    for target in ["//evil.example/a", "/\\\\evil.example/a"] {
        let answer = wire
            .ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let location = answer.field("location").unwrap_or_default();
        // RFC 3986 4.2: what starts with two slashes names a host.
        assert!(
            !location.starts_with("//") && !location.starts_with("/\\"),
            "{target}: {location}"
        );
    }
}

#[tokio::test]
async fn a_fixed_answer_has_its_length_also_for_head() {
    let node = TestNode::start(&site(
        "\"*\"",
        &[
            "[[site.route]]\npath = \"/robots.txt\"\nmethods = [\"GET\"]\n\
           static = { body = \"User-agent: *\\n\", status = 203 }\n"
                .to_owned(),
            "[[site.route]]\npath = \"/none\"\nstatic = { status = 204 }\n".to_owned(),
        ],
    ))
    .await;
    let mut client = node.client().await;
    for method in ["GET", "HEAD"] {
        let reply = client.send(method, "/robots.txt", &[], "").await;
        assert_eq!(reply.status, 203);
        assert_eq!(reply.field("content-length"), "14");
        assert_eq!(reply.field("content-type"), "text/plain; charset=utf-8");
        let body = if method == "GET" {
            "User-agent: *\n"
        } else {
            ""
        };
        assert_eq!(reply.text(), body);
    }
    let reply = client.get("/none").await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.field("content-length"), "");
}

#[tokio::test]
async fn the_target_reaches_the_origin_in_its_one_form() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut wire = Wire::connect(node.http()).await;
    for (sent, target) in [
        ("/a//c?x=%2F&y", "/a//c?x=%2F&y"),
        // One resource has one name (RFC 3986 6.2.2.2).
        ("/%61", "/a"),
        ("/?", "/?"),
        ("http://a/absolute?q", "/absolute?q"),
        ("http://a", "/"),
    ] {
        let answer = wire
            .ask(format!("GET {sent} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert_eq!(answer.status(), 200, "{sent}");
        assert_eq!(origin.requests().pop().unwrap().target, target);
    }
}
