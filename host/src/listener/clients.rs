//! How many connections each client holds. Bounded: a client is remembered
//! only while it holds a connection, and those have permits.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Shards, so that workers that accept at once rarely wait for each other.
const SHARDS: usize = 16;

/// The count of connections for each client; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ClientConnections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    hasher: ahash::RandomState,
    shards: [Mutex<HashMap<IpAddr, usize, ahash::RandomState>>; SHARDS],
}

/// One connection of a client; dropping it gives its place back.
#[derive(Debug)]
#[must_use = "dropping it gives the place back"]
pub(super) struct ClientPlace {
    connections: ClientConnections,
    client: IpAddr,
}

impl ClientConnections {
    /// How many clients hold a connection now.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Takes a place for a connection from `address`, unless its client holds `limit` already.
    pub(super) fn try_take(&self, address: IpAddr, limit: usize) -> Option<ClientPlace> {
        let client = client_of(address);
        let mut shard = self.shard(client)?.lock();
        let held = shard.entry(client).or_insert(0);
        if *held >= limit {
            if *held == 0 {
                shard.remove(&client);
            }
            return None;
        }
        *held += 1;
        drop(shard);
        Some(ClientPlace {
            connections: self.clone(),
            client,
        })
    }

    fn shard(&self, client: IpAddr) -> Option<&Mutex<HashMap<IpAddr, usize, ahash::RandomState>>> {
        let hash = self.0.hasher.hash_one(client);
        self.0.shards.get(hash as usize % SHARDS)
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let Some(shard) = self.connections.shard(self.client) else {
            return;
        };
        let mut shard = shard.lock();
        if let Some(held) = shard.get_mut(&self.client) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                shard.remove(&self.client);
            }
        }
    }
}

/// Whom an address belongs to: an IPv4 address is a client, and so is an IPv6
/// /64, since one subscriber commonly has all of it.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let prefix = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_64_share_a_limit() {
        let clients = ClientConnections::default();
        let first = clients.try_take("2001:db8::1".parse().expect("address"), 1);
        assert!(first.is_some());
        let neighbour = "2001:db8::ffff:1".parse().expect("address");
        assert!(clients.try_take(neighbour, 1).is_none());
        let stranger = clients.try_take("2001:db8:0:1::1".parse().expect("address"), 1);
        assert!(stranger.is_some());
    }

    #[test]
    fn a_client_is_forgotten_with_its_last_connection() {
        let clients = ClientConnections::default();
        let address = "192.0.2.1".parse().expect("address");
        let mapped = "::ffff:192.0.2.1".parse().expect("address");
        let first = clients.try_take(address, 2);
        let second = clients.try_take(mapped, 2);
        assert!(first.is_some() && second.is_some());
        assert!(clients.try_take(address, 2).is_none());
        assert_eq!(clients.clients(), 1);
        drop((first, second));
        assert_eq!(clients.clients(), 0);
        assert!(clients.try_take(address, 0).is_none());
        assert_eq!(clients.clients(), 0);
    }
}
