//! The name of a key at the vendor contains a mark: its cluster, its resource, and a sequence number (the serial).
//! By the mark, the key of a create call with an unknown outcome is found, and our keys differ from all others.
//!
//! A name is `<display name> [ks-<cluster>-<owner>-<serial>]`: six characters of the cluster's hash, sixteen of the
//! hash of cluster and resource UID, and the serial. If the vendor uses the name as the key's identity, only
//! lower-case letters, digits and hyphens are allowed, and the name is
//! `<display-name>-ks-<cluster>-<owner>-<serial>`.

use super::class::ControllerClass;
use super::hash;
use serde::Serialize;
use std::fmt;

const PREFIX: &str = "ks-";
const CLUSTER: usize = 6;
const OWNER: usize = 16;
/// The longest name that every known vendor accepts.
pub const LONGEST_NAME: usize = 100;

/// The longest display name; the mark always fits behind it.
const LONGEST_DISPLAY: usize = 64;
/// The longest name of style `Slug`: the limit of a DNS label, which every known vendor accepts.
const LONGEST_SLUG: usize = 63;

/// The format of names at a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NameStyle {
    /// Any text: the mark is in brackets after the display name and can be changed later.
    Title,
    /// The name is the key's identity: lower-case letters, digits and hyphens; it cannot be changed.
    Slug,
}

/// The text reduced to lower-case letters, digits and hyphens.
fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for letter in text.chars().map(|it| it.to_ascii_lowercase()) {
        match letter {
            'a'..='z' | '0'..='9' => slug.push(letter),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug
}

/// The display name: as specified, or the resource's name, cut to the longest length.
pub fn display(written: Option<&str>, resource: &str) -> String {
    written.unwrap_or(resource).chars().take(LONGEST_DISPLAY).collect()
}

/// The highest serial that is accepted; no resource creates so many keys. A higher one in a name, annotation,
/// Secret or status comes from a person or a vendor and is ignored.
const HIGHEST: u64 = 1_000_000_000;

/// The number of a resource's key: 1 for the first. It never decreases and is never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub u64);

impl Serial {
    /// The serial that was stored as this number; `None` if it is too high.
    pub fn believed(number: u64) -> Option<Self> {
        (number <= HIGHEST).then_some(Self(number))
    }

    /// The next serial. The highest one has no successor and returns itself.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < HIGHEST { Self(self.0 + 1) } else { Self(HIGHEST) }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Identity of the cluster: the UID of its `kube-system` namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterId(pub String);

impl ClusterId {
    /// The identity for operators of that class: to operators of another one, the keys are those of another cluster, which
    /// they leave alone, whatever their ledger says.
    #[must_use]
    pub fn of_class(self, class: &ControllerClass) -> Self {
        if class.is_none() { self } else { Self(format!("{}/{class}", self.0)) }
    }
}

/// The part of a name that identifies one resource of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(String);

impl Mark {
    /// The mark of the resource with this UID.
    pub fn new(cluster: &ClusterId, uid: &str) -> Self {
        let place = hash::base32(&[cluster.0.as_bytes()], CLUSTER);
        let owner = hash::base32(&[cluster.0.as_bytes(), uid.as_bytes()], OWNER);
        Self(format!("{place}-{owner}"))
    }

    /// Reads a mark, with or without the prefix; `None` if it is malformed.
    pub fn read(text: &str) -> Option<Self> {
        let bare = text.strip_prefix(PREFIX).unwrap_or(text);
        Self::parse(&format!(" [{PREFIX}{bare}-0]")).map(|(mark, _)| mark)
    }

    /// Whether the mark belongs to a resource of this cluster.
    pub fn is_of(&self, cluster: &ClusterId) -> bool {
        self.0.split('-').next() == Some(&hash::base32(&[cluster.0.as_bytes()], CLUSTER))
    }

    /// The name of the key with this serial, in this style.
    pub fn styled(&self, style: NameStyle, display: &str, serial: Serial) -> String {
        match style {
            NameStyle::Title => self.name(display, serial),
            NameStyle::Slug => {
                let mark = format!("{PREFIX}{}-{serial}", self.0);
                let room = LONGEST_SLUG.saturating_sub(mark.len() + 1);
                let display: String = slug(display).chars().take(room).collect();
                match display.trim_end_matches('-') {
                    "" => mark,
                    display => format!("{display}-{mark}"),
                }
            }
        }
    }

    /// The name of the key with this serial, in the style `Title`.
    pub fn name(&self, display: &str, serial: Serial) -> String {
        let mark = format!(" [{PREFIX}{}-{serial}]", self.0);
        let room = LONGEST_NAME.saturating_sub(mark.chars().count());
        let display: String = display.chars().take(room).collect();
        format!("{display}{mark}")
    }

    /// Reads mark and serial from a name, in any case of letters; `None` if there is no mark.
    pub fn parse(name: &str) -> Option<(Self, Serial)> {
        let name = name.to_ascii_lowercase();
        let name = name.as_str();
        let tail = match name.strip_suffix(']') {
            Some(title) => title.rsplit_once(" [")?.1,
            None => &name[slug_tail(name)?..],
        };
        let mut parts = tail.strip_prefix(PREFIX)?.split('-');
        let (cluster, owner, serial) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
        };
        let canonical = serial.len() == 1 || !serial.starts_with('0');
        if parts.next().is_some() || !ours(cluster, CLUSTER) || !ours(owner, OWNER) || !canonical {
            return None;
        }
        if !serial.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some((Self(format!("{cluster}-{owner}")), Serial::believed(serial.parse().ok()?)?))
    }

    /// Whether two names belong to the same key: they are equal, or have the same mark and serial. The vendor may
    /// have changed the rest.
    pub fn is_same(one: &str, other: &str) -> bool {
        one == other || Self::parse(one).is_some_and(|mark| Self::parse(other) == Some(mark))
    }

    /// The form in a claim.
    pub fn short(&self) -> &str {
        &self.0
    }

    /// Whether both marks belong to resources of the same cluster.
    pub fn same_cluster(&self, other: &Self) -> bool {
        self.0.get(..CLUSTER) == other.0.get(..CLUSTER)
    }

    /// The serial in a name, if the name carries this mark.
    pub fn serial_in(&self, name: &str) -> Option<Serial> {
        Self::parse(name).filter(|(mark, _)| mark == self).map(|(_, serial)| serial)
    }

    /// The display name in a name with a mark; otherwise the whole name.
    pub fn display_in(name: &str) -> &str {
        match Self::parse(name) {
            Some(_) if name.ends_with(']') => name.rsplit_once(" [").map_or(name, |(display, _)| display),
            Some(_) => slug_tail(name).map_or(name, |at| name[..at].trim_end_matches('-')),
            None => name,
        }
    }
}

/// Where the mark begins in a name of style `Slug`: it is the last four parts.
fn slug_tail(name: &str) -> Option<usize> {
    let at = name.rmatch_indices('-').nth(3).map_or(0, |(at, _)| at + 1);
    let whole = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (whole && name.len() <= LONGEST_SLUG).then_some(at)
}

/// The marks of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its own mark.
    pub mark: Mark,
    /// The mark of the resource from which it was restored, if it was.
    pub former: Option<Mark>,
}

impl Identity {
    /// The serial in a name, if the name carries one of these marks.
    pub fn serial_in(&self, name: &str) -> Option<Serial> {
        let former = || self.former.as_ref().and_then(|mark| mark.serial_in(name));
        self.mark.serial_in(name).or_else(former)
    }
}

impl From<Mark> for Identity {
    fn from(mark: Mark) -> Self {
        Self { mark, former: None }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark() -> Mark {
        Mark::new(&ClusterId("c-1".into()), "uid-1")
    }

    #[test]
    fn a_name_is_read_back_as_the_mark_and_serial_it_was_made_with() {
        let name = mark().name("Production Backend", Serial(3));
        assert!(name.starts_with("Production Backend [ks-"), "{name}");
        assert!(name.ends_with("-3]"), "{name}");
        assert_eq!(Mark::parse(&name), Some((mark(), Serial(3))));
        assert_eq!(Mark::display_in(&name), "Production Backend");
    }

    #[test]
    fn a_mark_is_read_back_as_it_is_written_down() {
        let text = mark().to_string();
        assert_eq!(Mark::read(&text), Some(mark()));
        assert_eq!(Mark::read(text.trim_start_matches("ks-")), Some(mark()));
        for bad in ["", "ks-", "ks-a-b", "ks-a-b-1", &format!("{text}-1"), &format!("ks-{text}")] {
            assert_eq!(Mark::read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_mark_tells_its_cluster() {
        assert!(mark().is_of(&ClusterId("c-1".into())));
        assert!(!mark().is_of(&ClusterId("c-2".into())));
    }

    #[test]
    fn another_resource_and_another_cluster_have_other_marks() {
        assert_ne!(mark(), Mark::new(&ClusterId("c-1".into()), "uid-2"));
        assert_ne!(mark(), Mark::new(&ClusterId("c-2".into()), "uid-1"));
        assert_eq!(
            mark().serial_in(&Mark::new(&ClusterId("c-2".into()), "uid-1").name("x", Serial(1))),
            None
        );
    }

    #[test]
    fn names_that_only_look_like_ours_are_foreign() {
        let good = mark().name("x", Serial(1));
        for bad in [
            "x",
            "x [ks-]",
            "x [ks-a-b-1]",
            "",
            "]",
            " [",
            &good.replace("-1]", "-01]"),
            &good.replace("-1]", "-+1]"),
            &good.replace("-1]", "-1] "),
            &good.replace("-1]", "-1-1]"),
            &good.replace("[ks-", "[kx-"),
            &good.replace("-1]", "-1000000001]"),
            &good.replace("-1]", "-18446744073709551615]"),
            &good.replace("-1]", "-18446744073709551616]"),
        ] {
            assert_eq!(Mark::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_longest_display_name_that_the_schema_admits_fits_with_its_mark() {
        let name = mark().name(&"ü".repeat(64), Serial(999_999));
        assert!(name.chars().count() <= LONGEST_NAME, "{}", name.chars().count());
        assert_eq!(Mark::display_in(&name), "ü".repeat(64));
    }

    #[test]
    fn a_name_that_is_an_identity_has_small_letters_digits_and_hyphens_and_is_read_back() {
        for (display, begins) in [
            ("Production Backend", "production-backend-ks-"),
            ("--Über  (2)--", "ber-2-ks-"),
            ("", "ks-"),
            ("%%%", "ks-"),
            (&"very-long-".repeat(9), "very-long-very-long-"),
        ] {
            for serial in [1, 999_999] {
                let name = mark().styled(NameStyle::Slug, display, Serial(serial));
                assert!(name.starts_with(begins), "{name}");
                assert!(name.len() <= LONGEST_SLUG && !name.contains("--"), "{name}");
                assert_eq!(Mark::parse(&name), Some((mark(), Serial(serial))), "{name}");
            }
        }
        assert_eq!(Mark::display_in(&mark().styled(NameStyle::Slug, "a b", Serial(1))), "a-b");
        let good = mark().styled(NameStyle::Slug, "x", Serial(1));
        for bad in [
            good.replace("-ks-", "-kx-"),
            good.replace("-1", "-01"),
            format!("{good}-1"),
            good.replace("-1", "-18446744073709551615"),
            format!("ü{good}"),
        ] {
            assert_eq!(Mark::parse(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_mark_is_found_whatever_a_vendor_makes_of_the_name() {
        let name = mark().name("  Pr\u{fc}fung  B ", Serial(3));
        let shown = [
            name.to_uppercase(),
            name.to_lowercase(),
            name.trim().to_owned(),
            name.replace("  ", " "),
            name.replace('\u{fc}', "u\u{308}"),
        ];
        for name in shown {
            assert_eq!(mark().serial_in(&name), Some(Serial(3)), "{name:?}");
            assert!(!Mark::display_in(&name).contains(['[', ']']), "{name:?}");
        }
        let slug = mark().styled(NameStyle::Slug, "a b", Serial(3)).to_uppercase();
        assert_eq!((mark().serial_in(&slug), Mark::display_in(&slug)), (Some(Serial(3)), "A-B"));
    }

    #[test]
    fn a_serial_ends_where_it_is_not_believed_any_more() {
        for (number, next) in [(0, 1), (HIGHEST - 1, HIGHEST), (HIGHEST, HIGHEST), (u64::MAX, HIGHEST)] {
            assert_eq!(Serial(number).next(), Serial(next));
            assert!(Serial::believed(Serial(number).next().0).is_some());
        }
        assert_eq!(Serial::believed(HIGHEST + 1), None);
    }

    proptest! {
        #[test]
        fn any_name_is_read_back_as_an_identity(display in "\\PC{0,80}", serial in 0_u64..1_000_000) {
            let name = mark().styled(NameStyle::Slug, &display, Serial(serial));
            prop_assert!(name.len() <= LONGEST_SLUG);
            prop_assert_eq!(mark().serial_in(&name), Some(Serial(serial)));
        }

        #[test]
        fn any_name_survives_the_round_trip(display in "\\PC{0,80}", serial in 0_u64..1_000_000) {
            let name = mark().name(&display, Serial(serial));
            prop_assert!(name.chars().count() <= LONGEST_NAME);
            prop_assert_eq!(mark().serial_in(&name), Some(Serial(serial)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(name in "\\PC*") {
            let _ = Mark::parse(&name);
        }
    }
}
