//! Derives a field from who the user is (the cookie `user`), as `auth` does. It becomes a part of
//! the cache key, so that no other user gets the response; with `unkeyed` in the query it is
//! declared unkeyed, and everybody does: what a function must not do with such a field.

use verge_sdk::{Error, Request, Verdict};

#[verge_sdk::viewer_request]
fn derive(request: &mut Request) -> Result<Verdict, Error> {
    let user = request.cookie("user").unwrap_or("nobody".into());
    if request
        .query()
        .is_some_and(|query| query.contains("unkeyed"))
    {
        request.declare_unkeyed("x-user")?;
    }
    request
        .edit()
        .set("x-user", user)
        .remove("cookie")
        .apply()?;
    Ok(Verdict::Next)
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Request, effects};

    #[test]
    fn field_is_keyed_unless_declared() {
        for (path, keyed) in [("/", true), ("/?unkeyed", false)] {
            let mut request = Request::get(path).header("cookie", "user=ada").build();
            let _ = super::derive(&mut request).expect("it derives");
            assert_eq!(request.header("x-user").expect("set"), "ada");
            assert_eq!(effects(&request).keys_by("x-user"), keyed, "{path}");
        }
    }
}
