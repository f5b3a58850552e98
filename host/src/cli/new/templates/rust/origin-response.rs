//! Gives responses that say nothing of their freshness a lifetime, before they are stored.

use verge_sdk::{Error, Request, Response, config, log};

/// Runs for each response of an origin, before it is stored: what it changes is stored.
#[verge_sdk::origin_response]
fn freshen(request: &Request, response: &mut Response) -> Result<(), Error> {
    if response.header("cache-control").is_some() || !response.status().is_success() {
        return Ok(());
    }
    let lifetime = config::get("lifetime").unwrap_or("60".into());
    log::debug!("{} is fresh for {lifetime} s", request.path());
    let value = format!("max-age={lifetime}");
    response.edit().set("cache-control", value).apply()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use verge_sdk::testing;

    #[test]
    fn only_responses_that_say_nothing_are_changed() {
        let _host = testing::Host::new().config("lifetime", "5");
        let request = testing::Request::get("/page").build();
        for (own, expected) in [(None, "max-age=5"), (Some("no-store"), "no-store")] {
            let mut response = testing::Response::ok();
            if let Some(own) = own {
                response = response.header("cache-control", own);
            }
            let mut response = response.build();
            freshen(&request, &mut response).expect("it works");
            let value = response.header("cache-control").expect("it is there");
            assert_eq!(value, expected);
        }
    }
}
