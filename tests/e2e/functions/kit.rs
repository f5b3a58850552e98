//! A node with one function in front of a static answer.

use verge_tests::TestNode;
use verge_tests::guests::{function, runtime};

/// The configuration of such a node: `guest` as function `f` with these keys, and further
/// sections.
pub(crate) fn toml(guest: &str, keys: &str, sections: &str) -> String {
    format!(
        "{}{}{sections}\n[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"static\" }}\nviewer_request = [\"f\"]\n",
        runtime(),
        function("f", guest, keys),
    )
}

/// Such a node.
pub(crate) async fn start(guest: &str, keys: &str, sections: &str) -> TestNode {
    TestNode::start(&toml(guest, keys, sections)).await
}
