//! What a 404 of OpenRouter is about (§5). Bodies are hostile input: only a number is read.

use crate::plan::fault::{Fault, FaultKind};
use http::StatusCode;
use serde::Deserialize;

#[derive(Deserialize)]
struct Refused {
    error: Complaint,
}

#[derive(Deserialize)]
struct Complaint {
    code: u16,
}

/// The fault of an answer whose status misleads. `None`: the status means what it says.
pub(super) fn of(status: StatusCode, body: &[u8]) -> Option<Fault> {
    let code = || serde_json::from_slice::<Refused>(body).ok().map(|it| it.error.code);
    // A wrong path must not make a key look gone.
    (status == StatusCode::NOT_FOUND && code() != Some(404)).then_some(Fault::without_effect(FaultKind::Malformed(
        "its 404 is about the path and not about a key; check spec.endpoint of the ConsoleToken, which ends with /api",
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_404_of_the_vendors_shape_is_about_a_key() {
        let table = [
            (404, r#"{"error":{"code":404,"message":"Resource not found"}}"#, false),
            (404, r#"{"error":{"code":404,"message":"m","metadata":{}},"user_id":"u"}"#, false),
            (404, r#"{"error":"Not Found"}"#, true),
            (404, r#"{"error":{"message":"m"}}"#, true),
            (404, "<html></html>", true),
            (404, "", true),
            (401, "", false),
            (200, "", false),
        ];
        for (status, body, strange) in table {
            let fault = of(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!(fault.is_some(), strange, "{status} {body}");
        }
    }
}
