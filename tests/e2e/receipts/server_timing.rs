//! `Server-Timing`: for the sites that opted in, and for no other.

use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

#[tokio::test]
async fn only_sites_that_opted_in_tell_their_timing() {
    let origin =
        Origin::start(async |_| respond(200, &[("cache-control", "max-age=60")], "content")).await;
    let site = |name: &str, more: &str| {
        format!(
            "[[site]]\nnames = [\"{name}\"]\n{more}[[site.route]]\npath = \"/{{*rest}}\"\n\
             origin = \"app\"\nviewer_response = [\"security\"]\n"
        )
    };
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n{}{}",
        runtime(),
        function("security", "transform", "config = {}"),
        origin.address,
        site("open.example", "server_timing = true\n"),
        site("closed.example", ""),
    );
    let node = TestNode::start(&toml).await;
    let mut client = node.client().await;
    for (round, cache) in [("miss", "cache;desc=uri-miss"), ("hit", "cache;desc=hit")] {
        let open = client.get_with("/a", &[("host", "open.example")]).await;
        let told = open.field("server-timing");
        assert!(told.contains(cache), "{round}: {told}");
        assert!(told.contains("fn-security;dur="), "{round}: {told}");
        assert!(told.contains("total;dur="), "{round}: {told}");
        assert_eq!(told.contains("origin;dur="), round == "miss", "{told}");
        let closed = client.get_with("/a", &[("host", "closed.example")]).await;
        assert_eq!(closed.field("server-timing"), "", "{round}");
    }
}
