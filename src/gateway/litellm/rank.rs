//! The rank of a token: only an administrator of the whole proxy sees every key. Others get a shorter listing with status 200,
//! by which every other key would look gone (§10).

use super::key::Info;
use crate::gateway::Rank;
use crate::gateway::http::{Call, Wire, gone_is_none};
use crate::plan::fault::{Fault, FaultKind};
use http::Method;
use serde::Deserialize;

/// The roles that see every key.
const SEES_ALL: [Rank; 2] = [
    Rank { name: "proxy_admin", lacks: None },
    Rank {
        name: "proxy_admin_viewer",
        lacks: Some(
            "it sees every key and may make, change and revoke none; use a token of a user with the role proxy_admin",
        ),
    },
];
/// The master key has no role, and every right.
const MASTER: Rank = Rank { name: "master key", lacks: None };

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "named by the vendor")]
struct User {
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    user_role: Option<String>,
    #[serde(flatten)]
    _object: (),
}

/// The user of the token. `None`: it has none, because it is the master key, which is not in the database.
pub(super) async fn own_user(wire: &Wire) -> Result<Option<String>, Fault> {
    let answer = gone_is_none(wire.send(Call::new(Method::GET, &["key", "info"])).await)?;
    let info = answer.map(|it| it.read::<Info>()).transpose()?;
    match info {
        None => Ok(None),
        // A key without a user is no administrator's.
        Some(info) => info.user().map(|it| Some(it.to_owned())).ok_or(LOWER),
    }
}

const LOWER: Fault = Fault::without_effect(FaultKind::Forbidden);

/// The rank of the token. Fails unless the token sees every key. Only administrators may list
/// users; because administrators of an organization may as well, the role is read from the list.
pub(super) async fn of(wire: &Wire) -> Result<Rank, Fault> {
    let own = own_user(wire).await?;
    let mut query = vec![("page_size", "1")];
    query.extend(own.as_deref().map(|it| ("user_ids", it)));
    let answer = wire.send(Call { query: &query, ..Call::new(Method::GET, &["user", "list"]) }).await?;
    let users: Users = answer.read()?;
    let Some(own) = own else { return Ok(MASTER) };
    let role = |it: User| it.user_id.filter(|it| *it == own).and(it.user_role);
    let rank = |role: String| SEES_ALL.into_iter().find(|it| it.name == role);
    users.users.into_iter().filter_map(role).find_map(rank).ok_or(LOWER)
}
