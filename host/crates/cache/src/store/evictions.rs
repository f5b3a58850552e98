//! What had to go for others, by site: counted where an entry is put out, and
//! nowhere on the way of a hit.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Most sites that are counted one by one.
const SITES_MAX: usize = 1000;

/// Stands for all sites above that.
const OTHER_SITES: &str = "other";

/// What had to go of one site since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteEvictions {
    /// The site's configured name; `None` for what is of no site.
    pub site: Option<Arc<str>>,
    /// Keys with all that was stored under them.
    pub evictions: u64,
    /// Their bytes, by what they cost.
    pub bytes: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Evictions(Mutex<BTreeMap<Option<Arc<str>>, Counts>>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    evictions: u64,
    bytes: u64,
}

impl Evictions {
    /// A key of `site` went, with `bytes`.
    pub(super) fn note(&self, site: Option<&Arc<str>>, bytes: u64) {
        let mut sites = self.0.lock();
        let site = site.cloned();
        let site = if sites.len() < SITES_MAX || sites.contains_key(&site) {
            site
        } else {
            Some(OTHER_SITES.into())
        };
        let counts = sites.entry(site).or_default();
        counts.evictions = counts.evictions.saturating_add(1);
        counts.bytes = counts.bytes.saturating_add(bytes);
    }

    /// All, by name.
    pub(super) fn all(&self) -> Vec<SiteEvictions> {
        let sites = self.0.lock();
        let counted = sites.iter().map(|(site, counts)| SiteEvictions {
            site: site.clone(),
            evictions: counts.evictions,
            bytes: counts.bytes,
        });
        counted.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_told_apart_up_to_a_bound() {
        let evictions = Evictions::default();
        evictions.note(None, 5);
        for number in 0..SITES_MAX + 10 {
            evictions.note(Some(&format!("site-{number:04}").into()), 10);
        }
        evictions.note(Some(&"site-0003".into()), 7);
        let all = evictions.all();
        assert_eq!(all.len(), SITES_MAX + 1);
        let of = |name: Option<&str>| {
            let found = all.iter().find(|counted| counted.site.as_deref() == name);
            found.map(|counted| (counted.evictions, counted.bytes))
        };
        assert_eq!(of(None), Some((1, 5)));
        assert_eq!(of(Some("site-0003")), Some((2, 17)));
        assert_eq!(of(Some(OTHER_SITES)), Some((11, 110)));
    }
}
