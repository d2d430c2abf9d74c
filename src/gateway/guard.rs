//! Removes known secrets from every text in a vendor's response. Ids and names from responses go into status, events
//! and the ledger. A vendor or proxy that repeats a credential in one of them would thereby publish it.
//!
//! The wire, which has the secrets, applies this to every response.

use serde_json::{Map, Value};

/// Replaces a secret. No id can contain it.
const WITHHELD: &str = "(withheld)";
/// A shorter secret is matched only as a whole text, because it occurs in other words by chance.
const SHORTEST: usize = 8;
/// A text of this length that makes up half of a secret is treated as a leak of it.
const LONG: usize = 16;
/// The fields whose purpose is to contain a secret.
const FIELDS: [&str; 4] = ["key", "secret", "token", "api_key"];

/// Removes these secrets from every text of a document. Fields whose purpose is to contain a secret keep it, and
/// nothing beside them may repeat it.
pub fn withhold(document: &mut Value, secrets: &[&str]) {
    let secrets: Vec<_> =
        secrets.iter().filter(|it| !it.is_empty()).map(|it| it.to_ascii_lowercase()).collect();
    within(document, &secrets);
}

/// Whether a secret was removed from a text, so that the rest is not the whole.
pub fn withheld(text: &str) -> bool {
    text.contains(WITHHELD)
}

fn within(document: &mut Value, secrets: &[String]) {
    match document {
        Value::String(text) => clean(text, secrets),
        Value::Array(values) => values.iter_mut().for_each(|it| within(it, secrets)),
        Value::Object(fields) => {
            let mut shown = Vec::new();
            collect(fields, &mut shown);
            let all = (!shown.is_empty()).then(|| [secrets, &shown].concat());
            let secrets = all.as_deref().unwrap_or(secrets);
            let others = fields.iter_mut().filter(|(name, value)| !holds_secret(name, value));
            others.for_each(|(_, value)| within(value, secrets));
        }
        _ => {}
    }
}

fn clean(text: &mut String, secrets: &[String]) {
    for secret in secrets {
        let lower = text.to_ascii_lowercase();
        let half = lower.len() >= LONG && lower.len() * 2 >= secret.len() && !is_public_part(&lower, secret);
        if lower == *secret || half && secret.contains(&lower) {
            WITHHELD.clone_into(text);
        } else if secret.len() >= SHORTEST && lower.contains(secret) {
            // From the end, so that earlier positions stay valid.
            let places: Vec<_> = lower.match_indices(secret).map(|it| it.0).collect();
            places.into_iter().rev().for_each(|at| text.replace_range(at..at + secret.len(), WITHHELD));
        }
    }
}

/// Vendors write a key as its id and a secret, such as `sk-1-key_000001-abcdefghijklmnop`. The id is public, if what
/// follows it is long enough to be the secret.
fn is_public_part(text: &str, secret: &str) -> bool {
    secret.strip_prefix(text).is_some_and(|rest| rest.len() > LONG && rest.starts_with(['.', '-', '_', ':']))
}

fn holds_secret(name: &str, value: &Value) -> bool {
    FIELDS.contains(&name) && value.is_string()
}

/// Collects the secrets that an object shows, and those of the objects in it.
fn collect(fields: &Map<String, Value>, shown: &mut Vec<String>) {
    for (name, value) in fields {
        match value {
            Value::String(text) if FIELDS.contains(&name.as_str()) && text.len() >= SHORTEST => {
                shown.push(text.to_ascii_lowercase());
            }
            Value::Object(inner) => collect(inner, shown),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOKEN: &str = "ek_live_CANARY-console-token";

    fn guarded(mut document: Value) -> Value {
        withhold(&mut document, &[TOKEN, "sk-CANARY-credential"]);
        document
    }

    #[test]
    fn a_text_that_gives_a_secret_away_is_withheld() {
        let secrets = [TOKEN, &TOKEN.to_uppercase(), "sk-CANARY-credential", &TOKEN[4..], &TOKEN[..20]];
        for secret in secrets {
            for document in
                [json!(secret), json!([secret]), json!({"id": secret}), json!({"data": [{"name": secret}]})]
            {
                assert!(
                    !guarded(document.clone()).to_string().to_uppercase().contains("CANARY"),
                    "{document}"
                );
            }
        }
        let named = json!({"name": format!("{TOKEN} and {TOKEN} [ks-abcdef-abcdefghijklmnop-3]")});
        assert_eq!(
            guarded(named),
            json!({"name": "(withheld) and (withheld) [ks-abcdef-abcdefghijklmnop-3]"})
        );
    }

    #[test]
    fn nothing_repeats_the_key_of_the_same_answer() {
        let key = "sk-edgee-0123456789abcdef";
        for document in [
            json!({"id": key, "key": key}),
            json!({"id": format!("x-{key}"), "secret": key}),
            json!({"id": key, "data": {"token": key}}),
            json!([{"name": &key[3..], "api_key": key}]),
        ] {
            let text = guarded(document.clone()).to_string();
            assert_eq!(text.matches(&key[3..]).count(), 1, "{document} {text}");
        }
    }

    #[test]
    fn what_gives_nothing_away_stays() {
        for document in [
            json!({"id": "key_000001", "name": "console-token", "key": "sk-1-key_000001-abcdefghijklmnop"}),
            json!({"id": "k", "key": "k1"}),
            json!({"id": "key_0123456789abcdef", "key": "key_0123456789abcdef.ghijklmnopqrstuv"}),
            json!({"id": "live", "token": TOKEN}),
            json!({"count": 7, "more": null, "ok": true}),
        ] {
            assert_eq!(guarded(document.clone()), document);
        }
        let mut short = json!({"name": "a test"});
        withhold(&mut short, &["t", ""]);
        assert_eq!(short, json!({"name": "a test"}));
    }
}
