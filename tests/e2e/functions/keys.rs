//! What a function derives for one client never answers another.

use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

async fn start(origin: &Origin) -> TestNode {
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\nviewer_request = [\"derive\"]\n",
        runtime(),
        function("derive", "keyed-field", ""),
        origin.address,
    );
    TestNode::start(&toml).await
}

async fn personal() -> Origin {
    Origin::start(async |request| {
        assert_eq!(request.field("cookie"), None, "the function removed it");
        let content = format!("for {}", request.field("x-user").unwrap());
        respond(200, &[("cache-control", "max-age=60")], content)
    })
    .await
}

#[tokio::test]
async fn field_that_a_function_sets_is_a_part_of_the_key() {
    let origin = personal().await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for round in ["fwd=uri-miss", "hit"] {
        for user in ["ada", "bob"] {
            let cookie = format!("user={user}");
            let fields = [("cookie", cookie.as_str()), ("x-user", "eve")];
            let reply = client.get_with("/a", &fields).await;
            assert_eq!(reply.text(), format!("for {user}"));
            assert!(
                reply.cache_status().contains(round),
                "{}",
                reply.cache_status()
            );
        }
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn field_declared_unkeyed_is_shared_as_its_author_said() {
    let origin = personal().await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for user in ["ada", "bob"] {
        let cookie = format!("user={user}");
        let reply = client.get_with("/a?unkeyed", &[("cookie", &cookie)]).await;
        assert_eq!(reply.status, 200);
    }
    // The field `cookie` was removed and not declared: it is keyed, but equal for both.
    assert_eq!(origin.count(), 1);
}
