//! Google Vertex AI: the JSON document of a service account.

use super::{Source, bones, is_like};
use crate::plan::pasted;
use crate::plan::spec_error::SpecError;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};

const ENTRY: &str = "service_account.json";
const AGAIN: &str = "download the service account's JSON again";

/// The credential, from the service account document.
pub fn credential(source: &Source<'_>) -> Result<String, SpecError> {
    let entry = source.key.unwrap_or(ENTRY);
    let document = source.document(entry)?;
    if source.key.is_none() {
        refuse_unread(source)?;
    }
    let wrong = |what: String| source.wrong(entry, &what);
    if document.get("type").and_then(Value::as_str) != Some("service_account") {
        return Err(wrong("is not a service account: \"type\" must be \"service_account\"".to_owned()));
    }
    let text =
        |name: &str| required(&document, name).ok_or_else(|| wrong(format!("lacks \"{name}\"; {AGAIN}")));
    let (project, key, email) = (text("project_id")?, text("private_key")?, text("client_email")?);
    for (name, value) in document.iter().filter(|(name, _)| *name != "private_key") {
        let known = super::plain_word(name);
        let written = value.as_str().filter(|text| !text.is_empty());
        let flaw = written.and_then(|text| pasted::part(text).err());
        if let Some(flaw) = flaw {
            return Err(wrong(format!("\"{known}\" {flaw}")));
        }
    }
    if !is_project(project) {
        return Err(wrong(format!(
            "\"project_id\" is none: it has small letters, digits and hyphens and is not the project's number; {AGAIN}"
        )));
    }
    if !is_email(email) {
        return Err(wrong(format!("\"client_email\" is no e-mail address; {AGAIN}")));
    }
    private_key(key).map_err(|what| wrong(format!("\"private_key\" {what}; {AGAIN}")))?;
    Ok(Value::Object(document).to_string())
}

fn required<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    document.get(name).and_then(Value::as_str).filter(|it| !it.is_empty())
}

/// Refuses entries that hold single parts of the document: they are not assembled.
fn refuse_unread(source: &Source<'_>) -> Result<(), SpecError> {
    let parts =
        ["privatekey", "privatekeyid", "clientemail", "projectid", "serviceaccount", "location", "region"];
    let meant = |entry: &&String| {
        *entry != ENTRY && (is_like(entry, ENTRY) || parts.contains(&bones(entry).as_str()))
    };
    match source.entries.keys().find(meant) {
        Some(entry) => Err(source.unread(entry, "google_vertex_ai is read from service_account.json alone")),
        None => Ok(()),
    }
}

/// `my-project`, or `example.com:my-project` for old domains.
fn is_project(text: &str) -> bool {
    let name = text.rsplit_once(':').map_or(text, |(_, name)| name);
    let word =
        |it: &str| it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b));
    word(text) && name.starts_with(|it: char| it.is_ascii_lowercase()) && !name.ends_with('-')
}

fn is_email(text: &str) -> bool {
    let sides = text.split_once('@');
    sides.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

/// Whether the text is a PEM private key. The key's content is left to the vendor to check.
fn private_key(text: &str) -> Result<(), &'static str> {
    let holds = |part: &str| text.contains(part);
    if holds("\\n") || holds("\\r") {
        return Err(
            "has its line breaks written as backslash and n, so it was escaped twice: in JSON each is \\n, once",
        );
    }
    if holds("-----BEGIN ENCRYPTED") || holds("Proc-Type: 4,ENCRYPTED") {
        return Err("is encrypted with a passphrase, which the vendor does not have");
    }
    if holds("-----BEGIN OPENSSH") {
        return Err("is an OpenSSH key, not one of a service account");
    }
    if !holds("PRIVATE KEY-----") {
        let other = [
            ("CERTIFICATE", "is a certificate, not a private key"),
            ("PUBLIC KEY", "is a public key, not a private one"),
        ];
        let found = other.iter().find(|(label, _)| text.contains(&format!("{label}-----")));
        return Err(found.map_or("is no PEM: it has no line -----BEGIN PRIVATE KEY-----", |(_, what)| what));
    }
    if !holds("-----BEGIN ") {
        return Err("has no line -----BEGIN PRIVATE KEY-----: its beginning is cut off");
    }
    if !holds("-----END ") {
        return Err("has no line -----END PRIVATE KEY-----: its end is cut off");
    }
    if text.trim().lines().count() < 3 {
        return Err("has lost its line breaks");
    }
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) if !key.secret_der().is_empty() => Ok(()),
        _ => Err("is damaged: it is no valid PEM"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nRkFLRSwgbm90IGEga2V5\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_private_key_is_a_private_key_in_pem() {
        assert_eq!(private_key(KEY), Ok(()));
        assert_eq!(private_key(&KEY.replace("PRIVATE", "RSA PRIVATE")), Ok(()));
        let table = [
            ("FAKE-PEM".to_owned(), "no PEM"),
            (KEY.replace('\n', "\\n"), "backslash"),
            (KEY.replace('\n', ""), "lost its line breaks"),
            (KEY.replace('\n', " "), "lost its line breaks"),
            (KEY.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE"), "encrypted"),
            (KEY.replace("PRIVATE KEY", "CERTIFICATE"), "certificate"),
            (KEY.replace("PRIVATE KEY", "PUBLIC KEY"), "public key"),
            (KEY.replace("PRIVATE", "OPENSSH PRIVATE"), "OpenSSH"),
            (KEY.replace("-----END PRIVATE KEY-----\n", ""), "end is cut off"),
            (KEY.replace("-----BEGIN PRIVATE KEY-----\n", ""), "beginning is cut off"),
            (KEY.replace("RkFL", "R%FL"), "damaged"),
            (KEY.replace("RkFLRSwgbm90IGEga2V5\n", "\n"), "damaged"),
        ];
        for (key, words) in table {
            let said = private_key(&key).expect_err(words);
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    #[test]
    fn projects_and_addresses_look_like_it() {
        for project in ["p", "my-project-1", "example.com:my-project"] {
            assert!(is_project(project), "{project}");
        }
        for other in ["123456789", "My-Project", "my_project", "my project", "-a", "a-"] {
            assert!(!is_project(other), "{other}");
        }
        assert!(
            is_email("a@b") && !is_email("a") && !is_email("@b") && !is_email("a@b@c") && !is_email("a@")
        );
    }
}
