//! The emulated vendors as a transport: no sockets, so a whole test runs in paused time.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use keysmith::emulator::{Dropped, Emulator};
use keysmith::gateway::transport::Transport;
use keysmith::plan::fault::{Fault, FaultKind};

/// Carries requests to an emulator in the same process.
pub struct InProcess(pub Emulator);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        // A closed connection does not show whether the vendor carried the request out.
        let broken = |Dropped| Fault::ambiguous(FaultKind::Disconnected);
        self.0.call(request).await.map_err(broken)
    }
}
