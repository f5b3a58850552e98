//! Every shape that a trigger function may have.

use verge_sdk::{Error, Request, Response, Verdict};

mod infallible {
    use super::*;

    #[verge_sdk::viewer_request]
    fn first(_: &mut Request) -> Verdict {
        Verdict::Next
    }

    #[verge_sdk::viewer_response]
    fn last(_request: &Request, _response: &mut Response) {}
}

mod fallible {
    use super::*;

    #[verge_sdk::origin_request]
    pub fn there(request: &mut Request) -> Result<Verdict, Error> {
        let _ = request.path();
        Ok(Verdict::Next)
    }

    #[verge_sdk::origin_response]
    fn back(_: &Request, response: &mut Response) -> Result<(), verge_sdk::EditError> {
        response.edit().set("x", "y").apply()
    }
}

mod reading {
    use super::*;

    /// It may also promise to change nothing, and name its error as text.
    #[verge_sdk::viewer_request]
    fn look(request: &Request) -> Result<Verdict, String> {
        Err(request.path().to_owned())
    }
}

fn main() {}
