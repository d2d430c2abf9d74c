//! Controller classes: operators side by side, of which each works for the console tokens of its class and for what is made
//! with them. The finalizer of an object names the class that works for it, so that cleanup does not depend on whether the
//! console token is still there.

use crate::api::FINALIZER;
use std::fmt;

/// The longest name: with it, the names of finalizer and Lease are valid.
const LONGEST: usize = 40;

/// The class of an operator; the default is that of an operator without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControllerClass(String);

impl ControllerClass {
    /// Reads a name; an empty text is no class.
    ///
    /// # Errors
    /// What a name must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let letters = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        let fits = text.len() <= LONGEST
            && text.bytes().all(letters)
            && text.starts_with(|it: char| it.is_ascii_lowercase())
            && !text.ends_with('-');
        (text.is_empty() || fits).then(|| Self(text.to_owned())).ok_or_else(|| {
            format!(
                "must begin with a lower-case letter, and have lower-case letters, digits and hyphens, at most {LONGEST}"
            )
        })
    }

    /// The class in a specification, which the schema has checked.
    pub fn of_spec(name: Option<&str>) -> Self {
        Self(name.unwrap_or_default().to_owned())
    }

    /// The class of the operator that put its finalizer on an object; `None`: there is no finalizer of Keysmith's.
    pub fn of_finalizers(finalizers: &[String]) -> Option<Self> {
        finalizers.iter().find_map(|finalizer| match finalizer.strip_prefix(FINALIZER)? {
            "" => Some(Self::default()),
            rest => Some(Self(rest.strip_prefix('-')?.to_owned())),
        })
    }

    /// Whether an operator of this class works for an object. `holder`: the class whose finalizer it has. `token`: the
    /// class of the console token that it names or is, if that exists. Without both, the operator without a class says
    /// what is missing.
    pub fn works_for(&self, holder: Option<&Self>, token: Option<&Self>) -> bool {
        holder.or(token).map_or(self.is_none(), |it| it == self)
    }

    /// Whether it is that of an operator without a class.
    pub const fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The name; empty for an operator without a class.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The operator of this class, for people.
    pub fn operator(&self) -> String {
        if self.is_none() {
            "the operator without a class".to_owned()
        } else {
            format!("the operator of class {self}")
        }
    }

    /// The finalizer of an operator of this class.
    pub fn finalizer(&self) -> String {
        self.after(FINALIZER)
    }

    /// A name that each class has for itself, such as that of its Lease: `base`, or `base-class`.
    pub fn after(&self, base: &str) -> String {
        if self.is_none() { base.to_owned() } else { format!("{base}-{}", self.0) }
    }
}

/// Why there is no such console token for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It does not exist.
    Missing,
    /// This operator uses no ClusterConsoleTokens, because it does not watch all namespaces.
    Unshared,
    /// The operator of that class works with it.
    OfClass(ControllerClass),
}

impl fmt::Display for ControllerClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> ControllerClass {
        ControllerClass::parse(name).unwrap()
    }

    #[test]
    fn a_name_is_one_that_finalizer_and_lease_can_have() {
        for name in ["", "canary", "team-b2", &"a".repeat(LONGEST)] {
            assert_eq!(class(name).name(), name);
        }
        // A class that begins with a digit could be taken for a shard.
        for name in
            ["1-of-2", "Canary", "canary-", "-canary", "a b", "a/b", "a.b", "ä", &"a".repeat(LONGEST + 1)]
        {
            assert!(ControllerClass::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_finalizer_says_whose_it_is() {
        for name in ["", "canary"] {
            let finalizers = ["example.com/held".to_owned(), class(name).finalizer()];
            assert_eq!(ControllerClass::of_finalizers(&finalizers), Some(class(name)), "{name}");
        }
        let others = ["keysmith.dev/token-in-use", "keysmith.dev/cleanupx", "example.com/cleanup"];
        assert_eq!(ControllerClass::of_finalizers(&others.map(str::to_owned)), None);
    }

    #[test]
    fn every_object_has_one_operator() {
        let (none, canary) = (class(""), class("canary"));
        for (holder, token, expected) in [
            (None, None, &none),
            (None, Some(&canary), &canary),
            (None, Some(&none), &none),
            // What was made under one class stays with it, whatever became of the console token.
            (Some(&canary), None, &canary),
            (Some(&canary), Some(&none), &canary),
            (Some(&none), Some(&canary), &none),
        ] {
            let workers: Vec<_> =
                [&none, &canary].into_iter().filter(|it| it.works_for(holder, token)).collect();
            assert_eq!(workers, [expected], "{holder:?} {token:?}");
        }
    }
}
