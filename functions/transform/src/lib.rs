//! Two things of one kind, each at its own trigger. `viewer-response` adds security fields, and
//! removes, sets and renames fields as its settings say: one read and one batch of edits, since it
//! runs on cache hits too. `origin-response` substitutes text and links in content as it streams
//! into the store (`content.rs`), for which `origin-request` asks for content without codings.

mod content;
mod html;
mod replace;

use verge_sdk::http::{HeaderName, HeaderValue};
use verge_sdk::{Edit, Error, Request, Response, Verdict, config};

/// A security field: its name, the setting that changes it, and its default. The word `off` as a
/// setting leaves it out.
struct Protection {
    field: &'static str,
    setting: &'static str,
    default: Option<&'static str>,
}

const HSTS: &str = "strict-transport-security";

const PROTECTIONS: [Protection; 7] = [
    Protection {
        field: HSTS,
        setting: "hsts",
        default: Some("max-age=31536000; includeSubDomains"),
    },
    Protection {
        field: "x-content-type-options",
        setting: "content-type-options",
        default: Some("nosniff"),
    },
    Protection {
        field: "referrer-policy",
        setting: "referrer-policy",
        default: Some("strict-origin-when-cross-origin"),
    },
    Protection {
        field: "x-frame-options",
        setting: "frame-options",
        default: Some("SAMEORIGIN"),
    },
    Protection {
        field: "cross-origin-opener-policy",
        setting: "opener-policy",
        default: Some("same-origin"),
    },
    Protection {
        field: "content-security-policy",
        setting: "csp",
        default: None,
    },
    Protection {
        field: "permissions-policy",
        setting: "permissions-policy",
        default: None,
    },
];

/// Fields that say what made a response, which helps only an attacker.
const REVEALING: &str = "server, x-powered-by, x-aspnet-version, x-generator";

/// Edits the head of a response.
#[verge_sdk::viewer_response]
fn transform(request: &Request, response: &mut Response) -> Result<(), Error> {
    let mut edits = Vec::new();
    remove(&mut edits)?;
    rename(response, &mut edits)?;
    protect(request, response, &mut edits)?;
    set(&mut edits)?;
    response.edit().extend(edits).apply()?;
    Ok(())
}

/// Asks the origin for content that can be read, and for all of it, if there is something to
/// substitute in it. In a part nothing is found that stands across its ends; what were left of it
/// as it is would be put together with others (RFC 9111 3.4).
#[verge_sdk::origin_request]
fn ask(request: &mut Request) -> Result<Verdict, Error> {
    if !content::Substitutions::configured()?.is_empty() {
        let edit = request.edit();
        edit.set("accept-encoding", "identity")
            .remove("range")
            .remove("if-range")
            .apply()?;
    }
    Ok(Verdict::Next)
}

/// Substitutes text and links in content on its way into the store.
#[verge_sdk::origin_response]
fn substitute(request: &Request, response: &mut Response) -> Result<(), Error> {
    content::Substitutions::configured()?.apply(request, response)
}

fn remove(edits: &mut Vec<Edit>) -> Result<(), Error> {
    let names = config::get("remove").unwrap_or(REVEALING.into());
    for part in names
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        edits.push(Edit::Remove(name("remove", part)?));
    }
    Ok(())
}

/// `old=new, ...`: lines keep their order and their values.
fn rename(response: &Response, edits: &mut Vec<Edit>) -> Result<(), Error> {
    for part in config::list("rename") {
        let (old, new) = part
            .split_once('=')
            .ok_or_else(|| Error::new(format!("config `rename`: {part:?} has no `=`")))?;
        let (old, new) = (name("rename", old)?, name("rename", new)?);
        let lines = response.header_lines(&old);
        if lines.is_empty() {
            continue;
        }
        edits.push(Edit::Remove(old));
        edits.push(Edit::Remove(new.clone()));
        edits.extend(
            lines
                .into_iter()
                .map(|line| Edit::Append(new.clone(), line)),
        );
    }
    Ok(())
}

/// What the origin says for itself stays, unless `override` is set.
fn protect(request: &Request, response: &Response, edits: &mut Vec<Edit>) -> Result<(), Error> {
    let overrides = config::parse("override")?.unwrap_or(false);
    let present = response.headers_many(PROTECTIONS.map(|protection| protection.field));
    // RFC 6797 7.2: not over plaintext, where anybody could have written it.
    let secure = request.scheme().as_str() == "https";
    for (protection, present) in PROTECTIONS.iter().zip(present) {
        let setting = config::get(protection.setting);
        let wanted = setting.as_deref().or(protection.default);
        let Some(wanted) = wanted.filter(|wanted| !matches!(*wanted, "" | "off")) else {
            continue;
        };
        if (present.is_some() && !overrides) || (protection.field == HSTS && !secure) {
            continue;
        }
        let field = HeaderName::from_static(protection.field);
        edits.push(Edit::Set(field, value(protection.setting, wanted)?));
    }
    Ok(())
}

/// One `name: value` for each line of the setting.
fn set(edits: &mut Vec<Edit>) -> Result<(), Error> {
    let lines = config::get("set").unwrap_or_default();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (field, text) = line
            .split_once(':')
            .ok_or_else(|| Error::new(format!("config `set`: {line:?} has no `:`")))?;
        edits.push(Edit::Set(name("set", field)?, value("set", text)?));
    }
    Ok(())
}

fn name(setting: &str, text: &str) -> Result<HeaderName, Error> {
    let text = text.trim();
    HeaderName::try_from(text)
        .map_err(|_| Error::new(format!("config `{setting}`: {text:?} is no field name")))
}

fn value(setting: &str, text: &str) -> Result<HeaderValue, Error> {
    let text = text.trim();
    HeaderValue::try_from(text)
        .map_err(|_| Error::new(format!("config `{setting}`: {text:?} is no field value")))
}

#[cfg(test)]
mod tests;
