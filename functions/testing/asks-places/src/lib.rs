//! Asks where addresses are: `/ADDRESS` answers with what is known of it, or `nothing`.

use verge_sdk::geo;
use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn ask(request: &mut Request) -> Result<Verdict, Error> {
    let path = request.path().to_owned();
    let Ok(address) = path.trim_start_matches('/').parse() else {
        return Ok(Verdict::Next);
    };
    let answer = match geo::lookup(address) {
        None => "nothing".to_owned(),
        Some(place) => {
            let words = [place.country, place.region, place.city, place.time_zone];
            let words = words.map(|word| word.unwrap_or("-".into())).join(" ");
            let degrees = [place.latitude, place.longitude];
            let degrees = degrees
                .map(|n| n.map_or("-".into(), |n| n.to_string()))
                .join(" ");
            let asn = place.asn.map_or("-".into(), |asn| asn.to_string());
            let organisation = place.organisation.unwrap_or("-".into());
            format!("{words} {degrees} {asn} {organisation}")
        }
    };
    Ok(Verdict::Respond(
        Response::new(StatusCode::OK).with_body(answer),
    ))
}

#[cfg(test)]
mod tests {
    use verge_sdk::geo::Place;
    use verge_sdk::testing::{Host, Request, responded};

    #[test]
    fn what_is_known_is_told() {
        let mut place = Place::default();
        place.country = Some("NL".into());
        let _host = Host::new().geo("192.0.2.1", place);
        let verdict = super::ask(&mut Request::get("/192.0.2.1").build()).expect("it answers");
        let content = responded(verdict).read_body(1000).expect("it has content");
        assert_eq!(content, b"NL - - - - - - -");
    }
}
