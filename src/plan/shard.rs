//! Shards: several operators that share the accounts of a cluster. An account belongs to one shard, decided by what the
//! specification of a console token says and never changes, so that every token of an account is in one shard.

use super::hash;
use super::identity::TokenRef;
use super::ledger::Place;
use std::fmt;

/// Most shards that a cluster may have.
const MOST: u16 = 64;

/// One of several shards, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u16,
    of: u16,
}

/// One operator for all accounts.
impl Default for Shard {
    fn default() -> Self {
        Self { index: 1, of: 1 }
    }
}

impl Shard {
    /// Reads `2/3`: the second of three.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = || {
            let (index, of) = text.trim().split_once('/')?;
            Some(Self { index: index.parse().ok()?, of: of.parse().ok()? })
        };
        let fits = |it: &Self| it.index >= 1 && it.index <= it.of && it.of <= MOST;
        numbers().filter(fits).ok_or_else(|| {
            format!("must be the number of this shard and how many there are, such as 1/3 for the first of three; at most {MOST}")
        })
    }

    /// How many there are.
    pub const fn count(self) -> u16 {
        self.of
    }

    /// Whether there is one operator for all accounts.
    pub const fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Whether this shard works for the account at that place. Where the token decides which account of an API it leads to, all
    /// accounts of the API are in one shard: two tokens may lead to the same one.
    pub fn works_at(self, place: &Place) -> bool {
        let api = place.api();
        self.has(&[api.vendor(), api.endpoint(), &place.account].map(str::as_bytes))
    }

    /// Whether this shard works for what names a console token that does not exist, or cannot be read.
    pub fn works_for(self, token: &TokenRef) -> bool {
        self.has(&[token.kind.name().as_bytes(), token.to_string().as_bytes()])
    }

    fn has(self, parts: &[&[u8]]) -> bool {
        let digest = hash::digest(parts);
        let number = u64::from_be_bytes([
            digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
        ]);
        number % u64::from(self.of) == u64::from(self.index - 1)
    }

    /// The name of the Lease on which the replicas of this shard agree: `base`, or `base-2-of-3`.
    pub fn lease(self, base: &str) -> String {
        if self.is_whole() { base.to_owned() } else { format!("{base}-{}-of-{}", self.index, self.of) }
    }

    /// The number of shards that a Lease with this name is of, if it is another number: its holder may work for accounts of
    /// this shard.
    pub fn division_of(self, base: &str, lease: &str) -> Option<u16> {
        let rest = lease.strip_prefix(base)?;
        let of = match rest.strip_prefix('-').and_then(|it| it.split_once("-of-")) {
            Some((index, of)) if index.parse::<u16>().is_ok() => of.parse().ok(),
            _ => rest.is_empty().then_some(1),
        };
        of.filter(|of| *of != self.of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(endpoint: &str, account: &str) -> Place {
        Place::of(&TokenRef::shared("t"), "edgee", endpoint, account)
    }

    #[test]
    fn every_account_is_in_exactly_one_shard_and_shards_are_about_equal() {
        for of in [1, 2, 3, 5] {
            let shards: Vec<_> = (1..=of).map(|index| Shard { index, of }).collect();
            let mut sizes = vec![0; shards.len()];
            for number in 0..600 {
                let place = place("https://api.example.com", &format!("org_{number}"));
                let owners: Vec<_> = (0..shards.len()).filter(|it| shards[*it].works_at(&place)).collect();
                assert_eq!(owners.len(), 1, "{number} of {of}");
                sizes[owners[0]] += 1;
            }
            assert!(sizes.iter().all(|it| *it > 600 / usize::from(of) / 2), "{sizes:?}");
        }
    }

    #[test]
    fn all_tokens_of_an_account_are_in_its_shard() {
        let other = Place::of(&TokenRef::beside(Some("b".to_owned()), "u"), "edgee", "https://a", "org");
        let shard = Shard { index: 1, of: 2 };
        assert_eq!(shard.works_at(&place("https://a", "org")), shard.works_at(&other));
        for spelt in ["https://A:443/", "https://a/"] {
            assert_eq!(shard.works_at(&place(spelt, "org")), shard.works_at(&other), "{spelt}");
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        assert_eq!(Shard::parse(" 2/3 "), Ok(Shard { index: 2, of: 3 }));
        for text in ["", "1", "0/2", "3/2", "1/0", "1/65", "a/b", "-1/2", "1/2/3"] {
            assert!(Shard::parse(text).is_err_and(|it| it.contains("1/3")), "{text}");
        }
    }

    #[test]
    fn leases_of_another_number_of_shards_are_told_from_those_of_this() {
        let shard = Shard { index: 2, of: 3 };
        assert_eq!(shard.lease("keysmith"), "keysmith-2-of-3");
        assert_eq!(Shard::default().lease("keysmith"), "keysmith");
        for (lease, other) in [
            ("keysmith", Some(1)),
            ("keysmith-1-of-2", Some(2)),
            ("keysmith-1-of-3", None),
            ("keysmith-2-of-3", None),
            ("keysmith-x-of-2", None),
            ("keysmithy", None),
            ("other", None),
        ] {
            assert_eq!(shard.division_of("keysmith", lease), other, "{lease}");
        }
        assert_eq!(Shard::default().division_of("keysmith", "keysmith-1-of-2"), Some(2));
        assert_eq!(Shard::default().division_of("keysmith", "keysmith"), None);
    }
}
