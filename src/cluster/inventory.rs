//! What the resources of the cluster account for at vendors, asked of the API server and not of a cache. Absence is
//! what is looked for here, so an incomplete answer is an error, never a shorter one.

use super::object::Managed;
use crate::api::{CLAIM, ConsoleToken, GatewayApiKey};
use crate::plan::naming::{ClusterId, Mark};
use crate::plan::orphans::Known;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Debug;

/// Pages are small because a page is what a list costs in memory at its peak.
const PAGE: u32 = 250;

/// The marks of all resources, by their metadata alone. The ledger is not read here.
pub async fn marks(client: &Client, cluster: &ClusterId) -> kube::Result<Known> {
    let mut known = Known::default();
    let keys: Api<PartialObjectMeta<GatewayApiKey>> = Api::all(client.clone());
    each(&keys, |object| known.marks.extend(marks_of(object, cluster))).await?;
    let tokens: Api<PartialObjectMeta<ConsoleToken>> = Api::all(client.clone());
    each(&tokens, |object| known.marks.extend(marks_of(object, cluster))).await?;
    Ok(known)
}

/// The marks of all resources and the vendor ids they name, by everything that is in them: an adopted key may carry
/// another resource's mark. Asked only where there is something to decide. The ledger is not read here.
pub async fn everything(client: &Client, cluster: &ClusterId) -> kube::Result<Known> {
    let mut known = Known::default();
    for kind in [resource::<GatewayApiKey>(), resource::<ConsoleToken>()] {
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        each(&objects, |object| {
            known.marks.extend(marks_of(object, cluster));
            collect_ids(&object.data, &mut known.ids);
        })
        .await?;
    }
    Ok(known)
}

fn resource<K: Managed>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// Every object there is: without a resourceVersion the first page is of the present, and the others are of the same
/// moment. One that has become too old to go on with is an error.
async fn each<K>(api: &Api<K>, mut visit: impl FnMut(&K)) -> kube::Result<()>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        page.items.iter().for_each(&mut visit);
        match page.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(()),
        }
    }
}

/// The mark of a resource, and the former one that its claim names where it was restored from a backup.
fn marks_of<K: ResourceExt>(object: &K, cluster: &ClusterId) -> Vec<Mark> {
    let claim = object.annotations().get(CLAIM).and_then(|it| serde_json::from_str::<Value>(it).ok());
    let former = claim.and_then(|claim| claim.get("mark").and_then(Value::as_str).and_then(Mark::read));
    let own = Mark::new(cluster, &object.uid().unwrap_or_default());
    former.into_iter().chain([own]).collect()
}

/// Every `id` and `externalId` in spec and status: more than there need be does no harm.
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
