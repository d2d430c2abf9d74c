//! Amazon Bedrock: an access key id and a secret access key per region.

use super::{FIELD, Source, bones, plain_word};
use crate::plan::spec_error::SpecError;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const NAMES: [&str; 2] = ["access_key_id", "secret_access_key"];
const REGIONS: &str = "write global or a region such as us-east-1";

/// The credential, from a document or from pairs of entries.
pub fn credential(source: &Source<'_>) -> Result<String, SpecError> {
    let regions = match source.key {
        Some(entry) => document(source, entry)?,
        None => pairs(source)?,
    };
    if regions.is_empty() {
        let message = format!(
            "Secret {} has no pair of entries <region>.access_key_id and <region>.secret_access_key; \
             region global is the default one",
            source.secret
        );
        return Err(SpecError::missing(FIELD, message));
    }
    Ok(Value::Object(regions).to_string())
}

fn document(source: &Source<'_>, entry: &str) -> Result<Map<String, Value>, SpecError> {
    let mut regions = Map::new();
    for (region, pair) in source.document(entry)? {
        if !is_region(&region) {
            let message = format!("names the region {}, which is none; {REGIONS}", plain_word(&region));
            return Err(source.wrong(entry, &message));
        }
        let pair = pair.as_object().cloned().unwrap_or_default();
        let told = |refusal: SpecError| SpecError {
            message: format!("{} (region {region})", refusal.message),
            ..refusal
        };
        let part = |name: &str| source.part(entry, &pair, name).map_err(told);
        let (id, secret) = (part(NAMES[0])?, part(NAMES[1])?);
        source.only(entry, &pair, &NAMES).map_err(told)?;
        regions.insert(region.clone(), json!({"access_key_id": id, "secret_access_key": secret}));
    }
    Ok(regions)
}

fn pairs(source: &Source<'_>) -> Result<Map<String, Value>, SpecError> {
    let mut regions = BTreeSet::new();
    for entry in source.entries.keys() {
        match entry.rsplit_once('.') {
            Some((region, name)) if NAMES.contains(&name) => {
                if !is_region(region) {
                    let message = format!("names no region in front of .{name}; {REGIONS}");
                    return Err(source.wrong(plain_word(entry), &message));
                }
                regions.insert(region);
            }
            _ if is_meant(entry) => {
                let names = "bedrock is read from <region>.access_key_id and <region>.secret_access_key";
                return Err(source.unread(entry, names));
            }
            _ => {}
        }
    }
    let mut document = Map::new();
    for region in regions {
        let part = |name: &str| source.one_line(&format!("{region}.{name}"));
        let (id, secret) = (part(NAMES[0])?, part(NAMES[1])?);
        document.insert(region.to_owned(), json!({"access_key_id": id, "secret_access_key": secret}));
    }
    Ok(document)
}

/// Whether an unread entry was meant for the credential: it begins with a region, or has the name of one of its
/// parts.
fn is_meant(entry: &str) -> bool {
    let region = entry.split(['.', '/', ':']).next().is_some_and(is_region);
    let bones = bones(entry);
    let bare = bones.strip_prefix("aws").unwrap_or(&bones);
    let parts = [
        "accesskeyid",
        "accesskey",
        "secretaccesskey",
        "secretkey",
        "sessiontoken",
        "region",
        "defaultregion",
    ];
    // Other entries of a shared Secret, such as `django_secret_key`, must not match.
    region || parts.contains(&bare) || bare.ends_with("accesskeyid") || bare.ends_with("secretaccesskey")
}

/// `global`, or an AWS region such as `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let letters = |it: &&str| (2..=12).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_lowercase());
    let number = |it: &&str| (1..=2).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit());
    let named = match parts.as_slice() {
        [place @ .., last] => (2..=3).contains(&place.len()) && place.iter().all(letters) && number(last),
        [] => false,
    };
    text == "global" || named && parts[0].len() <= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_look_like_regions() {
        for region in
            ["global", "us-east-1", "us-gov-west-1", "ap-southeast-2", "eu-isoe-west-1", "eusc-de-east-1"]
        {
            assert!(is_region(region), "{region}");
        }
        for other in [
            "",
            "us",
            "eu",
            "US-EAST-1",
            "us_east_1",
            "US_EAST_1",
            "us-east",
            "us-east-1a",
            "us-east-1 ",
            "Global",
            "1",
        ] {
            assert!(!is_region(other), "{other}");
        }
    }
}
