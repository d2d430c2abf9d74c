//! Checks what a Secret holds in place of a token or key. Typical mistakes are named: an invisible character, a
//! header, quotes, double encoding. The content is never repeated.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::fmt;

/// A shorter decoded text proves nothing: see [`is_encoded`].
const SHORTEST_KEY: usize = 12;

/// Why a text is neither token nor key, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What the text is, as a predicate.
    pub is: &'static str,
    /// What to do, as an imperative.
    pub cure: &'static str,
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.is, self.cure)
    }
}

const BARE: &str = "put in only the value itself";
const ONE_LINE: &str =
    "write it in one line, such as with printf %s into a file, and kubectl create secret generic --from-file";
const UTF8: &str = "save the file as UTF-8 without a byte order mark";
const RETYPE: &str = "it is invisible, so write the value anew instead of copying it from a page";

const fn flaw(is: &'static str, cure: &'static str) -> Flaw {
    Flaw { is, cure }
}

/// A token or key in one line. Exactly one line break at the end is removed, because files end with one.
pub fn bare(bytes: &[u8]) -> Result<&str, Flaw> {
    let text = without_line_break(text(bytes)?);
    part(text)?;
    Ok(text)
}

/// A document such as JSON, which may contain blanks and line breaks.
pub fn document(bytes: &[u8]) -> Result<&str, Flaw> {
    let text = text(bytes)?;
    if text.trim().is_empty() {
        return Err(flaw("holds only white space", "put in the document"));
    }
    if text.contains(is_invisible) {
        return Err(flaw("holds a character without width, such as a zero-width space", RETYPE));
    }
    Ok(text)
}

/// A part of a credential, which must be a single word; nothing is trimmed.
pub fn part(text: &str) -> Result<(), Flaw> {
    if text.trim().is_empty() {
        let is = if text.is_empty() { "is empty" } else { "holds only white space" };
        return Err(flaw(is, BARE));
    }
    match shape(text).or_else(|| characters(text)) {
        Some(flaw) => Err(flaw),
        None => Ok(()),
    }
}

/// Whether the text is base64 of a document that begins with this character: encoded by the user and again by the
/// tool that created the Secret.
pub fn is_encoded_document(text: &str, begin: char) -> bool {
    decoded(text).is_some_and(|inner| inner.trim_start().starts_with(begin))
}

fn text(bytes: &[u8]) -> Result<&str, Flaw> {
    if bytes.is_empty() {
        return Err(flaw("is empty", BARE));
    }
    let marked = [
        (&[0xff, 0xfe, 0, 0][..], "is UTF-32 text with a byte order mark"),
        (&[0, 0, 0xfe, 0xff], "is UTF-32 text with a byte order mark"),
        (&[0xff, 0xfe], "is UTF-16 text (little endian) with a byte order mark"),
        (&[0xfe, 0xff], "is UTF-16 text (big endian) with a byte order mark"),
        (&[0xef, 0xbb, 0xbf], "begins with an invisible byte order mark (UTF-8)"),
    ];
    if let Some((_, is)) = marked.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return Err(flaw(is, UTF8));
    }
    // In UTF-16, every other byte of ASCII text is zero.
    let zeros = |from: usize| bytes.len() > 1 && bytes.iter().skip(from).step_by(2).all(|it| *it == 0);
    if zeros(0) || zeros(1) {
        return Err(flaw("is UTF-16 text", UTF8));
    }
    std::str::from_utf8(bytes).map_err(|_| flaw("is not text", "put in the value as UTF-8 text"))
}

fn without_line_break(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |it| it.strip_suffix('\r').unwrap_or(it))
}

/// The mistake in the text as a whole, if any.
fn shape(text: &str) -> Option<Flaw> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|it| lower.starts_with(it));
    let is = if begins(&[
        "authorization:",
        "proxy-authorization:",
        "authorization ",
        "authorization=",
        "x-api-key:",
        "api-key:",
    ]) {
        "is a whole header, such as \"Authorization: Bearer …\""
    } else if begins(&["bearer ", "bearer\t", "bearer\u{a0}", "bearer:", "bearer="]) {
        "begins with \"Bearer \", which Keysmith and the vendor put there themselves"
    } else if is_assignment(text) {
        "is an assignment, such as OPENAI_API_KEY=…"
    } else if text.starts_with(is_quote) || text.ends_with(is_quote) {
        "is in quotes"
    } else if begins(&["${", "$(", "{{", "<"]) {
        "is a placeholder that was not filled in"
    } else if text.starts_with(['{', '[']) {
        "is a JSON document where the bare value is expected"
    } else if begins(&["-----begin "]) {
        "is a PEM file where the bare value is expected"
    } else if ["***", "•", "…", "..."].iter().any(|it| text.contains(it)) {
        return Some(flaw("is shortened or masked", "put in the whole value"));
    } else if is_encoded(text) {
        return Some(flaw(
            "is base64 of a text, so that it is encoded twice in the Secret",
            "put it in as it is under stringData, or encode it once under data",
        ));
    } else {
        return None;
    };
    Some(flaw(is, BARE))
}

/// The mistake of the first forbidden character, if any.
fn characters(text: &str) -> Option<Flaw> {
    let found = text.chars().find(|it| !it.is_ascii_graphic())?;
    let at_end = !text.trim().contains(found);
    Some(match found {
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
            flaw("holds a line break", ONE_LINE)
        }
        '\t' => flaw("holds a tab", BARE),
        ' ' if at_end => flaw("begins or ends with a blank", BARE),
        ' ' => flaw("holds a blank", BARE),
        '\u{a0}' | '\u{202f}' => flaw("holds a no-break space", RETYPE),
        '\u{feff}' => flaw("holds a byte order mark", RETYPE),
        other if other.is_whitespace() => flaw("holds a Unicode blank", RETYPE),
        other if is_invisible(other) => {
            flaw("holds a character without width, such as a zero-width space", RETYPE)
        }
        other if other.is_control() => flaw("holds a control character", BARE),
        other if is_dash(other) => flaw("holds a typographic dash", "write it with a plain hyphen"),
        _ => flaw("holds a character that no token and no key has (not ASCII)", BARE),
    })
}

fn is_quote(it: char) -> bool {
    matches!(it, '"' | '\'' | '`' | '´' | '\u{2018}'..='\u{201f}' | '«' | '»' | '‹' | '›' | '＂' | '＇')
}

/// Unicode format characters and other characters of zero width.
fn is_invisible(it: char) -> bool {
    matches!(it, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

fn is_dash(it: char) -> bool {
    matches!(it, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// Whether the text is an assignment: `export NAME=…`, `$env:NAME = …`, `NAME=…`, `api_key: …`. A key may contain
/// `=` and end with it, so a name alone counts only if it is spelt like an environment variable or names a
/// credential.
fn is_assignment(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let command =
        ["export ", "set ", "setx ", "declare ", "$env:", "env "].iter().find(|it| lower.starts_with(**it));
    let rest = text[command.map_or(0, |it| it.len())..].trim_start();
    let end = rest
        .find(|it: char| !(it.is_ascii_alphanumeric() || it == '_' || it == '-' || it == '.'))
        .unwrap_or(rest.len());
    let (name, value) = rest.split_at(end);
    let value = value.trim_start();
    let colon = value.strip_prefix(':').is_some_and(|it| it.starts_with([' ', '\t', '"', '\'']));
    // What follows base64 is padding only.
    let assigned = value.strip_prefix('=').is_some_and(|it| !it.trim_start_matches('=').is_empty());
    if name.is_empty() || !(colon || assigned) {
        return false;
    }
    let variable = name.len() <= 64
        && name.starts_with(|it: char| it.is_ascii_uppercase() || it == '_')
        && name.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_');
    let lower = name.to_ascii_lowercase();
    let telling = ["key", "token", "secret", "password"].iter().any(|it| lower.ends_with(it));
    command.is_some() || variable || telling
}

/// Whether the text is base64 of a text that could be a token or key itself, or of a text that [`shape`] names. A
/// key that is base64 of random bytes does not match: 65 of 256 byte values are such characters, so 12 random bytes
/// match with a probability of 7e-8, and the 16 to 48 bytes of real keys with far less. Hexadecimal keys, `sk-…`
/// and `key_…` decode to bytes above 127; a JWT contains dots, which base64 does not; key ids and secrets of AWS
/// are random. Keys that are base64 of `id:secret` or of JSON exist and are accepted.
fn is_encoded(text: &str) -> bool {
    let key = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-');
    decoded(text).is_some_and(|inner| {
        let inner = without_line_break(&inner);
        let inner = inner.strip_prefix('\u{feff}').unwrap_or(inner);
        let longer = inner.len() >= SHORTEST_KEY + 4;
        let written =
            inner.len() >= SHORTEST_KEY && inner.chars().all(|it| it.is_ascii_graphic() || it == ' ');
        written
            && (inner.chars().all(key)
                || longer && inner.chars().all(|it| key(it) || matches!(it, '/' | '+' | '='))
                || !inner.starts_with(['{', '[']) && shape(inner).is_some())
    })
}

/// Decodes base64 in either alphabet, padded or not. Only the alphabet is accepted, and the line breaks that
/// `base64` inserts after 76 characters.
fn decoded(text: &str) -> Option<String> {
    let joined: String = text.lines().collect();
    let bare = joined.trim_end_matches('=');
    let padding = joined.len() - bare.len();
    if padding > 0 && !joined.len().is_multiple_of(4) {
        return None;
    }
    let bytes = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn is(bytes: &[u8]) -> &'static str {
        bare(bytes).expect_err(&format!("{bytes:?}")).is
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn what_is_pasted_is_named_and_never_quoted() {
        let encode = |text: &str| STANDARD.encode(text);
        let encoded = encode("ek_canary_0123456789");
        let wrapped = encode(&"ek_canary_".repeat(9));
        let wrapped = format!("{}\n{}", &wrapped[..76], &wrapped[76..]);
        let with_newline = encode("ek_canary_0123456789\n");
        for (text, words) in [
            ("", "empty"),
            (" \t ", "only white space"),
            ("\n", "empty"),
            ("\r\n", "empty"),
            ("\u{feff}ek_canary", "byte order mark"),
            ("ek_\u{feff}canary", "byte order mark"),
            ("ek_canary\u{a0}", "no-break space"),
            ("\u{a0}ek_canary", "no-break space"),
            ("ek\u{202f}canary", "no-break space"),
            ("ek\u{3000}canary", "Unicode blank"),
            ("ek\u{2009}canary", "Unicode blank"),
            ("ek\u{200b}canary", "without width"),
            ("ek_canary\u{200d}", "without width"),
            ("\u{2060}ek_canary", "without width"),
            ("\u{202a}ek_canary", "without width"),
            ("ek canary", "holds a blank"),
            ("ek_canary ", "begins or ends with a blank"),
            (" ek_canary", "begins or ends with a blank"),
            ("ek\tcanary", "tab"),
            ("ek_canary\nX-Evil: 1", "line break"),
            ("ek_canary\n\n", "line break"),
            ("ek_canary\r\n\r\n", "line break"),
            ("\nek_canary", "line break"),
            ("ek_canary\u{2028}", "line break"),
            ("ek_\u{1b}canary", "control character"),
            ("ek\u{2013}canary", "dash"),
            ("ek_canar\u{e9}", "not ASCII"),
            ("Bearer ek_canary", "Bearer"),
            ("bEARER\tek_canary", "Bearer"),
            ("Authorization: Bearer ek_canary", "header"),
            ("authorization:bearer ek_canary", "header"),
            ("Authorization=Bearer ek_canary", "header"),
            ("x-api-key: ek_canary", "header"),
            ("\"ek_canary\"", "quotes"),
            ("'ek_canary'", "quotes"),
            ("`ek_canary`", "quotes"),
            ("\u{201c}ek_canary\u{201d}", "quotes"),
            ("\u{201e}ek_canary\u{201c}", "quotes"),
            ("\u{2018}ek_canary\u{2019}", "quotes"),
            ("ek_canary\"", "quotes"),
            (encoded.as_str(), "base64"),
            (with_newline.as_str(), "base64"),
            (wrapped.as_str(), "base64"),
            (&encode("ek_canary_01234567890"), "base64"),
            (encode("ek_canary_01234567890").trim_end_matches('='), "base64"),
            (&URL_SAFE_NO_PAD.encode("'ek_canary~?>0123456789'"), "base64"),
            (&encode("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "base64"),
            (&encode("Bearer ek_canary_0123456789"), "base64"),
            (&encode("\"ek_canary_0123456789\""), "base64"),
            (&encode("API_KEY=ek_canary_0123456789"), "base64"),
            (&encode("\u{feff}ek_canary_0123456789"), "base64"),
            (&encode(&encode("ek_canary_0123456789")), "base64"),
            ("export OPENAI_API_KEY=sk-canary", "assignment"),
            ("OPENAI_API_KEY=sk-canary", "assignment"),
            ("OPENAI_API_KEY=\"sk-canary\"", "assignment"),
            ("OPENAI_API_KEY = sk-canary", "assignment"),
            ("OPENAI_API_KEY: sk-canary", "assignment"),
            ("api_key=sk-canary", "assignment"),
            ("$env:TOKEN = 'sk-canary'", "assignment"),
            ("set TOKEN=sk-canary", "assignment"),
            ("{\"api_key\": \"sk-canary\"}", "JSON"),
            ("[\"sk-canary\"]", "JSON"),
            ("-----BEGIN PRIVATE KEY-----", "PEM"),
            ("<canary-key>", "placeholder"),
            ("${CANARY}", "placeholder"),
            ("sk-...canary", "shortened"),
            ("sk-****canary", "shortened"),
        ] {
            let flaw = bare(text.as_bytes()).expect_err(text);
            assert!(flaw.is.contains(words), "{text:?}: {flaw}");
            assert!(!flaw.to_string().to_lowercase().contains("canary"), "{text:?}: {flaw}");
        }
    }

    #[test]
    fn other_encodings_are_named() {
        assert!(is(&utf16("\u{feff}ek_fake", u16::to_le_bytes)).contains("UTF-16 text (little"));
        assert!(is(&utf16("\u{feff}ek_fake", u16::to_be_bytes)).contains("UTF-16 text (big"));
        assert!(is(&utf16("ek_fake", u16::to_le_bytes)).contains("UTF-16"));
        assert!(is(&utf16("ek_fake", u16::to_be_bytes)).contains("UTF-16"));
        assert!(is(b"ek_\xff\xfe").contains("not text"));
    }

    #[test]
    fn exactly_one_line_break_at_the_end_is_no_part_of_a_token() {
        for text in ["ek_fake_1", "ek_fake_1\n", "ek_fake_1\r\n"] {
            assert_eq!(bare(text.as_bytes()), Ok("ek_fake_1"), "{text:?}");
        }
    }

    #[test]
    fn what_vendors_give_out_passes() {
        let random = [
            "k3q9vJ0mZ8xT5bW2nR7yHc4LdF6gSaPe", // letters and digits
            "9f86d081884c7d659a2feaa0c55ad015", // hexadecimal
            "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", // AWS, a secret
            "AKIAIOSFODNN7EXAMPLE",                     // AWS, a key id
            "q83vEjRWeJCrze8SNFZ4kA==",                 // base64 of random bytes
            "3q2+78r+ur4AESIzRFVmd4iZqrvM3e7/ABEiM0RVZnc=",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "sk-ant-api03-0123456789abcdef_-AA",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "gsk_0123456789",
            "token=", // padding
            "canary-credential",
            "abcd1234abcd1234",                     // short, chosen by a person
            "Y2xpZW50LTEyMzQ6c2VjcmV0LTU2Nzg=",     // base64 of client-1234:secret-5678
            "eyJrIjoiMDEyMzQ1Njc4OSIsIm4iOiJhIn0=", // base64 of JSON
        ];
        for text in random {
            assert_eq!(bare(text.as_bytes()), Ok(text));
        }
    }

    #[test]
    fn a_document_may_have_blanks_and_no_byte_order_mark() {
        assert!(document(b"{\n  \"a\": 1\n}\n").is_ok());
        assert!(document(b"\xef\xbb\xbf{}").unwrap_err().is.contains("byte order mark"));
        assert!(document(&utf16("\u{feff}{}", u16::to_le_bytes)).unwrap_err().is.contains("UTF-16"));
        assert!(document(" \n".as_bytes()).unwrap_err().is.contains("white space"));
        assert!(document("{\"a\u{200b}\": 1}".as_bytes()).unwrap_err().is.contains("without width"));
        assert!(is_encoded_document(&STANDARD.encode("{\"a\": 1}"), '{'));
        assert!(!is_encoded_document("{\"a\": 1}", '{'));
    }
}
