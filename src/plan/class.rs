//! Controller classes: operators side by side, of which each works for the console tokens of its class and for what is made
//! with them. The finalizer of an object names the class that worked for it, which counts where its console token is gone.

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
            && !text.ends_with('-')
            && !is_a_shard(text);
        (text.is_empty() || fits).then(|| Self(text.to_owned())).ok_or_else(|| {
            format!(
                "must begin with a lower-case letter, have lower-case letters, digits and hyphens, at most {LONGEST}, and not end like -1-of-2"
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

    /// Whether an operator of this class works for an object. `token`: the class of the console token that it names or is, if
    /// that exists. `holder`: the class whose finalizer it has; anyone who may edit the object can write that, so it counts
    /// without a console token only. Without both, the operator without a class says what is missing.
    pub fn works_for(&self, token: Option<&Self>, holder: Option<&Self>) -> bool {
        token.or(holder).map_or(self.is_none(), |it| it == self)
    }

    /// Whether it is that of an operator without a class.
    pub const fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The name; empty for an operator without a class.
    pub fn name(&self) -> &str {
        &self.0
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

/// Whether a name ends as the Lease of a shard does, such as `x-1-of-2`: that of shard 1/2 of class `x`.
fn is_a_shard(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let index = |text: &str| number(text.rsplit('-').next().unwrap_or_default());
    name.rsplit_once("-of-").is_some_and(|(before, count)| number(count) && index(before))
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
        for name in [
            "1-of-2",
            "x-1-of-2",
            "Canary",
            "canary-",
            "-canary",
            "a b",
            "a/b",
            "a.b",
            "ä",
            &"a".repeat(LONGEST + 1),
        ] {
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
            // What was made under one class stays with it while there is no console token.
            (Some(&canary), None, &canary),
            // A finalizer that a person wrote takes nothing away from the operator of the console token.
            (Some(&canary), Some(&none), &none),
            (Some(&none), Some(&canary), &canary),
        ] {
            let workers: Vec<_> =
                [&none, &canary].into_iter().filter(|it| it.works_for(token, holder)).collect();
            assert_eq!(workers, [expected], "{holder:?} {token:?}");
        }
    }
}
