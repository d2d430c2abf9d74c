//! A real server in the place of an emulated vendor, so that stories with faults are told at it as well.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Uri};

use super::handle::{Console, VendorId};
use super::wire::{Inbound, Reply};
use super::{Dropped, Shared};

/// A server that answers in the place of an emulated vendor.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Carries out one call; its path is the vendor's own.
    async fn call(&self, request: Request<Bytes>) -> Result<Reply, Dropped>;
}

/// The server, and what a human does there.
#[derive(Clone)]
pub(super) struct Forward {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) console: Arc<dyn Console>,
}

pub(super) type Forwards = HashMap<VendorId, Forward>;

impl Shared {
    /// The server in the place of this vendor, if there is one.
    pub(super) fn forward_of(&self, vendor_id: VendorId) -> Option<Forward> {
        self.forwards.lock().unwrap_or_else(PoisonError::into_inner).get(&vendor_id).cloned()
    }
}

/// The request without the prefix that names the vendor.
pub(super) fn request_of(inbound: &Inbound) -> Request<Bytes> {
    let target = inbound.target();
    let own = target.trim_start_matches('/').find('/').map_or("/", |slash| &target[slash + 1..]);
    let mut request = Request::new(inbound.body.clone());
    *request.method_mut() = inbound.method.clone();
    *request.headers_mut() = inbound.headers.clone();
    *request.uri_mut() = own.parse::<PathAndQuery>().map_or_else(|_| Uri::from_static("/"), Uri::from);
    request
}
