//! Why the API server does not store a Secret, classified by who has to act, with the message for each cause.

use crate::api::{Reason, Verdict};
use std::fmt;

/// The verbs that a role may lack.
const VERBS: [&str; 4] = ["get", "create", "update", "patch"];
/// Maximum length of a quoted API server message, in characters.
const LONGEST: usize = 400;

/// The API server's refusal to store a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The cause, which tells who has to act.
    pub cause: Cause,
    /// The field that the API server names, such as `metadata.labels`.
    pub field: Option<String>,
    /// The verb that Keysmith's role lacks.
    pub verb: Option<&'static str>,
    /// The API server's message; `None` if it could quote the key.
    pub words: Option<String>,
}

/// Why a Secret is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator lacks a right (RBAC).
    Rights,
    /// A `ResourceQuota` is exhausted.
    Quota,
    /// An admission policy or webhook denied the request.
    Policy,
    /// The Secret is immutable.
    Immutable,
    /// The object is invalid.
    Invalid,
    /// The object is too large.
    TooLarge,
    /// The namespace is being deleted.
    Terminating,
    /// Any other cause.
    Other,
}

impl Refused {
    /// Classifies a response of the API server by HTTP status, message, and the first of its causes (reason and
    /// field). `quotable`: the sent object contained no secret that the message could repeat.
    pub fn new(code: u16, message: &str, first: Option<(&str, &str)>, quotable: bool) -> Self {
        let field = first.map(|(_, field)| clean(field, 100)).filter(|it| !it.is_empty());
        let words = quotable.then(|| clean(message, LONGEST)).filter(|it| !it.is_empty());
        let cause = cause(code, message, first.map(|(reason, _)| reason));
        // The verb comes from a fixed list, so it cannot quote a secret.
        let verb = VERBS.into_iter().find(|verb| message.contains(&format!(" cannot {verb} resource ")));
        Self { cause, field, verb: verb.filter(|_| cause == Cause::Rights), words }
    }

    /// The verdict for status. `works`: the Secret still holds a working key.
    pub fn verdict(&self, secret: &str, works: bool) -> Verdict {
        let kept = if works {
            "; the Secret keeps the key that it holds, which works"
        } else {
            "; no key is made for it, and applications have none"
        };
        let message = format!(
            "Secret {secret} cannot be stored: {self}{kept}; {}; tried again within twenty minutes",
            self.cure()
        );
        Verdict::stalled(Reason::SecretRefused, message).still_ready(works)
    }

    const fn cure(&self) -> &'static str {
        match self.cause {
            Cause::Rights => {
                "grant Keysmith's ServiceAccount get, create and update on Secrets in this namespace"
            }
            Cause::Quota => "raise the ResourceQuota or delete Secrets that are not needed",
            Cause::Policy => "change spec.secret or the policy",
            Cause::Immutable => "delete the Secret: it is made again at once",
            Cause::Invalid => "correct spec.secret",
            Cause::TooLarge => "make spec.secret.template smaller",
            Cause::Terminating => "nothing can be made in a namespace that is being deleted",
            Cause::Other => "look at the API server",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.cause {
            Cause::Rights => "Keysmith has no right to write it (RBAC)",
            Cause::Quota => "a ResourceQuota is used up",
            Cause::Policy => "an admission policy refuses it",
            Cause::Immutable => "it is immutable",
            Cause::Invalid => "the API server calls it invalid",
            Cause::TooLarge => "it is too large",
            Cause::Terminating => "the namespace is being deleted",
            Cause::Other => "the API server refused it",
        })?;
        if let Some(verb) = self.verb.filter(|_| self.words.is_none()) {
            write!(formatter, ": its role lacks the verb {verb} on secrets")?;
        }
        if let Some(field) = &self.field {
            write!(formatter, " ({field})")?;
        }
        self.words.as_ref().map_or(Ok(()), |words| write!(formatter, ": {words}"))
    }
}

fn cause(code: u16, message: &str, reason: Option<&str>) -> Cause {
    let says = |text: &str| message.contains(text);
    if reason == Some("NamespaceTerminating") || says("because it is being terminated") {
        return Cause::Terminating;
    }
    if says("exceeded quota") || says("failed quota") {
        return Cause::Quota;
    }
    if says("ValidatingAdmissionPolicy")
        || says("admission webhook")
        || says("denied request")
        || says("denied the request")
    {
        return Cause::Policy;
    }
    if says("immutable") {
        return Cause::Immutable;
    }
    match code {
        413 => Cause::TooLarge,
        403 if says("cannot ") => Cause::Rights,
        422 if says("Too long") => Cause::TooLarge,
        400 | 422 => Cause::Invalid,
        403 => Cause::Policy,
        _ => Cause::Other,
    }
}

/// The text as one line of plain text, cut to a length.
fn clean(text: &str, longest: usize) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut words = text.chars().map(plain).take(longest).collect::<String>().trim().to_owned();
    if text.chars().count() > longest {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_who_has_to_act() {
        let table = [
            (
                403,
                "secrets \"a\" is forbidden: User \"system:serviceaccount:k:k\" cannot create resource \"secrets\" in API group \"\" in the namespace \"shop\"",
                None,
                Cause::Rights,
            ),
            (
                403,
                "secrets \"a\" is forbidden: exceeded quota: few, requested: count/secrets=1",
                None,
                Cause::Quota,
            ),
            (
                422,
                "secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                None,
                Cause::Policy,
            ),
            (403, "admission webhook \"x\" denied the request: no", None, Cause::Policy),
            (
                422,
                "Secret \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
                Some(("FieldValueForbidden", "data")),
                Cause::Immutable,
            ),
            (
                422,
                "Secret \"a\" is invalid: metadata.labels: Invalid value: \"Search and Ads\"",
                Some(("FieldValueInvalid", "metadata.labels")),
                Cause::Invalid,
            ),
            (
                422,
                "Secret \"a\" is invalid: data: Too long",
                Some(("FieldValueTooLong", "data")),
                Cause::TooLarge,
            ),
            (413, "Request entity too large", None, Cause::TooLarge),
            (
                403,
                "secrets \"a\" is forbidden: unable to create new content in namespace x because it is being terminated",
                Some(("NamespaceTerminating", "metadata.namespace")),
                Cause::Terminating,
            ),
        ];
        for (code, message, first, expected) in table {
            assert_eq!(Refused::new(code, message, first, true).cause, expected, "{message}");
        }
    }

    #[test]
    fn the_field_is_named_and_words_are_passed_on_only_where_they_cannot_quote_a_key() {
        let refused =
            |quotable| Refused::new(422, "no\nway", Some(("FieldValueInvalid", "metadata.labels")), quotable);
        assert_eq!(refused(true).to_string(), "the API server calls it invalid (metadata.labels): no way");
        assert_eq!(refused(false).to_string(), "the API server calls it invalid (metadata.labels)");
        let message =
            "secrets \"a\" is forbidden: User \"k\" cannot update resource \"secrets\" in API group \"\"";
        let right = Refused::new(403, message, None, false).to_string();
        assert_eq!(
            right,
            "Keysmith has no right to write it (RBAC): its role lacks the verb update on secrets"
        );
        let long = Refused::new(400, &"x".repeat(5000), None, true);
        assert!(long.words.is_some_and(|it| it.chars().count() <= LONGEST + 1));
    }
}
