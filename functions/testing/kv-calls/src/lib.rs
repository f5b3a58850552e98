//! Does with a key-value store what the path says, `/STORE/OPERATION/KEY`, and answers with the
//! store's word. The query has the arguments: `value`, `ttl` in milliseconds, `by`, `if` (`absent`,
//! `version:N` or `value:V`), `after`, `limit`, and `size` for a value of so many bytes.

use std::time::Duration;

use verge_sdk::http::StatusCode;
use verge_sdk::kv::{Entry, Expected, KvError, Store, Swapped};
use verge_sdk::{Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn call(request: &mut Request) -> Verdict {
    let text = match answer(request.path(), request.query().unwrap_or_default()) {
        Ok(text) => text,
        Err(error) => format!("{error:?}"),
    };
    let response = Response::new(StatusCode::OK).with_header("cache-control", "no-store");
    Verdict::Respond(response.with_body(text))
}

fn answer(path: &str, query: &str) -> Result<String, KvError> {
    let mut parts = path.trim_start_matches('/').splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    let (store, operation, key) = (part(), part(), part());
    let argument = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    let number = |name: &str| argument(name).and_then(|text| text.parse::<u64>().ok());
    let ttl = number("ttl").map(Duration::from_millis);
    let large = vec![b'x'; number("size").unwrap_or(0) as usize];
    let value = argument("value").map_or(large.as_slice(), str::as_bytes);
    let store = Store::open(store)?;
    Ok(match operation {
        "get" => shown(store.get(key)?),
        "many" => {
            let keys: Vec<&str> = key.split(',').collect();
            let found = store.get_many(&keys)?.into_iter().map(shown);
            found.collect::<Vec<_>>().join(" ")
        }
        "exists" => store.exists(key)?.to_string(),
        "delete" => store.delete(key)?.to_string(),
        "set" => match ttl {
            None => store.set(key, value)?,
            Some(ttl) => store.set_for(key, value, ttl)?,
        }
        .to_string(),
        "increment" => {
            let by = argument("by").and_then(|by| by.parse().ok()).unwrap_or(1);
            match ttl {
                None => store.increment(key, by)?,
                Some(ttl) => store.increment_for(key, by, ttl)?,
            }
            .to_string()
        }
        "swap" => {
            let expected = match argument("if").and_then(|text| text.split_once(':')) {
                Some(("version", version)) => Expected::Version(version.parse().unwrap_or(0)),
                Some((_, value)) => Expected::Value(value.as_bytes()),
                None => Expected::Absent,
            };
            match store.swap(key, expected, value, ttl)? {
                Swapped::Written(version) => format!("written {version}"),
                Swapped::Conflict(entry) => format!("conflict {}", shown(entry)),
            }
        }
        "list" => {
            let limit = number("limit").unwrap_or(1000) as u32;
            let page = store.page(key, argument("after"), limit)?;
            let end = page
                .cursor
                .map_or("end".to_owned(), |key| format!("after {key}"));
            format!("{} {end}", page.keys.join(","))
        }
        // The same counter from two places at once, by what was read.
        "add" => {
            let mut found = store.get(key)?;
            loop {
                let old = found.as_ref().map_or("0", text).parse::<u64>();
                let new = (old.unwrap_or(0) + 1).to_string();
                match store.swap(key, Expected::entry(found.as_ref()), &new, None)? {
                    Swapped::Written(_) => break new,
                    Swapped::Conflict(now) => found = now,
                }
            }
        }
        other => format!("no operation {other}"),
    })
}

fn shown(entry: Option<Entry>) -> String {
    match entry {
        None => "none".to_owned(),
        Some(entry) if entry.value.len() > 1000 => format!("{} bytes", entry.value.len()),
        Some(entry) => format!("{}@{}", text(&entry), entry.version),
    }
}

fn text(entry: &Entry) -> &str {
    std::str::from_utf8(&entry.value).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::Host;

    use super::answer;

    #[test]
    fn it_does_what_it_is_told() {
        let _host = Host::new().kv_store("s");
        for (path, query, expected) in [
            ("/s/get/k", "", "none"),
            ("/s/set/k", "value=v", "1"),
            ("/s/get/k", "", "v@1"),
            ("/s/swap/k", "if=version:1&value=w", "written 2"),
            ("/s/swap/k", "value=x", "conflict w@2"),
            ("/s/increment/n", "by=-3", "-3"),
            ("/s/list/", "limit=1", "k after k"),
            ("/s/add/m", "", "1"),
            ("/s/many/k,x", "", "w@2 none"),
        ] {
            assert_eq!(answer(path, query).as_deref(), Ok(expected), "{path}");
        }
    }
}
