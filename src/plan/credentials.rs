//! Provider credentials: assembled from a Secret's entries and validated part by part before any call.
//!
//! Formats: Edgee, "Create a provider key" (contract §1.10). Error messages never contain a value.

mod azure;
mod bedrock;
mod vertex;

use super::capability::CredentialFormat;
use super::pasted;
use super::spec_error::SpecError;
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The entries of a Secret.
pub type Entries = BTreeMap<String, Vec<u8>>;

const FIELD: &str = "spec.credentialsRef";

struct Source<'a> {
    secret: &'a str,
    key: Option<&'a str>,
    entries: &'a Entries,
}

/// The credential in the vendor's format. `key`: the single entry that holds the whole credential.
pub fn assemble(
    format: CredentialFormat,
    provider: &str,
    secret: &str,
    key: Option<&str>,
    entries: &Entries,
) -> Result<SecretString, SpecError> {
    let source = Source { secret, key, entries };
    match (format, provider) {
        (CredentialFormat::AsItIs, _) => as_it_is(&source),
        (_, "azure") => azure::credential(&source),
        (_, "bedrock") => bedrock::credential(&source),
        (_, "google_vertex_ai") => vertex::credential(&source),
        _ => plain(&source),
    }
    .map(SecretString::from)
}

impl Source<'_> {
    fn bytes(&self, entry: &str) -> Result<&[u8], SpecError> {
        let missing = || {
            let similar = self.entries.keys().find(|it| is_like(it, entry));
            let hint = similar.map_or_else(
                || "add it to the Secret".to_owned(),
                |it| format!("the Secret has {}, which is not read: rename it", plain_word(it)),
            );
            SpecError::missing(FIELD, format!("Secret {}, entry {entry} does not exist; {hint}", self.secret))
        };
        self.entries.get(entry).map(Vec::as_slice).ok_or_else(missing)
    }

    fn one_line(&self, entry: &str) -> Result<&str, SpecError> {
        pasted::bare(self.bytes(entry)?).map_err(|flaw| self.wrong(entry, &flaw.to_string()))
    }

    fn document(&self, entry: &str) -> Result<Map<String, Value>, SpecError> {
        let text =
            pasted::document(self.bytes(entry)?).map_err(|flaw| self.wrong(entry, &flaw.to_string()))?;
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(self.wrong(entry, "is JSON, but not an object")),
            Err(_) if pasted::is_encoded_document(text, '{') => {
                let what = "is base64 of a JSON document, so that it is encoded twice in the Secret; put it in as it \
                            is under stringData, or encode it once under data";
                Err(self.wrong(entry, what))
            }
            Err(error) => Err(self.wrong(entry, &malformed(&error))),
        }
    }

    /// A field of the document that must be a single word.
    fn part(&self, entry: &str, document: &Map<String, Value>, name: &str) -> Result<String, SpecError> {
        let text = document.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
        let text = text.ok_or_else(|| self.wrong(entry, &format!("lacks \"{name}\"")))?;
        pasted::part(text).map_err(|flaw| self.wrong(entry, &format!("\"{name}\" {flaw}")))?;
        Ok(text.to_owned())
    }

    /// Refuses a document with fields other than these.
    fn only(&self, entry: &str, document: &Map<String, Value>, names: &[&str]) -> Result<(), SpecError> {
        let Some(unknown) = document.keys().find(|it| !names.contains(&it.as_str())) else {
            return Ok(());
        };
        let names = names.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(" and ");
        let message =
            format!("has {}, which the vendor does not take; leave only {names}", plain_word(unknown));
        Err(self.wrong(entry, &message))
    }

    /// The error for an entry that looks like part of the credential but is not read.
    fn unread(&self, entry: &str, names: &str) -> SpecError {
        let word = plain_word(entry);
        let message = format!(
            "Secret {}, entry {word} is no part of the credential; {names}, so rename or remove it",
            self.secret
        );
        SpecError::secret(FIELD, message)
    }

    fn wrong(&self, entry: &str, what: &str) -> SpecError {
        SpecError::secret(FIELD, format!("Secret {}, entry {entry} {what}", self.secret))
    }
}

fn plain(source: &Source<'_>) -> Result<String, SpecError> {
    let Some(entry) = source.key else {
        let other = |it: &&String| *it != "api_key" && is_like(it, "api_key");
        if let Some(other) =
            source.entries.keys().find(other).filter(|_| source.entries.contains_key("api_key"))
        {
            return Err(source.unread(other, "the key is read from api_key"));
        }
        return source.one_line("api_key").map(str::to_owned);
    };
    source.one_line(entry).map(str::to_owned)
}

/// One entry: a word, or a JSON document of whatever form the vendor documents.
fn as_it_is(source: &Source<'_>) -> Result<String, SpecError> {
    let entry = source.key.unwrap_or("api_key");
    let begins = |bytes: &[u8]| matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    if !source.bytes(entry).is_ok_and(begins) {
        return plain(source);
    }
    let text =
        pasted::document(source.bytes(entry)?).map_err(|flaw| source.wrong(entry, &flaw.to_string()))?;
    let text = text.trim();
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(source.wrong(entry, &malformed(&error))),
    }
}

/// The parser's message may quote the document, so only the position is reported.
fn malformed(error: &serde_json::Error) -> String {
    format!("is not valid JSON (line {}, column {})", error.line(), error.column())
}

/// The name's letters and digits in lower case, for a comparison regardless of spelling.
fn bones(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|it| it.to_ascii_lowercase()).collect()
}

/// Whether both names are equal apart from case, hyphens, underscores and dots.
fn is_like(name: &str, wanted: &str) -> bool {
    bones(name) == bones(wanted)
}

/// A name from a Secret is repeated only if it looks like a name.
fn plain_word(name: &str) -> &str {
    let word = |it: &str| it.len() < 20 && it.bytes().all(|b| b.is_ascii_alphanumeric());
    if !name.is_empty() && name.len() <= 64 && name.split(['-', '_', '.']).all(word) {
        name
    } else {
        "(unnamed)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    fn try_it(provider: &str, key: Option<&str>, entries: &[(&str, &str)]) -> Result<Value, SpecError> {
        try_in(CredentialFormat::Assembled, provider, key, entries)
    }

    fn try_in(
        format: CredentialFormat,
        provider: &str,
        key: Option<&str>,
        entries: &[(&str, &str)],
    ) -> Result<Value, SpecError> {
        let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
        #[expect(clippy::disallowed_methods, reason = "the test looks at what was assembled")]
        assemble(format, provider, "byok", key, &entries).map(|it| {
            let text = it.expose_secret();
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        })
    }

    const ACCOUNT: &str = r#"{"type":"service_account","project_id":"my-project","client_email":"fake@my-project.iam.gserviceaccount.com",
        "private_key":"-----BEGIN PRIVATE KEY-----\nRkFLRSwgbm90IGEga2V5\n-----END PRIVATE KEY-----\n"}"#;

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
        assert_eq!(vertex["project_id"], "my-project");
    }

    #[test]
    fn a_credential_of_a_format_of_its_own_stays_as_it_is() {
        let as_it_is =
            |provider, key, entries: &[_]| try_in(CredentialFormat::AsItIs, provider, key, entries);
        let resources = json!([{"model_slug": "m", "endpoint_url": "https://x", "api_key": "fake"}]);
        let written = format!("\n{resources:#}\n");
        assert_eq!(as_it_is("azure", Some("a.json"), &[("a.json", &written)]).unwrap(), resources);
        assert_eq!(
            as_it_is("google-vertex", None, &[("api_key", ACCOUNT)]).unwrap()["project_id"],
            "my-project"
        );
        assert_eq!(as_it_is("azure", None, &[("api_key", "sk-fake\n")]).unwrap(), json!("sk-fake"));
        let refused = as_it_is("azure", None, &[("api_key", "[{\"CANARY\"")]).unwrap_err().to_string();
        assert!(
            refused.contains("is not valid JSON (line 1, column") && !refused.contains("CANARY"),
            "{refused}"
        );
        let missing = as_it_is("azure", None, &[("endpoint", "https://x")]).unwrap_err().to_string();
        assert!(missing.contains("api_key does not exist"), "{missing}");
    }

    type Row<'a> = (&'a str, Option<&'a str>, Vec<(&'a str, &'a str)>, &'a str);

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_is_missing_or_malformed_is_named_and_never_quoted() {
        let no_key = ACCOUNT.replace("private_key", "canary");
        let no_pem = ACCOUNT.replace("BEGIN", "CANARY");
        let blank = ACCOUNT.replace("my-project\"", "my-project \"");
        let nobody = ACCOUNT.replace("fake@", "CANARY.");
        let secret = "global.secret_access_key";
        let (first, second) = (("global.access_key_id", "CANARY"), (secret, "CANARY"));
        let (endpoint, api_key) = (("endpoint", "https://x.example"), ("api_key", "CANARY"));
        let azure = |url: &'static str| ("azure", None, vec![("endpoint", url), api_key]);
        let with = |(provider, key, entries): (&'static str, Option<&'static str>, _), words| {
            (provider, key, entries, words)
        };
        let vertex = |text| vec![("service_account.json", text)];
        let mut table: Vec<Row<'_>> = vec![
            ("openai", None, vec![], "entry api_key does not exist"),
            ("openai", None, vec![("API-KEY", "CANARY")], "the Secret has API-KEY, which is not read"),
            ("openai", None, vec![api_key, ("apikey", "CANARY")], "entry apikey is no part"),
            ("openai", Some("k"), vec![("api_key", "CANARY")], "entry k does not exist"),
            ("openai", None, vec![("api_key", "  \n")], "only white space"),
            ("openai", None, vec![("api_key", "CANARY\nX: y")], "line break"),
            ("openai", None, vec![("api_key", "{\"a\": \"CANARY\"}")], "JSON document"),
            ("openai", None, vec![("api_key", "OPENAI_API_KEY=CANARY")], "assignment"),
            ("openai", None, vec![("api_key", "\u{feff}CANARY")], "byte order mark"),
            ("azure", None, vec![api_key], "entry endpoint does not exist"),
            ("azure", None, vec![endpoint], "entry api_key does not exist"),
            ("azure", None, vec![("endpoint", "CANARY"), api_key], "https://"),
            (
                "azure",
                None,
                vec![endpoint, api_key, ("endpoint_url", "CANARY")],
                "entry endpoint_url is no part",
            ),
            ("azure", None, vec![endpoint, api_key, ("apikey", "CANARY")], "entry apikey is no part"),
            (
                "azure",
                None,
                vec![endpoint, api_key, ("api_version", "CANARY")],
                "entry api_version is no part",
            ),
            ("azure", Some("j"), vec![("j", r#"{"endpoint":"https://x.example"}"#)], "lacks \"api_key\""),
            (
                "azure",
                Some("j"),
                vec![("j", r#"{"endpoint":"https://x.example\n","api_key":"CANARY"}"#)],
                "\"endpoint\" holds a line break",
            ),
            (
                "azure",
                Some("j"),
                vec![("j", r#"{"endpoint":"https://x.example","api_key":"CANARY\n"}"#)],
                "\"api_key\" holds a line break",
            ),
            (
                "azure",
                Some("j"),
                vec![("j", r#"{"endpoint":"https://x.example","api_key":"CANARY","api_version":"1"}"#)],
                "has api_version",
            ),
            ("bedrock", None, vec![("CANARY", "CANARY")], "no pair of entries"),
            ("bedrock", None, vec![first], "global.secret_access_key does not exist"),
            ("bedrock", None, vec![second], "global.access_key_id does not exist"),
            (
                "bedrock",
                None,
                vec![first, second, ("us-east-1.acess_key_id", "x")],
                "entry us-east-1.acess_key_id is no part",
            ),
            (
                "bedrock",
                None,
                vec![first, second, ("us-east-1.session_token", "x")],
                "entry us-east-1.session_token is no part",
            ),
            ("bedrock", None, vec![first, second, ("us-east-1", "x")], "entry us-east-1 is no part"),
            ("bedrock", None, vec![first, second, ("access_key_id", "x")], "entry access_key_id is no part"),
            ("bedrock", None, vec![first, second, ("AWS_REGION", "x")], "entry AWS_REGION is no part"),
            ("bedrock", None, vec![first, second, (".access_key_id", "x")], "names no region"),
            (
                "bedrock",
                None,
                vec![first, second, ("US_EAST_1.access_key_id", "x")],
                "US_EAST_1.access_key_id names no region",
            ),
            (
                "bedrock",
                None,
                vec![("global.access_key_id", "CANARY \n"), second],
                "begins or ends with a blank",
            ),
            ("bedrock", Some("j"), vec![("j", "{}")], "no pair of entries"),
            (
                "bedrock",
                Some("j"),
                vec![("j", r#"{"global":{"access_key_id":"CANARY"}}"#)],
                "(region global)",
            ),
            (
                "bedrock",
                Some("j"),
                vec![("j", r#"{"eu":{"access_key_id":"CANARY"}}"#)],
                "names the region eu, which is none",
            ),
            (
                "bedrock",
                Some("j"),
                vec![("j", r#"{"":{"access_key_id":"CANARY"}}"#)],
                "names the region (unnamed)",
            ),
            ("bedrock", Some("j"), vec![("j", r#"{"CANARY!":3}"#)], "(unnamed)"),
            (
                "bedrock",
                Some("j"),
                vec![("j", r#"{"global":{"access_key_id":"CANARY\n","secret_access_key":" f "}}"#)],
                "line break",
            ),
            (
                "bedrock",
                Some("j"),
                vec![(
                    "j",
                    r#"{"global":{"access_key_id":"a","secret_access_key":"b","session_token":"CANARY"}}"#,
                )],
                "has session_token",
            ),
            ("google_vertex_ai", None, vertex("{CANARY"), "not valid JSON (line 1"),
            ("google_vertex_ai", None, vertex("\u{feff}{}"), "byte order mark"),
            ("google_vertex_ai", None, vertex("eyJhIjogIkNBTkFSWSJ9"), "base64 of a JSON document"),
            ("google_vertex_ai", None, vertex("[]"), "not an object"),
            ("google_vertex_ai", None, vertex("{}"), "service_account"),
            ("google_vertex_ai", None, vertex(&no_key), "lacks \"private_key\""),
            ("google_vertex_ai", None, vertex(&no_pem), "\"private_key\" has no line -----BEGIN"),
            ("google_vertex_ai", None, vertex(&blank), "\"project_id\" begins or ends with a blank"),
            ("google_vertex_ai", None, vertex(&nobody), "\"client_email\" is no e-mail address"),
            (
                "google_vertex_ai",
                None,
                vec![("service_account.json", ACCOUNT), ("private_key", "CANARY")],
                "entry private_key is no part",
            ),
        ];
        table.extend([
            with(azure("https://me:CANARY@x.example"), "a user or a password"),
            with(azure("https://x.example/openai/CANARY"), "a path"),
            with(azure("https://x.example/?api-version=CANARY"), "a query"),
            with(azure("https://x.example/#CANARY"), "a fragment"),
            with(azure("http://x.example/"), "must name the endpoint"),
        ]);
        for (provider, key, entries, words) in table {
            let refusal = try_it(provider, key, &entries).expect_err(words);
            assert!(refusal.message.contains(words), "{provider}: {refusal}");
            assert!(!refusal.to_string().contains("CANARY"), "{provider}: {refusal}");
            assert_eq!(refusal.field, "spec.credentialsRef");
        }
    }
}
