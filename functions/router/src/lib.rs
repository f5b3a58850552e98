//! Chooses an origin by cookie, by path, or by a sticky A/B assignment, in this order.
//! The rules stand in `rules.rs` and know neither requests nor responses; this file asks them.

mod rules;

use verge_sdk::{Error, Request, Response, Verdict, context, random};

use rules::{AssignBy, Choice, Experiment, Rules};

/// The field by which an origin learns the variant.
const VARIANT_FIELD: &str = "x-variant";

/// The name under which a new assignment travels to `viewer-response`.
const ASSIGNED: &str = "router.assigned";

/// Chooses the origin, and makes the choice part of the cache key where the path does not tell it.
#[verge_sdk::viewer_request]
fn route(request: &mut Request) -> Result<Verdict, Error> {
    let rules = Rules::from_config()?;
    let cookie = rules
        .cookie_name
        .as_ref()
        .and_then(|name| request.cookie(name));
    match rules.choose(cookie.as_deref(), request.path()) {
        Choice::Cookie(origin) => {
            request.set_origin(&origin)?;
            // Two clients with one URL may go to two origins: they must not share a response.
            request.add_key_part("router-origin", &origin)?;
        }
        Choice::Path(origin) => request.set_origin(&origin)?,
        Choice::Experiment(experiment) => experiment_route(request, &experiment)?,
        Choice::None => {}
    }
    Ok(Verdict::Next)
}

fn experiment_route(request: &mut Request, experiment: &Experiment) -> Result<(), Error> {
    let kept = request.cookie(&experiment.cookie);
    let kept = kept.and_then(|name| experiment.variant(&name));
    let variant = match kept {
        Some(variant) => variant,
        None => {
            let ticket = match experiment.by {
                AssignBy::Random => random::u64(),
                AssignBy::Client => {
                    rules::hash(&experiment.cookie, &request.client().network().to_string())
                }
            };
            let variant = experiment.assign(ticket);
            context::set(ASSIGNED, &variant.name)?;
            variant
        }
    };
    if let Some(origin) = &variant.origin {
        request.set_origin(origin)?;
    }
    request.add_key_part("router-variant", &variant.name)?;
    // The key part says the same as the field; the field need not be a part of its own.
    request.declare_unkeyed(VARIANT_FIELD)?;
    request
        .edit()
        .set(VARIANT_FIELD, variant.name.as_str())
        .apply()?;
    Ok(())
}

/// Gives a client that was newly assigned the cookie that keeps it in its variant.
#[verge_sdk::viewer_response]
fn remember(request: &Request, response: &mut Response) -> Result<(), Error> {
    let Some(variant) = context::text(ASSIGNED) else {
        return Ok(());
    };
    let Some(experiment) = Rules::from_config()?.experiment else {
        return Ok(());
    };
    let secure = request.scheme().as_str() == "https";
    let cookie = experiment.set_cookie(&variant, secure);
    response.edit().append("set-cookie", cookie).apply()?;
    Ok(())
}

#[cfg(test)]
mod tests;
