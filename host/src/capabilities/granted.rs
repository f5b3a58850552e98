//! What a function was granted that is read from files or opened: when one of them changes, the function
//! gets new capabilities, and requests in flight keep the old ones.

use std::net::IpAddr;
use std::sync::Arc;

use verge_runtime::capabilities::{AclEntry, GeoPlace, UnknownAcl};

use super::kv::Store;
use crate::acl::Acl;
use crate::geo::Geo;
use crate::secrets::SecretText;

/// What one function was granted.
#[derive(Clone, Default)]
pub(crate) struct Granted {
    /// Its secrets.
    pub secrets: Vec<(Arc<str>, SecretText)>,
    /// Its address lists.
    pub acls: Vec<(Arc<str>, Arc<Acl>)>,
    /// Where addresses are, if it may know.
    pub geo: Option<Arc<Geo>>,
    /// Its key-value stores.
    pub kv: Vec<(Arc<str>, Arc<Store>)>,
}

impl Granted {
    /// Whether nothing is different.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same_acls = self.acls.len() == other.acls.len()
            && self
                .acls
                .iter()
                .zip(&other.acls)
                .all(|((name, one), (known, other))| name == known && Arc::ptr_eq(one, other));
        let same_geo = match (&self.geo, &other.geo) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        let settings = |granted: &Self| {
            let stores = granted.kv.iter();
            let settings = stores.map(|(_, store)| store.settings().clone());
            settings.collect::<Vec<_>>()
        };
        let same_kv = settings(self) == settings(other);
        same_acls && same_geo && same_kv && self.secrets == other.secrets
    }

    /// A secret, shared with whoever copies it into a guest's memory.
    pub(super) fn secret(&self, name: &str) -> Option<Arc<[u8]>> {
        let mut secrets = self.secrets.iter();
        let (_, text) = secrets.find(|(known, _)| &**known == name)?;
        Some(text.share())
    }

    /// All of them, with their names.
    pub(super) fn secrets(&self) -> Vec<(String, Arc<[u8]>)> {
        let secrets = self.secrets.iter();
        secrets
            .map(|(name, text)| (name.to_string(), text.share()))
            .collect()
    }

    /// The entry of a list that an address falls under.
    pub(super) fn acl(&self, name: &str, address: IpAddr) -> Result<Option<AclEntry>, UnknownAcl> {
        let mut acls = self.acls.iter();
        let (_, acl) = acls.find(|(known, _)| &**known == name).ok_or(UnknownAcl)?;
        Ok(acl.lookup(address))
    }

    /// Where an address is.
    pub(super) fn geo(&self, address: IpAddr) -> Option<GeoPlace> {
        self.geo.as_ref()?.lookup(address)
    }
}
