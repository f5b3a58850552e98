//! From what an operator names to scopes of the cache, and the sweeps that
//! free what was purged.

use std::sync::Arc;
use std::time::Duration;

use verge_cache::{Hardness, Purge, PurgeScope, PurgeTarget, ScopeInvalid, SweepCursor};
use verge_config::SiteName;
use verge_http::surrogate::SurrogateKey;

use super::NodeState;
use crate::admin::{PurgeDone, PurgeItem, PurgeScopeText, ScopeProblem};
use crate::generation::Generation;
use crate::pipeline::{OperatorUrl, each_stored_target};
use crate::route::Site;

/// Stored responses that one step of a sweep looks at.
const SWEEP_STEP: usize = 1_024;

/// The pause between steps, so that a sweep never takes a core for itself.
const SWEEP_PAUSE: Duration = Duration::from_millis(5);

/// Purges what `item` names.
///
/// # Errors
/// What is wrong with it: a typo must not look like a purge.
pub(super) fn purge(state: &NodeState, item: &PurgeItem) -> Result<PurgeDone, ScopeProblem> {
    let generation = state.generation.load();
    let hardness = if item.soft {
        Hardness::Soft
    } else {
        Hardness::Hard
    };
    let done = match &item.scope {
        PurgeScopeText::Url(text) => purge_url(state, &generation, text, hardness)?,
        other => {
            let scope = scope(&generation, other)?;
            state.cache.purge(scope, hardness)
        }
    };
    tracing::info!(scope = %done.scope, hardness = hardness.label(), id = %done.id, "purged");
    Ok(PurgeDone {
        scope: done.scope.to_string(),
        hardness: hardness.label().to_owned(),
        sequence: done.id.number,
        id: done.id.to_string(),
    })
}

/// Purges a URL of one site for a function of it.
///
/// # Errors
/// It is no URL, or of another site.
pub(crate) fn purge_site_url(
    state: &NodeState,
    generation: &Generation,
    site: &Arc<Site>,
    text: &str,
    hardness: Hardness,
) -> Result<(), ScopeProblem> {
    let url = served_url(generation, text)?;
    let chosen = generation.sites.select_site(url.authority.host());
    if !chosen.is_ok_and(|entry| Arc::ptr_eq(entry.site(), site)) {
        return Err(ScopeProblem {
            what: "it is of another site".to_owned(),
            expected: "a URL of the request's own site".to_owned(),
        });
    }
    purge_url(state, generation, text, hardness).map(drop)
}

fn purge_url(
    state: &NodeState,
    generation: &Generation,
    text: &str,
    hardness: Hardness,
) -> Result<Purge, ScopeProblem> {
    let url = served_url(generation, text)?;
    let target = PurgeTarget::new(url.target()).map_err(invalid)?;
    // What key policies store it under, and then what the operator named.
    each_stored_target(&generation.sites, url.target(), |stored| {
        if stored != url.target()
            && let Ok(stored) = PurgeTarget::new(stored)
        {
            state.cache.purge(PurgeScope::Uri(stored), hardness);
        }
    });
    Ok(state.cache.purge(PurgeScope::Uri(target), hardness))
}

fn scope(generation: &Generation, text: &PurgeScopeText) -> Result<PurgeScope, ScopeProblem> {
    match text {
        PurgeScopeText::Url(text) => {
            let url = served_url(generation, text)?;
            PurgeTarget::new(url.target())
                .map(PurgeScope::Uri)
                .map_err(invalid)
        }
        PurgeScopeText::Prefix(text) => {
            let url = served_url(generation, text)?;
            PurgeScope::prefix(url.target()).map_err(invalid)
        }
        PurgeScopeText::Key(text) => surrogate_key(text).map(PurgeScope::SurrogateKey),
        PurgeScopeText::Group { group, origin } => {
            let url = served_url(generation, origin)?;
            let target = PurgeTarget::new(url.target()).map_err(invalid)?;
            Ok(PurgeScope::Group(target, surrogate_key(group)?))
        }
        PurgeScopeText::Site(name) => site(generation, name),
        PurgeScopeText::Function(name) => function(generation, name),
        PurgeScopeText::All => Ok(PurgeScope::Everything),
    }
}

fn served_url(generation: &Generation, text: &str) -> Result<OperatorUrl, ScopeProblem> {
    let url = OperatorUrl::parse(text).map_err(|problem| ScopeProblem {
        what: problem.what,
        expected: problem.expected.to_owned(),
    })?;
    match generation.sites.select_site(url.authority.host()) {
        Ok(_) => Ok(url),
        Err(_) => Err(ScopeProblem {
            what: format!("no site serves `{}`", url.authority.host()),
            expected: format!("a URL of one of the sites {}", site_names(generation)),
        }),
    }
}

fn surrogate_key(text: &str) -> Result<SurrogateKey, ScopeProblem> {
    SurrogateKey::new(text).ok_or_else(|| ScopeProblem {
        what: "it is no surrogate key".to_owned(),
        expected: "1 to 1024 characters of printable ASCII".to_owned(),
    })
}

fn site(generation: &Generation, name: &str) -> Result<PurgeScope, ScopeProblem> {
    let sites = &generation.config.sites;
    // Only a name that was configured: the default site must not stand in for a typo.
    let is_named = |known: &SiteName| match known {
        SiteName::Exact(host) => **host == *name,
        SiteName::Wildcard(suffix) => name.strip_prefix("*.") == Some(&**suffix),
        SiteName::Default => name == "*",
    };
    let known = sites
        .iter()
        .find(|site| *site.name == *name || site.names.iter().any(is_named));
    match known {
        Some(site) => PurgeScope::site(&site.name).map_err(invalid),
        None => Err(ScopeProblem {
            what: format!("there is no site `{name}`"),
            expected: format!("one of {}", site_names(generation)),
        }),
    }
}

/// A digest is taken as it is: it is mostly that of a version which is gone.
fn function(generation: &Generation, name: &str) -> Result<PurgeScope, ScopeProblem> {
    let is_digest = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest
        || generation
            .functions
            .values()
            .any(|entry| &*entry.name == name)
    {
        let normal = if is_digest {
            name.to_ascii_lowercase()
        } else {
            name.to_owned()
        };
        return PurgeScope::function(&normal).map_err(invalid);
    }
    let names: Vec<&str> = generation.functions.values().map(|e| &*e.name).collect();
    Err(ScopeProblem {
        what: format!("there is no function `{name}`"),
        expected: match names.as_slice() {
            [] => "the digest of a function: 64 hexadecimal digits".to_owned(),
            _ => format!(
                "one of {}, or a digest of 64 hexadecimal digits",
                names.join(", ")
            ),
        },
    })
}

fn site_names(generation: &Generation) -> String {
    let names: Vec<&str> = generation.config.sites.iter().map(|s| &*s.name).collect();
    names.join(", ")
}

fn invalid(invalid: ScopeInvalid) -> ScopeProblem {
    ScopeProblem {
        what: invalid.what().to_owned(),
        expected: invalid.expected().to_owned(),
    }
}

/// Frees what was purged, in small steps, for as long as the node lives.
pub(super) async fn sweep(state: Arc<NodeState>) {
    let mut cursor = SweepCursor::default();
    loop {
        let swept = state.cache.sweep(&mut cursor, SWEEP_STEP);
        let pause = if swept.is_done {
            state.generation.load().config.cache_limits.purge_sweep
        } else {
            SWEEP_PAUSE
        };
        tokio::time::sleep(pause).await;
    }
}
