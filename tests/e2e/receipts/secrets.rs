//! Secrets never reach a log, a metric, a status or an error.

use verge_tests::guests::{function, runtime};
use verge_tests::node::{ADMIN_TOKEN, Setup};
use verge_tests::origin::respond;
use verge_tests::{Origin, log};

const KEY: &str = "KEYSECRET-of-more-than-32-bytes-in-all";
const SECRETS: [&str; 5] = [
    "KEYSECRET",
    "TOKENSECRET",
    "COOKIESECRET",
    "SETSECRET",
    ADMIN_TOKEN,
];

#[tokio::test]
async fn secrets_are_nowhere_to_be_found() {
    log::keep();
    let fields = [
        ("set-cookie", "session=SETSECRET"),
        ("cache-control", "no-store"),
    ];
    let origin = Origin::start(move |_| async move { respond(200, &fields, "content") }).await;
    let setup = Setup::new();
    setup.write("jwt-key", KEY);
    let toml = format!(
        "{}{}[secret.jwt-key]\nfile = \"jwt-key\"\n[origin.app]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"*\"]\nserver_timing = true\n[[site.route]]\npath = \"/private/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"auth\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        runtime(),
        function(
            "auth",
            "auth",
            "config = {}\ngrants = { secret = [\"jwt-key\"], fetch = [], cache = true }"
        ),
        origin.address,
    );
    let node = setup.start(&toml).await;
    let sent = [
        (
            "authorization",
            "Bearer TOKENSECRET.TOKENSECRET.TOKENSECRET",
        ),
        ("cookie", "session=COOKIESECRET"),
        ("proxy-authorization", "Basic TOKENSECRET"),
    ];
    let mut client = node.client().await;
    let refused = client.get_with("/private/a", &sent).await;
    assert_eq!(refused.status, 401);
    let passed = client.get_with("/a", &sent).await;
    assert_eq!(passed.status, 200);
    // A reload that fails names the key's file, not the key.
    node.save("jwt-key", "KEYSECRET short");
    node.save(
        "verge.toml",
        format!("{}\nKEYSECRET", node.config_text()).replace("KEYSECRET", "hedgehog = ["),
    );
    assert_eq!(node.ask_admin("POST", "/reload").await.status, 422);
    node.receipt(&passed.field("x-request-id")).await;

    let access_log = std::fs::read_to_string(node.file("access.log")).unwrap();
    assert!(access_log.lines().count() >= 2);
    let told = [
        ("access log", access_log),
        ("metrics", node.metrics().await),
        ("status", node.ask_admin("GET", "/status").await.text()),
        ("reload", node.ask_admin("POST", "/reload").await.text()),
        ("401", format!("{:?} {}", refused.fields, refused.text())),
        ("server-timing", passed.field("server-timing")),
    ];
    for secret in SECRETS {
        for (place, text) in &told {
            assert!(!text.contains(secret), "{secret} in {place}");
        }
        let lines = log::lines_with(secret);
        assert!(lines.is_empty(), "{secret} in the node's log: {lines:?}");
    }
    assert!(!format!("{:?}", node.state().admin_auth).contains(ADMIN_TOKEN));
}
