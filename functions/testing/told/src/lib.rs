//! Asks for a key-value entry, a random number, the time, a response of `http://app/price` and a
//! secret, and does with the answers what the path says: `/refuse` fails with them, `/trap` logs
//! them and panics, `/answer` answers with them, `/spin` computes for ever after it has them;
//! `/wait` waits for `http://app/never`. What has a secret or the fields `authorization` and
//! `cookie` in it goes everywhere: into requests, the store, the log and the content.

use std::time::UNIX_EPOCH;

use verge_sdk::http::StatusCode;
use verge_sdk::kv::Store;
use verge_sdk::{Error, Request, Response, Verdict, clock, fetch, log, random, secret};

const LIMIT: usize = 1 << 20;

#[verge_sdk::viewer_request]
#[expect(clippy::panic, reason = "a call that traps is to be recorded")]
fn handle(request: &mut Request) -> Result<Verdict, Error> {
    let told = ask(request)?;
    match request.path() {
        "/refuse" => Err(Error::new(told)),
        "/answer" => Ok(Response::new(StatusCode::OK).with_body(told).into()),
        "/spin" => {
            let mut turns = 0_u64;
            while std::hint::black_box(turns) != u64::MAX {
                turns = turns.wrapping_add(2);
            }
            Ok(Verdict::Next)
        }
        "/wait" => {
            fetch::Request::get("http://app/never").send()?.wait()?;
            Ok(Verdict::Next)
        }
        _ => {
            log::write(log::Level::Info, &told);
            panic!("{told}")
        }
    }
}

fn ask(request: &Request) -> Result<String, Error> {
    let store = Store::open("stock")?;
    let tea = store.get("tea")?.map(|entry| entry.value);
    let tea = String::from_utf8(tea.unwrap_or_default()).unwrap_or_default();
    let key = secret::get("key").map(|key| String::from_utf8_lossy(key.expose()).into_owned());
    let key = key.unwrap_or_default();
    let mut price = fetch::Request::get("http://app/price")
        .header("authorization", format!("Bearer {key}"))
        .header("x-key", key.as_str())
        .send()?
        .wait()?;
    let price = String::from_utf8_lossy(&price.read_body(LIMIT)?).into_owned();
    store.set("last", format!("{key} {tea}").as_bytes())?;
    let number = random::u64();
    let time = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let field = |name| {
        let value = request.header(name);
        let text = value.and_then(|value| value.to_str().ok().map(str::to_owned));
        text.unwrap_or_default()
    };
    Ok(format!(
        "{tea} for {price}, number {number}, at {}.{}, {key}, {}, {}",
        time.as_secs(),
        time.subsec_nanos(),
        field("authorization"),
        field("cookie"),
    ))
}
