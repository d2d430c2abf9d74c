//! Provider credentials: assembled from a Secret's entries and checked for shape before any call.
//!
//! Formats: Edgee, "Create a provider key" (contract §1.10). No message repeats a value.

use super::refusal::Refusal;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The entries of a Secret.
pub type Entries = BTreeMap<String, Vec<u8>>;

const FIELD: &str = "spec.credentialsRef";
const REGION_ID: &str = ".access_key_id";
const REGION_SECRET: &str = ".secret_access_key";

struct Source<'a> {
    secret: &'a str,
    key: Option<&'a str>,
    entries: &'a Entries,
}

/// The credential as the vendor takes it. `key`: the one entry that is the whole credential.
pub fn assemble(
    provider: &str,
    secret: &str,
    key: Option<&str>,
    entries: &Entries,
) -> Result<SecretString, Refusal> {
    let source = Source { secret, key, entries };
    match provider {
        "azure" => azure(&source),
        "bedrock" => bedrock(&source),
        "google_vertex_ai" => vertex(&source),
        _ => plain(&source),
    }
    .map(SecretString::from)
}

impl Source<'_> {
    fn text(&self, entry: &str) -> Result<&str, Refusal> {
        let place = format!("Secret {}, entry {entry}", self.secret);
        let bytes = self.entries.get(entry).ok_or_else(|| {
            Refusal::missing(FIELD, format!("{place} does not exist; add it to the Secret"))
        })?;
        match std::str::from_utf8(bytes).map(str::trim) {
            Ok("") => Err(Refusal::secret(FIELD, format!("{place} is empty"))),
            Ok(text) => Ok(text),
            Err(_) => Err(Refusal::secret(FIELD, format!("{place} is not text"))),
        }
    }

    fn one_line(&self, entry: &str) -> Result<&str, Refusal> {
        let text = self.text(entry)?;
        if text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(text);
        }
        let message = format!(
            "Secret {}, entry {entry} holds white space or line breaks, which no key has",
            self.secret
        );
        Err(Refusal::secret(FIELD, message))
    }

    fn document(&self, entry: &str) -> Result<Map<String, Value>, Refusal> {
        match serde_json::from_str(self.text(entry)?) {
            Ok(Value::Object(map)) => Ok(map),
            // The parser's message may quote the document, so only the place is told.
            Ok(_) => Err(self.wrong(entry, "is JSON, but not an object")),
            Err(error) => {
                let place = format!("is not valid JSON (line {}, column {})", error.line(), error.column());
                Err(self.wrong(entry, &place))
            }
        }
    }

    fn wrong(&self, entry: &str, what: &str) -> Refusal {
        Refusal::secret(FIELD, format!("Secret {}, entry {entry} {what}", self.secret))
    }
}

fn plain(source: &Source<'_>) -> Result<String, Refusal> {
    source.one_line(source.key.unwrap_or("api_key")).map(str::to_owned)
}

fn azure(source: &Source<'_>) -> Result<String, Refusal> {
    let (entry, endpoint, api_key) = match source.key {
        Some(entry) => {
            let document = source.document(entry)?;
            let field = |name: &str| {
                string(&document, name).ok_or_else(|| source.wrong(entry, &format!("lacks \"{name}\"")))
            };
            (entry, field("endpoint")?, field("api_key")?)
        }
        None => ("endpoint", source.one_line("endpoint")?.to_owned(), source.one_line("api_key")?.to_owned()),
    };
    let https = url::Url::parse(&endpoint).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    if !https {
        return Err(source.wrong(entry, "must name the endpoint as https://<resource>.openai.azure.com/"));
    }
    Ok(json!({"endpoint": endpoint, "api_key": api_key}).to_string())
}

fn bedrock(source: &Source<'_>) -> Result<String, Refusal> {
    let regions = match source.key {
        Some(entry) => source.document(entry)?,
        None => pairs(source)?,
    };
    let place = source.key.unwrap_or("global.access_key_id");
    if regions.is_empty() {
        let message = format!(
            "Secret {} has no pair of entries <region>{REGION_ID} and <region>{REGION_SECRET}; \
             region global is the default one",
            source.secret
        );
        return Err(Refusal::missing(FIELD, message));
    }
    for (region, pair) in &regions {
        let pair = pair.as_object().cloned().unwrap_or_default();
        for name in ["access_key_id", "secret_access_key"] {
            if string(&pair, name).is_none() {
                return Err(
                    source.wrong(place, &format!("lacks \"{name}\" for region {}", plain_word(region)))
                );
            }
        }
    }
    Ok(Value::Object(regions).to_string())
}

fn pairs(source: &Source<'_>) -> Result<Map<String, Value>, Refusal> {
    let region = |entry: &String| {
        let name = entry.strip_suffix(REGION_ID).or_else(|| entry.strip_suffix(REGION_SECRET));
        name.map(str::to_owned)
    };
    let regions: BTreeSet<String> = source.entries.keys().filter_map(region).collect();
    let mut document = Map::new();
    for region in regions {
        let id = source.one_line(&format!("{region}{REGION_ID}"))?;
        let secret = source.one_line(&format!("{region}{REGION_SECRET}"))?;
        document.insert(region.clone(), json!({"access_key_id": id, "secret_access_key": secret}));
    }
    Ok(document)
}

fn vertex(source: &Source<'_>) -> Result<String, Refusal> {
    let entry = source.key.unwrap_or("service_account.json");
    let document = source.document(entry)?;
    if string(&document, "type").as_deref() != Some("service_account") {
        return Err(source.wrong(entry, "is not a service account: \"type\" must be \"service_account\""));
    }
    for name in ["project_id", "private_key", "client_email"] {
        if string(&document, name).is_none() {
            return Err(
                source.wrong(entry, &format!("lacks \"{name}\"; download the service account's JSON again"))
            );
        }
    }
    Ok(Value::Object(document).to_string())
}

fn string(document: &Map<String, Value>, name: &str) -> Option<String> {
    document.get(name).and_then(Value::as_str).filter(|it| !it.trim().is_empty()).map(str::to_owned)
}

/// A region's name comes out of a Secret: only something that looks like one is repeated.
fn plain_word(region: &str) -> &str {
    let sane = region.len() <= 32
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if sane { region } else { "(unnamed)" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn try_it(provider: &str, key: Option<&str>, entries: &[(&str, &str)]) -> Result<Value, Refusal> {
        let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
        #[expect(clippy::disallowed_methods, reason = "the test looks at what was assembled")]
        assemble(provider, "byok", key, &entries).map(|it| {
            let text = it.expose_secret();
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        })
    }

    const ACCOUNT: &str =
        r#"{"type":"service_account","project_id":"p","private_key":"FAKE-PEM","client_email":"a@b"}"#;

    #[test]
    fn each_provider_gets_the_format_it_documents() {
        assert_eq!(try_it("openai", None, &[("api_key", "sk-fake\n")]).unwrap(), json!("sk-fake"));
        assert_eq!(try_it("groq", Some("k"), &[("k", "gsk-fake")]).unwrap(), json!("gsk-fake"));
        let azure = [("endpoint", "https://x.openai.azure.com/"), ("api_key", "fake")];
        let expected = json!({"endpoint": "https://x.openai.azure.com/", "api_key": "fake"});
        assert_eq!(try_it("azure", None, &azure).unwrap(), expected);
        assert_eq!(try_it("azure", Some("j"), &[("j", &expected.to_string())]).unwrap(), expected);
        let bedrock = [
            ("global.access_key_id", "AKIAFAKE"),
            ("global.secret_access_key", "fake"),
            ("us-east-1.access_key_id", "AKIAFAKE2"),
            ("us-east-1.secret_access_key", "fake2"),
        ];
        let assembled = try_it("bedrock", None, &bedrock).unwrap();
        assert_eq!(assembled["us-east-1"]["access_key_id"], "AKIAFAKE2");
        assert_eq!(assembled["global"]["secret_access_key"], "fake");
        let vertex = try_it("google_vertex_ai", None, &[("service_account.json", ACCOUNT)]).unwrap();
        assert_eq!(vertex["project_id"], "p");
    }

    type Row<'a> = (&'a str, Option<&'a str>, Vec<(&'a str, &'a str)>, &'a str);

    #[test]
    fn what_is_missing_or_malformed_is_named_and_never_quoted() {
        let no_key = ACCOUNT.replace("private_key", "CANARY");
        let table: Vec<Row<'_>> = vec![
            ("openai", None, vec![], "entry api_key does not exist"),
            ("openai", Some("k"), vec![("api_key", "CANARY")], "entry k does not exist"),
            ("openai", None, vec![("api_key", "  \n")], "is empty"),
            ("openai", None, vec![("api_key", "CANARY\nX: y")], "line breaks"),
            ("azure", None, vec![("api_key", "CANARY")], "entry endpoint does not exist"),
            ("azure", None, vec![("endpoint", "https://x.example")], "entry api_key does not exist"),
            ("azure", None, vec![("endpoint", "CANARY"), ("api_key", "CANARY")], "https://"),
            ("azure", Some("j"), vec![("j", r#"{"endpoint":"https://x.example"}"#)], "lacks \"api_key\""),
            ("bedrock", None, vec![("api_key", "CANARY")], "no pair of entries"),
            (
                "bedrock",
                None,
                vec![("global.access_key_id", "CANARY")],
                "global.secret_access_key does not exist",
            ),
            ("bedrock", Some("j"), vec![("j", "{}")], "no pair of entries"),
            ("bedrock", Some("j"), vec![("j", r#"{"eu":{"access_key_id":"CANARY"}}"#)], "for region eu"),
            ("bedrock", Some("j"), vec![("j", r#"{"CANARY!":3}"#)], "(unnamed)"),
            ("google_vertex_ai", None, vec![("service_account.json", "{CANARY")], "not valid JSON (line 1"),
            ("google_vertex_ai", None, vec![("service_account.json", "[]")], "not an object"),
            ("google_vertex_ai", None, vec![("service_account.json", "{}")], "service_account"),
            ("google_vertex_ai", None, vec![("service_account.json", &no_key)], "lacks \"private_key\""),
        ];
        for (provider, key, entries, words) in table {
            let refusal = try_it(provider, key, &entries).expect_err(words);
            assert!(refusal.message.contains(words), "{provider}: {refusal}");
            assert!(!refusal.to_string().contains("CANARY"), "{provider}: {refusal}");
            assert_eq!(refusal.field, "spec.credentialsRef");
        }
    }
}
