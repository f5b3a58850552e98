//! What a function counts is shown at /metrics with its name, in a bounded number of series.

use super::kit::start;

#[tokio::test]
async fn counters_and_histograms_are_shown_with_the_functions_name_and_labels() {
    let node = start("counts", "grants = { metrics = true }", "").await;
    for path in [
        "/count/logins/pro",
        "/count/logins/pro",
        "/count/logins/free",
    ] {
        assert_eq!(node.get(path).await.text(), "counted");
    }
    for path in ["/observe/basket/0.5", "/observe/basket/40"] {
        assert_eq!(node.get(path).await.text(), "counted");
    }
    let page = node.metrics().await;
    for line in [
        "verge_function_counter_total{function=\"f\",counter=\"logins\",plan=\"pro\"} 2",
        "verge_function_counter_total{function=\"f\",counter=\"logins\",plan=\"free\"} 1",
        "verge_function_histogram_sum{function=\"f\",histogram=\"basket\"} 40.5",
        "verge_function_histogram_count{function=\"f\",histogram=\"basket\"} 2",
        "verge_function_histogram_bucket{le=\"1.0\",function=\"f\",histogram=\"basket\"} 1",
        "verge_function_metric_overflows_total{function=\"f\"} 0",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn what_is_over_the_series_limit_is_counted_as_other() {
    let keys = "grants = { metrics = true }\nmetric_series = 2";
    let node = start("counts", keys, "").await;
    for plan in ["a", "b", "c", "d", "a"] {
        assert_eq!(
            node.get(&format!("/count/logins/{plan}")).await.text(),
            "counted"
        );
    }
    node.get("/observe/basket/1").await;
    let page = node.metrics().await;
    for line in [
        "verge_function_counter_total{function=\"f\",counter=\"logins\",plan=\"a\"} 2",
        "verge_function_counter_total{function=\"f\",counter=\"other\"} 2",
        "verge_function_histogram_count{function=\"f\",histogram=\"other\"} 1",
        "verge_function_metric_overflows_total{function=\"f\"} 3",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    assert!(!page.contains("plan=\"c\""), "{page}");
}

#[tokio::test]
async fn wrong_names_and_values_are_errors_for_the_guest() {
    let node = start("counts", "grants = { metrics = true }", "").await;
    let refused = node.get("/count/9lives/pro").await;
    assert_eq!(refused.text(), "no metric or label can have that name");
    let refused = node.get("/observe/basket/NaN").await;
    assert_eq!(refused.text(), "the value is not a finite number");
    let long = format!("/count/logins/{}", "v".repeat(129));
    let refused = node.get(&long).await;
    assert_eq!(refused.text(), "too many labels, or too long a value");
}
