//! Reads the bundle of certificate authorities that a console token names.

use super::{brief, is_forbidden};
use crate::api::console_token::{CaBundleKind, CaBundleRef};
use crate::plan::spec_error::SpecError;
use crate::plan::token;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

/// The bytes of that entry, or why there are none.
pub async fn read(
    client: &Client,
    namespace: &str,
    place: &CaBundleRef,
) -> kube::Result<Result<Vec<u8>, SpecError>> {
    let kind = place.kind.unwrap_or_default();
    let read = match kind {
        CaBundleKind::ConfigMap => of_config_map(client, namespace, place).await,
        CaBundleKind::Secret => of_secret(client, namespace, place).await,
    };
    Ok(match read {
        Err(error) if is_forbidden(&error) => Err(token::bundle_unreadable(place, &brief(&error))),
        Err(error) => return Err(error),
        Ok(Entry::NoObject) => Err(token::bundle_missing(place, namespace)),
        Ok(Entry::Missing) => Err(token::bundle_entry_missing(place)),
        Ok(Entry::Bytes(bytes)) => Ok(bytes),
    })
}

/// What was found at the place of the certificates.
enum Entry {
    /// There is no such object.
    NoObject,
    /// The object does not have the entry.
    Missing,
    /// The entry.
    Bytes(Vec<u8>),
}

impl Entry {
    fn of(entry: Option<Vec<u8>>) -> Self {
        entry.map_or(Self::Missing, Self::Bytes)
    }
}

async fn of_config_map(client: &Client, namespace: &str, place: &CaBundleRef) -> kube::Result<Entry> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let Some(map) = maps.get_opt(&place.name).await? else { return Ok(Entry::NoObject) };
    let text = map.data.and_then(|mut it| it.remove(&place.key)).map(String::into_bytes);
    let binary = || map.binary_data.and_then(|mut it| it.remove(&place.key)).map(|it| it.0);
    Ok(Entry::of(text.or_else(binary)))
}

async fn of_secret(client: &Client, namespace: &str, place: &CaBundleRef) -> kube::Result<Entry> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(&place.name).await?;
    let entry =
        |secret: Secret| Entry::of(secret.data.and_then(|mut it| it.remove(&place.key)).map(|it| it.0));
    Ok(secret.map_or(Entry::NoObject, entry))
}
