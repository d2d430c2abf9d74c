//! The organization of a management key (contract §2.7). The vendor does not document the field, so the usual places
//! of an organization's id are tried.

use crate::gateway::http::{Call, Wire, hidden_is_none};
use crate::gateway::lenient;
use crate::plan::fault::Fault;
use http::Method;
use serde_json::Value;

/// From the least ambiguous place to the most ambiguous one.
const PLACES: [&str; 6] =
    ["/organization_id", "/org_id", "/organization/id", "/org/id", "/organization", "/org"];

/// The id of the organization. `None`: the vendor does not return it.
pub(super) async fn organization(wire: &Wire) -> Result<Option<String>, Fault> {
    let path = ["v3", "manage", "whoami"];
    let call = Call { slash: true, ..Call::new(Method::GET, &path) };
    let Some(answer) = hidden_is_none(wire.send(call).await)? else {
        return Ok(None);
    };
    let answer: Value = answer.read()?;
    Ok(PLACES.iter().filter_map(|place| answer.pointer(place)).find_map(lenient::account))
}
