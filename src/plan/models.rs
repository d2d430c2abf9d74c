//! Whether the vendor lists the models of a specification. A model that it does not list is reported and never refused: the
//! vendor may add the model later, and knows its own names best.

use super::capability::ModelNames;
use crate::api::gateway_api_key::ResolvedModels;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// How many similar names are suggested for an unknown one.
const NEAREST: usize = 3;
/// The least similarity of a name that is suggested, by Jaro and Winkler: from 0 to 1, which is equal.
const SIMILAR: f64 = 0.75;
/// How many of the models of a pattern are shown.
const SHOWN: usize = 10;
/// The longest name that is shown.
const LONGEST: usize = 128;

/// The names that a vendor lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// When the listing began.
    pub as_of: Timestamp,
    /// The names, patterns among them.
    pub names: BTreeSet<String>,
}

/// A model of a specification that the vendor does not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its name.
    pub name: String,
    /// The most similar names that the vendor lists, the most similar first.
    pub nearest: Vec<String>,
}

/// What the vendor's list says of the models of a specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The models that it does not list.
    pub unknown: Vec<Unknown>,
    /// What the patterns of the specification stand for.
    pub resolved: Vec<ResolvedModels>,
}

impl Catalog {
    /// The names of a listing that began at that time.
    pub fn new(as_of: Timestamp, names: impl IntoIterator<Item = String>) -> Self {
        Self { as_of, names: names.into_iter().collect() }
    }

    /// What it says of these models.
    pub fn find(&self, wanted: &[String], rules: ModelNames) -> Found {
        let mut found = Found::default();
        for name in wanted.iter().filter(|it| !rules.special.contains(&it.as_str())) {
            let pattern = rules.patterns && name.contains('*');
            let resolved = pattern.then(|| self.resolve(name));
            let count = resolved.as_ref().map_or(0, |it| it.count);
            found.resolved.extend(resolved);
            if count == 0 && !self.knows(name, rules) {
                found.unknown.push(Unknown { name: name.clone(), nearest: self.nearest(name) });
            }
        }
        found
    }

    /// Whether the vendor lists the name, or a pattern that it falls under.
    fn knows(&self, name: &str, rules: ModelNames) -> bool {
        let falls_under = |listed: &String| listed.contains('*') && matches(listed, name);
        self.names.contains(name) || rules.patterns && self.names.iter().any(falls_under)
    }

    /// The models that a pattern stands for.
    fn resolve(&self, pattern: &str) -> ResolvedModels {
        let all: Vec<_> = self.names.iter().filter(|it| matches(pattern, it)).collect();
        let names = all.iter().filter(|it| is_plain(it)).take(SHOWN).map(|it| (*it).clone()).collect();
        ResolvedModels {
            pattern: pattern.to_owned(),
            count: u32::try_from(all.len()).unwrap_or(u32::MAX),
            names,
        }
    }

    fn nearest(&self, name: &str) -> Vec<String> {
        let bare = |it: &str| it.to_ascii_lowercase();
        let own = bare(name);
        // People leave the provider out, or name another one.
        let model = |it: &str| it.rsplit('/').next().unwrap_or_default().to_owned();
        let likeness = |listed: &str| {
            let listed = bare(listed);
            let whole = strsim::jaro_winkler(&own, &listed);
            whole.max(strsim::jaro_winkler(&model(&own), &model(&listed)))
        };
        let mut near: Vec<_> =
            self.names.iter().filter(|it| is_plain(it)).map(|it| (likeness(it), it)).collect();
        near.retain(|(likeness, _)| *likeness >= SIMILAR);
        near.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1)));
        near.into_iter().take(NEAREST).map(|(_, name)| name.clone()).collect()
    }
}

/// Whether a name of the vendor may be shown to users: it is untrusted text.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:/@+*".contains(&b);
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether a name falls under a pattern, in which `*` stands for any text. It takes time in proportion to both lengths: each
/// part is looked for once, from the left.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: ModelNames = ModelNames { listed: true, ..ModelNames::UNLISTED };
    const PATTERNS: ModelNames = ModelNames { listed: true, patterns: true, special: &["all-proxy-models"] };

    fn catalog(names: &[&str]) -> Catalog {
        Catalog::new(Timestamp::UNIX_EPOCH, names.iter().map(|it| (*it).to_owned()))
    }

    fn find(names: &[&str], wanted: &str, rules: ModelNames) -> Found {
        catalog(names).find(&[wanted.to_owned()], rules)
    }

    #[test]
    fn a_name_that_is_not_listed_is_named_with_those_most_like_it() {
        let listed = ["anthropic/claude-opus-4-6", "openai/gpt-5.2", "openai/gpt-5.2-mini", "mistral/large"];
        let table: [(&str, Option<&[&str]>); 6] = [
            ("openai/gpt-5.2", None),
            ("openai/gpt-5.3", Some(&["openai/gpt-5.2", "openai/gpt-5.2-mini"])),
            ("gpt-5.2", Some(&["openai/gpt-5.2", "openai/gpt-5.2-mini"])),
            ("OpenAI/GPT-5.2", Some(&["openai/gpt-5.2", "openai/gpt-5.2-mini"])),
            ("azure/claude-opus-4.6", Some(&["anthropic/claude-opus-4-6"])),
            ("zzz", Some(&[])),
        ];
        for (wanted, expected) in table {
            let unknown = find(&listed, wanted, EXACT).unknown;
            let nearest = unknown.first().map(|it| it.nearest.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(nearest.as_deref(), expected, "{wanted}");
        }
    }

    #[test]
    fn a_pattern_stands_for_what_it_covers_where_the_vendor_has_patterns() {
        let listed = ["gpt-large", "gpt-small", "openai/*", "mistral"];
        let resolved = |wanted| find(&listed, wanted, PATTERNS);
        let gpt = resolved("gpt-*");
        assert!(gpt.unknown.is_empty());
        assert_eq!((gpt.resolved[0].count, gpt.resolved[0].names.len()), (2, 2));
        let none = resolved("claude-*");
        assert_eq!((none.unknown[0].name.as_str(), none.resolved[0].count), ("claude-*", 0));
        // A pattern of the proxy covers whatever its provider has.
        for covered in ["openai/gpt-5.2", "openai/*", "all-proxy-models"] {
            assert!(resolved(covered).unknown.is_empty(), "{covered}");
        }
        assert_eq!(find(&listed, "gpt-*", EXACT).unknown.len(), 1, "a star is a letter like another");
        let many: Vec<String> = (0..50).map(|it| format!("m{it:02}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let many = find(&many, "m*", PATTERNS).resolved.remove(0);
        assert_eq!((many.count, many.names.len()), (50, SHOWN));
    }

    #[test]
    fn a_pattern_is_compared_part_by_part() {
        let table = [
            ("*", "", true),
            ("*", "a/b", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*b", "ab", true),
            ("a*b", "aXb", true),
            ("a*b", "aXbc", false),
            ("aa*a", "aa", false),
            ("*a*a*", "aa", true),
            ("*a*b*a", "ab", false),
            ("**", "a", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let (long, hostile) = ("a".repeat(10_000), "*a".repeat(2000));
        assert!(matches(&hostile, &long) && !matches(&format!("{hostile}b"), &long));
    }

    #[test]
    fn no_text_that_is_no_name_is_repeated() {
        let listed = ["gpt-5.2 CANARY", "gpt-5.2\nCANARY", "gpt-5.2<b>", &"gpt-5".repeat(40), "gpt-5.2"];
        let found = find(&listed, "gpt-5.3", EXACT);
        assert_eq!(found.unknown[0].nearest, ["gpt-5.2"]);
        let resolved = find(&listed, "gpt*", PATTERNS).resolved.remove(0);
        assert_eq!((resolved.count, resolved.names.as_slice()), (5, &["gpt-5.2".to_owned()][..]));
        // It may be named by a user all the same.
        assert!(find(&listed, "gpt-5.2 CANARY", EXACT).unknown.is_empty());
    }
}
