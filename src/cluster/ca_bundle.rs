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
        Ok(None) => Err(token::bundle_missing(place, namespace)),
        Ok(Some(None)) => Err(token::bundle_entry_missing(place)),
        Ok(Some(Some(bytes))) => Ok(bytes),
    })
}

/// The entry; the outer `None`: there is no such object.
type Entry = Option<Option<Vec<u8>>>;

async fn of_config_map(client: &Client, namespace: &str, place: &CaBundleRef) -> kube::Result<Entry> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let Some(map) = maps.get_opt(&place.name).await? else { return Ok(None) };
    let text = map.data.and_then(|mut it| it.remove(&place.key)).map(String::into_bytes);
    let binary = || map.binary_data.and_then(|mut it| it.remove(&place.key)).map(|it| it.0);
    Ok(Some(text.or_else(binary)))
}

async fn of_secret(client: &Client, namespace: &str, place: &CaBundleRef) -> kube::Result<Entry> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(&place.name).await?;
    Ok(secret.map(|secret| secret.data.and_then(|mut it| it.remove(&place.key)).map(|it| it.0)))
}
