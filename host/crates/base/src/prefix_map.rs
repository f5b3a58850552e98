//! Values by address prefix, found by the longest prefix that an address is in.
//!
//! One hash table for each length that occurs, asked from the longest on: a lookup takes at most
//! as many steps as an address has bits, however many prefixes there are, and an entry takes as
//! much memory as its value and one number.

use std::collections::HashMap;
use std::net::IpAddr;

/// A map from prefixes of IPv4 and IPv6 addresses. An IPv4 address in IPv6 (RFC 4291 2.5.5.2)
/// is looked up as the IPv4 address that it is.
#[derive(Clone, Debug)]
pub struct PrefixMap<T> {
    v4: Family<T>,
    v6: Family<T>,
}

/// The prefixes of one family by length, longest first; bits are those of the address, from the
/// left of a number.
#[derive(Clone, Debug)]
struct Family<T>(Vec<(u8, HashMap<u128, T>)>);

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self {
            v4: Family(Vec::new()),
            v6: Family(Vec::new()),
        }
    }
}

impl<T> PrefixMap<T> {
    /// Puts a value under a prefix, of which bits after `length` do not count, and returns the
    /// one that was there. A length over that of the address is taken as the whole address.
    pub fn insert(&mut self, address: IpAddr, length: u8, value: T) -> Option<T> {
        let (bits, most) = bits(address);
        let length = length.min(most);
        self.family_mut(address).insert(bits, length, value)
    }

    /// The longest prefix that `address` is in: its length and its value.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<(u8, &T)> {
        let address = address.to_canonical();
        let family = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        family.lookup(bits(address).0)
    }

    /// How many prefixes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let families = [&self.v4, &self.v6];
        let lengths = families.iter().flat_map(|family| &family.0);
        lengths.map(|(_, prefixes)| prefixes.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn family_mut(&mut self, address: IpAddr) -> &mut Family<T> {
        match address {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

impl<T> Family<T> {
    fn insert(&mut self, bits: u128, length: u8, value: T) -> Option<T> {
        let bits = masked(bits, length);
        let place = self.0.partition_point(|(known, _)| *known > length);
        match self.0.get_mut(place) {
            Some((known, prefixes)) if *known == length => prefixes.insert(bits, value),
            _ => {
                self.0
                    .insert(place, (length, HashMap::from([(bits, value)])));
                None
            }
        }
    }

    fn lookup(&self, bits: u128) -> Option<(u8, &T)> {
        self.0
            .iter()
            .find_map(|(length, prefixes)| Some((*length, prefixes.get(&masked(bits, *length))?)))
    }
}

/// An address from the left of a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn masked(bits: u128, length: u8) -> u128 {
    let dropped = 128_u32.saturating_sub(length.into());
    bits & u128::MAX.checked_shl(dropped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(prefixes: &[(&str, u8)]) -> PrefixMap<usize> {
        let mut map = PrefixMap::default();
        for (number, (address, length)) in prefixes.iter().enumerate() {
            map.insert(address.parse().unwrap(), *length, number);
        }
        map
    }

    #[test]
    fn longest_prefix_wins() {
        let map = map(&[
            ("10.0.0.0", 8),
            ("10.1.0.0", 16),
            ("10.1.2.3", 32),
            ("2001:db8::", 32),
            ("2001:db8:1::", 48),
            ("2001:db8:1::7", 128),
            ("::", 0),
        ]);
        let table = [
            ("10.9.9.9", Some((8, 0))),
            ("10.1.9.9", Some((16, 1))),
            ("10.1.2.3", Some((32, 2))),
            ("10.1.2.4", Some((16, 1))),
            ("11.0.0.0", None),
            ("0.0.0.0", None),
            ("::ffff:10.1.2.3", Some((32, 2))),
            ("2001:db8:2::1", Some((32, 3))),
            ("2001:db8:1:ffff::1", Some((48, 4))),
            ("2001:db8:1::7", Some((128, 5))),
            ("2001:db9::", Some((0, 6))),
        ];
        for (address, expected) in table {
            let found = map.lookup(address.parse().unwrap());
            assert_eq!(found.map(|(length, n)| (length, *n)), expected, "{address}");
        }
        assert_eq!(map.len(), 7);
    }

    #[test]
    fn bits_after_the_length_do_not_count_and_the_last_value_stays() {
        let mut map = map(&[("192.0.2.255", 24)]);
        assert_eq!(map.insert("192.0.2.1".parse().unwrap(), 24, 9), Some(0));
        let found = map.lookup("192.0.2.77".parse().unwrap());
        assert_eq!(found, Some((24, &9)));
        assert_eq!(map.insert("192.0.2.1".parse().unwrap(), 99, 1), None);
        assert_eq!(map.lookup("192.0.2.1".parse().unwrap()), Some((32, &1)));
    }

    #[test]
    fn agrees_with_a_walk_through_all_prefixes() {
        // A generator of its own, so that the test is the same each time.
        let mut seed = 7_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u32
        };
        let mut map = PrefixMap::default();
        let mut all: Vec<(u32, u8)> = Vec::new();
        for _ in 0..2000 {
            let (bits, length) = (next() & 0xffff_0000, (next() % 33) as u8);
            map.insert(IpAddr::V4(bits.into()), length, ());
            all.push((bits, length));
        }
        for _ in 0..2000 {
            let address = next() & 0xffff_00ff;
            let inside = |(bits, length): &&(u32, u8)| {
                let dropped = 32 - u32::from(*length);
                (bits ^ address).checked_shr(dropped).unwrap_or(0) == 0
            };
            let expected = all.iter().filter(inside).map(|(_, length)| *length).max();
            let found = map.lookup(IpAddr::V4(address.into()));
            assert_eq!(found.map(|(length, ())| length), expected);
        }
    }
}
