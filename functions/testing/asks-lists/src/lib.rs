//! Asks an address list: `/NAME/ADDRESS` answers with the entry, `none`, or the error.

use std::net::IpAddr;

use verge_sdk::acl::{self, Action};
use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn ask(request: &mut Request) -> Result<Verdict, Error> {
    let path = request.path().to_owned();
    let Some((name, address)) = path.trim_start_matches('/').split_once('/') else {
        return Ok(Verdict::Next);
    };
    let address: IpAddr = address.parse()?;
    let answer = match acl::lookup(name, address) {
        Err(error) => error.to_string(),
        Ok(None) => "none".to_owned(),
        Ok(Some(entry)) => {
            let word = match entry.action {
                Action::Allow => "allow",
                Action::Deny => "deny",
            };
            let label = entry.label.unwrap_or_default();
            format!("{} {word} {label}", entry.prefix)
                .trim_end()
                .to_owned()
        }
    };
    Ok(Verdict::Respond(
        Response::new(StatusCode::OK).with_body(answer),
    ))
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::{Host, Request, responded};

    fn answer(path: &str) -> String {
        let verdict = super::ask(&mut Request::get(path).build()).expect("it answers");
        let content = responded(verdict).read_body(1000).expect("it has content");
        String::from_utf8(content).expect("it is text")
    }

    #[test]
    fn the_longest_prefix_of_a_granted_list_answers() {
        let entries = ["10.0.0.0/8", "10.1.0.0/16 deny lab", "fd00::/8 vpn"];
        let _host = Host::new().acl("office", &entries);
        assert_eq!(answer("/office/10.2.3.4"), "10.0.0.0/8 allow");
        assert_eq!(answer("/office/10.1.3.4"), "10.1.0.0/16 deny lab");
        assert_eq!(answer("/office/fd00::1"), "fd00::/8 allow vpn");
        assert_eq!(answer("/office/192.0.2.1"), "none");
        assert_eq!(answer("/other/10.1.3.4"), "no list `other` was granted");
    }
}
