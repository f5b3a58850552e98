//! RFC 9111 (and the parts of RFC 9110, 9211 and 8246 that a cache applies) as
//! tables of exchanges: what is asked, what the origin answers, what the client
//! gets. All of it through one node and one scripted origin, over HTTP/1.1 and
//! HTTP/2, with and without TLS.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a fixture that cannot be set up fails its test at once; dates are those of today"
)]

mod rfc9111 {
    mod combining;
    mod conditions;
    mod dates;
    mod freshness;
    mod hops;
    mod invalidation;
    pub(crate) mod kit;
    mod model;
    mod not_modified;
    mod ranges;
    mod request;
    mod selection;
    mod spelling;
    mod stale;
    mod stored_fields;
    mod storing;
    mod targeted;
    mod validation;
    mod variants;

    use kit::{Case, Proxy};

    fn cases() -> Vec<Case> {
        let mut all = storing::cases();
        all.extend(stored_fields::cases());
        all.extend(freshness::cases());
        all.extend(spelling::cases());
        all.extend(dates::cases());
        all.extend(targeted::cases());
        all.extend(variants::cases());
        all.extend(request::cases());
        all.extend(selection::cases());
        all.extend(validation::cases());
        all.extend(not_modified::cases());
        all.extend(conditions::cases());
        all.extend(invalidation::cases());
        all.extend(stale::cases());
        all.extend(ranges::cases());
        all.extend(combining::cases());
        all.extend(hops::cases());
        all
    }

    /// Runs the whole table, and names every case that fails.
    async fn run(protocol: kit::Protocol) {
        let proxy = Proxy::start().await;
        let mut client = proxy.client(protocol).await;
        let mut failed = Vec::new();
        let cases = cases();
        for (index, case) in cases.iter().enumerate() {
            let path = format!("/case/{index}");
            if let Err(what) = proxy.run(&mut client, &path, case).await {
                failed.push(format!("RFC {}: {}: {what}", case.section, case.name));
            }
        }
        assert!(
            failed.is_empty(),
            "{} of {} cases fail over {protocol:?}:\n{}",
            failed.len(),
            cases.len(),
            failed.join("\n")
        );
    }

    #[tokio::test]
    async fn holds_over_http_1() {
        run(kit::Protocol::Http1).await;
    }

    #[tokio::test]
    async fn holds_over_http_2_without_tls() {
        run(kit::Protocol::H2c).await;
    }

    #[tokio::test]
    async fn holds_over_http_1_with_tls() {
        run(kit::Protocol::Https1).await;
    }

    #[tokio::test]
    async fn holds_over_http_2_with_tls() {
        run(kit::Protocol::Https2).await;
    }
}
