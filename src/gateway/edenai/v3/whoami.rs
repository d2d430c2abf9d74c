//! Whose organization a management key is of (contract §2.7). What the vendor calls the fields is not documented, so an id
//! of the organization is looked for where such ids are.

use crate::gateway::http::{Call, Wire, untold_is_none};
use crate::gateway::lenient;
use crate::plan::fault::Fault;
use http::Method;
use serde_json::Value;

/// From the least ambiguous place to the most.
const PLACES: [&str; 6] =
    ["/organization_id", "/org_id", "/organization/id", "/org/id", "/organization", "/org"];

/// The id of the organization. `None`: the vendor does not tell.
pub(super) async fn organization(wire: &Wire) -> Result<Option<String>, Fault> {
    let path = ["v3", "manage", "whoami"];
    let call = Call { slash: true, ..Call::new(Method::GET, &path) };
    let Some(answer) = untold_is_none(wire.send(call).await)? else {
        return Ok(None);
    };
    let answer: Value = answer.read()?;
    Ok(PLACES.iter().filter_map(|place| answer.pointer(place)).find_map(lenient::account))
}
