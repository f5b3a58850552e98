//! Tells the origin which edge asks, and takes away what it need not know.

use verge_sdk::{Error, Request, Verdict, config, log};

/// Runs for each request that goes to an origin: on misses, not on hits.
#[verge_sdk::origin_request]
fn introduce(request: &mut Request) -> Result<Verdict, Error> {
    let edge = config::get("edge").unwrap_or("verge".into());
    log::debug!("asking the origin for {}", request.path());
    request
        .edit()
        .set("x-edge", edge)
        .remove("x-debug")
        .apply()?;
    Ok(Verdict::Next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use verge_sdk::testing;

    #[test]
    fn the_origin_learns_the_edge_and_no_more() {
        let _host = testing::Host::new().config("edge", "north");
        let request = testing::Request::get("/page").header("x-debug", "1");
        let mut request = request.in_trigger(testing::Trigger::OriginRequest).build();
        assert!(matches!(introduce(&mut request), Ok(Verdict::Next)));
        assert_eq!(request.header("x-edge").expect("it is set"), "north");
        assert_eq!(request.header("x-debug"), None);
    }
}
