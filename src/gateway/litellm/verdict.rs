//! What a refusal of LiteLLM means where its status says something else (§8). Bodies are hostile input: they are compared with
//! words of this file, and nothing of them is kept.

use crate::plan::fault::{Fault, FaultKind};
use http::StatusCode;
use serde::Deserialize;

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    error: Option<Complaint>,
}

#[derive(Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// The team of the keys does not exist.
pub(super) const NO_TEAM: Fault = Fault::without_effect(FaultKind::Unfit(
    "it knows no such team; check spec.vendor.litellm.teamId of the ConsoleToken, and whether the team was deleted",
));

/// The fault of an answer whose status misleads. `None`: the status means what it says.
pub(super) fn of(status: StatusCode, body: &[u8]) -> Option<Fault> {
    let complaint = serde_json::from_slice::<Refused>(body).unwrap_or_default().error.unwrap_or_default();
    let is = |kind: &str| complaint.kind.as_deref() == Some(kind);
    let says = |text: &str| complaint.message.as_deref().is_some_and(|it| it.contains(text));
    match status {
        // A key whose team does not exist cannot be changed, and is not gone.
        StatusCode::NOT_FOUND if is("auth_error") => Some(NO_TEAM),
        // A wrong path is answered in JSON as well, and must not make a key look gone.
        StatusCode::NOT_FOUND if !(is("not_found_error") || says("No keys found")) => {
            Some(Fault::without_effect(FaultKind::Malformed(
                "its 404 is about the path and not about a key; check spec.endpoint of the ConsoleToken, which is the root of the proxy",
            )))
        }
        // The token is good, its rank is not.
        StatusCode::UNAUTHORIZED if is("auth_error") && says("Only proxy admin") => {
            Some(Fault::without_effect(FaultKind::Forbidden))
        }
        // Whatever went wrong inside, such as a database that is down.
        StatusCode::BAD_REQUEST if is("auth_error") => {
            Some(Fault::ambiguous(FaultKind::Failed { status: 400, until: None }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fault::Outcome;

    #[test]
    fn a_status_that_misleads_is_read_by_its_body() {
        let error = |kind: &str, message: &str, code: &str| {
            serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
                .to_string()
        };
        let lower = "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys";
        let table = [
            (404, error("not_found_error", "Key not found in database", "404"), None),
            (404, error("internal_server_error", "{'error': 'No keys found'}", "404"), None),
            (404, r#"{"detail":"Not Found"}"#.to_owned(), Some(("malformed", Outcome::NotApplied))),
            (404, error("other", "no", "404"), Some(("malformed", Outcome::NotApplied))),
            (
                404,
                error("auth_error", "Team doesn't exist in db", "404"),
                Some(("unfit", Outcome::NotApplied)),
            ),
            (404, String::new(), Some(("malformed", Outcome::NotApplied))),
            (401, error("auth_error", lower, "401"), Some(("forbidden", Outcome::NotApplied))),
            (401, error("token_not_found_in_db", lower, "401"), None),
            (401, error("expired_key", "Authentication Error", "401"), None),
            (401, String::new(), None),
            (400, error("auth_error", "Authentication Error, ", "400"), Some(("failed", Outcome::Unknown))),
            (400, error("bad_request_error", "Key with alias", "400"), None),
            (503, error("no_db_connection", "", "503"), None),
        ];
        for (status, body, expected) in table {
            let fault = of(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!(fault.map(|it| (it.label(), it.effect)), expected, "{status} {body}");
        }
    }
}
