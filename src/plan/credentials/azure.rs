//! Azure: an endpoint and its API key.

use super::{Source, bones};
use crate::plan::spec_error::SpecError;
use serde_json::json;
use url::Url;

const NAMES: [&str; 2] = ["endpoint", "api_key"];

/// The credential, from a document or from two entries.
pub fn credential(source: &Source<'_>) -> Result<String, SpecError> {
    let (entry, endpoint, api_key) = if let Some(entry) = source.key {
        let document = source.document(entry)?;
        let part = |name: &str| source.part(entry, &document, name);
        let (endpoint, api_key) = (part("endpoint")?, part("api_key")?);
        source.only(entry, &document, &NAMES)?;
        (entry, endpoint, api_key)
    } else {
        let part = |name: &str| source.one_line(name).map(str::to_owned);
        let (endpoint, api_key) = (part("endpoint")?, part("api_key")?);
        refuse_unread(source)?;
        ("endpoint", endpoint, api_key)
    };
    check(&endpoint).map_err(|what| source.wrong(entry, &what))?;
    Ok(json!({"endpoint": endpoint, "api_key": api_key}).to_string())
}

fn refuse_unread(source: &Source<'_>) -> Result<(), SpecError> {
    let meant = |entry: &&String| {
        let bones = bones(entry);
        let parts = [
            "endpoint",
            "endpointurl",
            "apikey",
            "key",
            "apiversion",
            "apibase",
            "baseurl",
            "deployment",
            "resource",
        ];
        let bare =
            bones.strip_prefix("azureopenai").or_else(|| bones.strip_prefix("azure")).unwrap_or(&bones);
        !NAMES.contains(&entry.as_str()) && parts.contains(&bare)
    };
    match source.entries.keys().find(meant) {
        Some(entry) => Err(source.unread(entry, "azure is read from endpoint and api_key")),
        None => Ok(()),
    }
}

/// Checks the endpoint. A path is refused, because the vendor appends its own.
fn check(endpoint: &str) -> Result<(), String> {
    const LIKE: &str = "https://<resource>.openai.azure.com/";
    let url = Url::parse(endpoint).ok().filter(|url| url.scheme() == "https" && url.has_host());
    let Some(url) = url else {
        return Err(format!("must name the endpoint as {LIKE}"));
    };
    let excess = [
        (!url.username().is_empty() || url.password().is_some(), "a user or a password"),
        (url.path() != "/", "a path"),
        (url.query().is_some(), "a query"),
        (url.fragment().is_some(), "a fragment"),
    ];
    match excess.into_iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(format!("names the endpoint with {what}; leave only {LIKE}")),
        None => Ok(()),
    }
}
