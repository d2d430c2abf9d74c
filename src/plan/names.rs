//! Kubernetes' rules for names of objects, Secret entries, labels and annotations. They are checked before any
//! call, so that no key is created for an invalid Secret.

/// Maximum length of the name of an object or entry.
const LONGEST: usize = 253;
/// Maximum length of a label's name without its prefix, and of its value.
const LONGEST_LABEL: usize = 63;

/// Checks the name of an object; the error says what a valid name is.
pub fn object(name: &str) -> Result<(), &'static str> {
    if name.len() <= LONGEST && is_subdomain(name) {
        return Ok(());
    }
    Err(
        "is no name of a Kubernetes object: it has at most 253 small letters, digits, '-' and '.', and each part between \
         dots begins and ends with a letter or a digit",
    )
}

/// Checks the name of a Secret's entry; the error says what a valid name is.
pub fn entry(name: &str) -> Result<(), &'static str> {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !name.is_empty() && name.len() <= LONGEST && letters && name != "." && !name.starts_with("..") {
        return Ok(());
    }
    Err(
        "an entry's name has at most 253 letters, digits, '-', '_' and '.' only, and does not begin with two dots",
    )
}

/// Checks the key of a label or annotation; the error says what a valid key is.
pub fn key(name: &str) -> Result<(), &'static str> {
    let (domain, word) = match name.split_once('/') {
        Some((domain, word)) => (Some(domain), word),
        None => (None, name),
    };
    if domain.is_none_or(|it| it.len() <= LONGEST && is_subdomain(it)) && is_word(word) {
        return Ok(());
    }
    Err(
        "a key has at most 63 letters, digits, '-', '_' and '.', with a letter or a digit at both ends, behind a domain and \
         '/' if there is one, such as example.com/team",
    )
}

/// Checks the value of a label; the error says what a valid value is.
pub fn label_value(value: &str) -> Result<(), &'static str> {
    if value.is_empty() || is_word(value) {
        return Ok(());
    }
    Err(
        "a label's value has at most 63 letters, digits, '-', '_' and '.', with a letter or a digit at both ends; an \
         annotation takes any text",
    )
}

/// Checks the type of a Secret; the error says what a valid type is.
pub fn secret_type(name: &str) -> Result<(), &'static str> {
    key(name).map_err(|_| "a type is written like example.com/llm: letters, digits, '-', '_' and '.', behind a domain and '/'")
}

/// Checks a key's display name; the error says what a valid one is. Brackets are reserved for the mark.
pub fn display(name: &str) -> Result<(), &'static str> {
    let length = name.chars().count();
    if (1..=64).contains(&length) && !name.chars().any(|it| it.is_control() || matches!(it, '[' | ']')) {
        return Ok(());
    }
    Err(
        "must be 1 to 64 characters without square brackets, which are Keysmith's own, and without line breaks or other control \
         characters",
    )
}

/// Checks an e-mail address; the error says what a valid one is.
pub fn email(text: &str) -> Result<(), &'static str> {
    let sides = text.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
    let one = sides.is_some_and(|(_, host)| !host.contains('@'));
    if one && text.len() <= 254 && !text.contains(char::is_whitespace) {
        return Ok(());
    }
    Err("is no e-mail address; write one such as team@example.com")
}

/// Checks a vendor's term, such as a provider; the error says what a valid one is.
pub fn word(text: &str) -> Result<(), &'static str> {
    let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(small) {
        return Ok(());
    }
    Err("has small letters, digits, '_' and '-' only")
}

fn is_word(text: &str) -> bool {
    let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST_LABEL
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn is_subdomain(text: &str) -> bool {
    let small = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.split('.').map(str::as_bytes).all(|part| {
        part.first().is_some_and(small)
            && part.last().is_some_and(small)
            && part.iter().all(|b| small(b) || *b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        type Check = fn(&str) -> Result<(), &'static str>;
        let long = "a".repeat(64);
        let longer = "a".repeat(254);
        let table: [(Check, &[&str], &[&str]); 8] = [
            (
                object,
                &["a", "a-b", "a.b", "0"],
                &["", "a..b", "a-.b", ".a", "a.", "-a", "A", "a b", "a_b", &longer],
            ),
            (entry, &["a", "A_B.c-d", ".dockerconfigjson"], &["", "a b", "a/b", "..", "..a", ".", &longer]),
            (
                key,
                &["team", "example.com/team", "A_b.c"],
                &["", "bad key", "/a", "a/", "a/b/c", "Example.com/a", "-a", "a@b", &long],
            ),
            (
                label_value,
                &["", "a", "A_b.c-1"],
                &["Search and Ads", "ann@example.com", "-a", "a.", "a/b", &long],
            ),
            (display, &["a", "Checkout – Büro (1)"], &["", "a [b]", "a\nb", &long.repeat(2)]),
            (email, &["a@b", "team@example.com"], &["", "nobody", "a b@c", "a@b@c", "@b"]),
            (word, &["claude_code", "a-1"], &["", "A", "a b", &long.repeat(2)]),
            (secret_type, &["Opaque", "kubernetes.io/tls", "example.com/llm"], &["", "My Type!", "a/b/c"]),
        ];
        for (check, good, bad) in table {
            for name in good {
                assert_eq!(check(name), Ok(()), "{name:?}");
            }
            for name in bad {
                assert!(check(name).is_err(), "{name:?}");
            }
        }
    }
}
