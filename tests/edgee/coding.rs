//! Content codings: the driver requests none, and names a coding that is used nevertheless.

use super::world::{id, order, renamed};
use crate::support::orders::wire;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderValue, Request, Response};
use jiff::Timestamp;
use keysmith::api::console_token::EdgeeVendor;
use keysmith::gateway::Gateway;
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::transport::Transport;
use keysmith::plan::fault::{Fault, FaultKind, Outcome};
use keysmith::runtime::clock::Clock;
use std::sync::Arc;

const SOUND: &str = r#"{"id":"key_1","name":"n","key":"sk-edgee-1","data":[]}"#;

/// Answers every request with these codings, and checks the `Accept-Encoding` header.
struct Coded {
    status: u16,
    codings: Vec<&'static str>,
}

#[async_trait]
impl Transport for Coded {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        assert_eq!(request.headers().get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>(), ["identity"]);
        let mut response = Response::new(Bytes::from(SOUND));
        *response.status_mut() = self.status.try_into().unwrap();
        for coding in &self.codings {
            response.headers_mut().append(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        Ok(response)
    }
}

fn edgee(status: u16, codings: &[&'static str]) -> Edgee {
    let clock = Clock::from_fn(|| Timestamp::UNIX_EPOCH);
    let transport = Arc::new(Coded { status, codings: codings.to_vec() });
    let place = EdgeeVendor { organization_id: "org_demo".to_owned() };
    Edgee::new(&place, wire("http://vendor.test", "t", transport, &clock))
}

#[tokio::test]
async fn a_compressed_answer_is_a_fault_that_names_the_coding() {
    let table: [(&[&str], &str); 9] = [
        (&["gzip"], "gzip"),
        (&["GZip"], "gzip"),
        (&["x-gzip"], "gzip"),
        (&["deflate"], "deflate"),
        (&["br"], "br"),
        (&["zstd"], "zstd"),
        (&["identity, br"], "br"),
        (&["gzip, br"], "other codings"),
        (&["<vendor text>"], "other codings"),
    ];
    for (codings, named) in table {
        let edgee = edgee(200, codings);
        let words = format!("compressed with {named}");
        let read = Gateway::list(&edgee).await.unwrap_err();
        assert!(
            read.to_string().contains(&words) && read.effect == Outcome::NotApplied,
            "{codings:?}: {read}"
        );
        assert!(!read.to_string().contains("vendor text"), "{read}");
        for fault in [
            edgee.mint(&order("n")).await.err().unwrap(),
            edgee.amend(&id("k"), &renamed("n")).await.unwrap_err(),
            edgee.revoke(&id("k")).await.unwrap_err(),
        ] {
            assert!(fault.to_string().contains(&words) && fault.effect == Outcome::Unknown, "{fault}");
        }
    }
}

#[tokio::test]
async fn an_answer_as_it_is_is_read_however_that_is_said() {
    for codings in [&[][..], &["identity"], &["Identity"], &[""], &["identity", "identity"]] {
        edgee(200, codings).mint(&order("n")).await.unwrap();
    }
}

/// The class of a refusal follows from its status; an unreadable 404 does not mean gone.
#[tokio::test]
async fn a_compressed_refusal_keeps_its_class() {
    let refused = Gateway::list(&edgee(401, &["gzip"])).await.unwrap_err();
    assert_eq!(refused, Fault::without_effect(FaultKind::TokenRefused));
    let fault = edgee(404, &["gzip"]).get(&id("k")).await.unwrap_err();
    assert!(
        fault.to_string().contains("compressed with gzip") && fault.effect == Outcome::NotApplied,
        "{fault}"
    );
    assert!(edgee(404, &[]).get(&id("k")).await.unwrap().is_none());
}
