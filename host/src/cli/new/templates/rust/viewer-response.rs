//! Adds fields to every response on its way to the client, and takes away what gives the server away.

use verge_sdk::{Error, Request, Response, config, log};

/// Runs for each response before it is sent, cache hits too.
#[verge_sdk::viewer_response]
fn protect(request: &Request, response: &mut Response) -> Result<(), Error> {
    let policy = config::get("referrer-policy").unwrap_or("same-origin".into());
    log::debug!("protecting {}", request.path());
    response
        .edit()
        .set("x-content-type-options", "nosniff")
        .set("referrer-policy", policy)
        .remove("server")
        .apply()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use verge_sdk::testing;

    #[test]
    fn fields_are_added_and_removed() {
        let _host = testing::Host::new();
        let request = testing::Request::get("/").build();
        let mut response = testing::Response::ok().header("server", "old/1.0").build();
        protect(&request, &mut response).expect("it works");
        let value = response.header("x-content-type-options");
        assert_eq!(value.expect("it is set"), "nosniff");
        assert_eq!(response.header("server"), None);
    }
}
