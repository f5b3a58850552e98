//! Twenty seconds of what `cargo xtask soak` does for ten minutes.

use std::time::Duration;

use super::kit::binary;

const LENGTH: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_mixed_load_nothing_fails_and_memory_stays_flat() {
    let report = verge_tests::soak::run(binary(), LENGTH).await;
    assert!(
        report.problems.is_empty(),
        "{}\n{}",
        report.problems.join("\n"),
        report.text
    );
}
