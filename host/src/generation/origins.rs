//! Origins: settings to pools, carried over while they are unchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_config::{Config, Problem};
use verge_origin::{Address, Origin, OriginSettings, Roots, TlsSettings};

use super::{Foundation, Generation};
use crate::files;
use crate::route::OriginEntry;

/// Most bytes of a file of certificate authorities.
const AUTHORITIES_BYTES_MAX: u64 = 4 << 20;

/// All origins; adds to `problems` for those that cannot be.
pub(super) fn build(
    config: &Config,
    foundation: &Foundation,
    previous: Option<&Generation>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Arc<str>, Arc<OriginEntry>> {
    let mut origins = BTreeMap::new();
    for (name, settings) in &config.origins {
        match origin_settings(settings) {
            Ok(wanted) => {
                let held = previous
                    .and_then(|generation| generation.origins.get(name))
                    .filter(|entry| *entry.origin.settings() == wanted);
                if let Some(entry) = held {
                    origins.insert(Arc::clone(name), Arc::clone(entry));
                    continue;
                }
                match Origin::new(wanted, foundation.clock.clone(), &foundation.random) {
                    Ok(origin) => {
                        let entry = OriginEntry {
                            name: Arc::clone(name),
                            origin,
                            metrics: foundation.metrics.origin(name),
                        };
                        origins.insert(Arc::clone(name), Arc::new(entry));
                    }
                    Err(error) => problems.push(config.problem(
                        &format!("origin.{name}"),
                        error.to_string(),
                        "",
                    )),
                }
            }
            Err((key, what)) => {
                let expected = match key {
                    "tls.ca" => "expected a readable PEM file of certificate authorities",
                    _ => "",
                };
                problems.push(config.problem(&format!("origin.{name}.{key}"), what, expected));
            }
        }
    }
    origins
}

/// The settings as the origin crate takes them, or a key and what is wrong with it.
pub(crate) fn origin_settings(
    settings: &verge_config::Origin,
) -> Result<OriginSettings, (&'static str, String)> {
    let mut addresses = Vec::with_capacity(settings.addresses.len());
    for address in &settings.addresses {
        let address: Address = address
            .to_string()
            .parse()
            .map_err(|error| ("addresses", format!("`{address}`: {error}")))?;
        addresses.push(address);
    }
    let tls = match &settings.tls {
        None => None,
        Some(tls) => Some(TlsSettings {
            server_name: tls.name.clone(),
            roots: match &tls.ca {
                None => Roots::System,
                Some(path) => Roots::Pem(
                    files::read_bounded(path, AUTHORITIES_BYTES_MAX)
                        .map_err(|what| ("tls.ca", what))?
                        .into(),
                ),
            },
        }),
    };
    let mut wanted = OriginSettings::new(Arc::clone(&settings.name), addresses);
    wanted.tls = tls;
    wanted.host_authority = settings.host.clone();
    wanted.retries = settings.retries;
    wanted.timeouts.connect = settings.timeouts.connect;
    wanted.timeouts.first_byte = settings.timeouts.first_byte;
    wanted.timeouts.between_bytes = settings.timeouts.between_bytes;
    wanted.timeouts.total = settings.timeouts.total;
    wanted.timeouts.idle = settings.timeouts.idle;
    wanted.limits.connections = settings.connections;
    wanted.limits.queue = settings.queue;
    wanted.limits.queue_wait = settings.queue_wait;
    wanted.limits.head_bytes = settings.head_bytes;
    wanted.limits.head_fields = settings.fields;
    Ok(wanted)
}
