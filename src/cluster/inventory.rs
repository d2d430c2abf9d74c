//! What the resources of the cluster account for at vendors, read from the API server and not from a cache. The
//! callers look for absence, so an incomplete result is an error, never a shorter list.

use super::object::{self, Managed};
use crate::api::CLAIM;
use crate::api::kind::{Kind, for_each_kind};
use crate::plan::class::ControllerClass;
use crate::plan::naming::{ClusterId, Mark};
use crate::plan::orphans::Known;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// Page size of a list. It is small because a page determines the peak memory.
const PAGE: u32 = 250;

/// The marks of all resources, from their metadata only. The ledger is not included.
pub async fn marks(client: &Client, cluster: &ClusterId) -> kube::Result<Known> {
    let mut known = Known::default();
    for_each_kind!(K => if K::HAS_KEYS {
        collect_marks::<K>(client, cluster, &mut known.marks).await?;
    });
    Ok(known)
}

/// The marks of all resources and the vendor ids they name, from the full objects: an adopted key may carry another
/// resource's mark. Read only where there is something to decide. The ledger is not included.
pub async fn everything(client: &Client, cluster: &ClusterId) -> kube::Result<Known> {
    let mut known = Known::default();
    let mut kinds = Vec::new();
    for_each_kind!(K => if K::HAS_KEYS {
        kinds.push(ApiResource::erase::<K>(&()));
    });
    for kind in kinds {
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let mut page = Some(ListParams::default().limit(PAGE));
        while let Some(params) = page {
            let list = objects.list(&params).await?;
            list.items.iter().for_each(|it| account(&mut known, &it.metadata, &it.data, cluster));
            page = next(&list.metadata);
        }
    }
    Ok(known)
}

/// Adds what one resource accounts for: its marks, and the vendor ids in the rest of it.
pub fn account(known: &mut Known, meta: &ObjectMeta, data: &Value, cluster: &ClusterId) {
    known.marks.extend(marks_of(meta, cluster));
    collect_ids(data, &mut known.ids);
}

async fn collect_marks<K: Managed>(
    client: &Client,
    cluster: &ClusterId,
    marks: &mut HashSet<Mark>,
) -> kube::Result<()> {
    let api: Api<K> = object::within(client, None);
    let mut page = Some(ListParams::default().limit(PAGE));
    while let Some(params) = page {
        let list = api.list_metadata(&params).await?;
        marks.extend(list.items.iter().flat_map(|object| marks_of(&object.metadata, cluster)));
        page = next(&list.metadata);
    }
    Ok(())
}

/// A resource that has keys at vendors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty for a cluster-scoped kind.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        write!(formatter, "{} {place}{}", self.kind, self.name)
    }
}

/// The resource that accounts for a mark: as its own, whatever the class of its operator, or as the one that it had before a
/// restore. `namespace`: only that one, and no cluster-scoped kind.
pub async fn owner(
    client: &Client,
    cluster: &ClusterId,
    namespace: Option<&str>,
    mark: &Mark,
) -> kube::Result<Option<Resource>> {
    for_each_kind!(K => if K::HAS_KEYS {
        let owned = |it: &ObjectMeta| marks_of(it, cluster).contains(mark);
        if let Some(found) = find::<K>(client, namespace, owned).await? {
            return Ok(Some(found));
        }
    });
    Ok(None)
}

/// The resource with that UID.
pub async fn with_uid(client: &Client, namespace: Option<&str>, uid: &str) -> kube::Result<Option<Resource>> {
    for_each_kind!(K => if K::HAS_KEYS {
        let same = |it: &ObjectMeta| it.uid.as_deref() == Some(uid);
        if let Some(found) = find::<K>(client, namespace, same).await? {
            return Ok(Some(found));
        }
    });
    Ok(None)
}

async fn find<K: Managed>(
    client: &Client,
    namespace: Option<&str>,
    wanted: impl Fn(&ObjectMeta) -> bool,
) -> kube::Result<Option<Resource>> {
    let api: Api<K> = object::within(client, namespace);
    let mut page = Some(ListParams::default().limit(PAGE));
    while let Some(params) = page {
        let list = api.list_metadata(&params).await?;
        if let Some(found) = list.items.into_iter().map(|it| it.metadata).find(&wanted) {
            return Ok(Some(Resource {
                kind: K::KIND,
                namespace: found.namespace.unwrap_or_default(),
                name: found.name.unwrap_or_default(),
            }));
        }
        page = next(&list.metadata);
    }
    Ok(None)
}

/// The next page of the same snapshot. The first page without a resourceVersion is the most recent one. An expired
/// snapshot is an error.
fn next(list: &ListMeta) -> Option<ListParams> {
    let token = list.continue_.as_ref().filter(|it| !it.is_empty())?;
    Some(ListParams::default().limit(PAGE).continue_token(token))
}

/// The mark of a resource, that which the operator of another class gives its keys, and the former mark in its claim if it was restored from a backup. Every text in the claim
/// that looks like a mark counts, even if the claim is malformed.
fn marks_of(meta: &ObjectMeta, cluster: &ClusterId) -> Vec<Mark> {
    let claim = meta.annotations.as_ref().and_then(|it| it.get(CLAIM)).map_or("", String::as_str);
    let words = claim.split(|c: char| c != '-' && !c.is_ascii_alphanumeric());
    let uid = meta.uid.as_deref().unwrap_or_default();
    let holder = ControllerClass::of_finalizers(meta.finalizers.as_deref().unwrap_or_default());
    let of_class = holder.map(|it| Mark::new(&cluster.clone().of_class(&it), uid));
    words.filter_map(Mark::read).chain([Mark::new(cluster, uid)]).chain(of_class).collect()
}

/// Every `id` and `externalId` in spec and status; too many do no harm.
fn collect_ids(value: &Value, ids: &mut HashSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if matches!(name.as_str(), "id" | "externalId") {
                    ids.extend(value.as_str().map(str::to_owned));
                }
                collect_ids(value, ids);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| collect_ids(it, ids)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resource_accounts_for_its_mark_and_for_the_one_it_had_before() {
        let cluster = ClusterId("c".to_owned());
        let (own, former) = (Mark::new(&cluster, "u"), Mark::new(&cluster, "before"));
        let claim = json!({"serial": 1, "at": "2026-11-21T00:00:00Z", "purpose": "create", "mark": former.to_string()});
        let marks = |claim: Option<String>| {
            let annotations = claim.map(|it| [(CLAIM.to_owned(), it)].into());
            marks_of(
                &ObjectMeta { uid: Some("u".to_owned()), annotations, ..ObjectMeta::default() },
                &cluster,
            )
        };
        assert_eq!(marks(None), std::slice::from_ref(&own));
        assert_eq!(marks(Some(r#"{"serial":1}"#.to_owned())), std::slice::from_ref(&own));
        assert_eq!(marks(Some(claim.to_string())), [former.clone(), own.clone()]);
        assert_eq!(marks(Some(format!("broken {former}"))), [former, own]);
    }

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let mut ids = HashSet::new();
        let status = json!({"id": "key_1", "previous": [{"id": "key_2", "serial": 1}], "vendor": "edgee"});
        collect_ids(&json!({"spec": {"externalId": "key_3"}, "status": status}), &mut ids);
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort();
        assert_eq!(ids, ["key_1", "key_2", "key_3"]);
    }
}
