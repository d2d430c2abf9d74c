//! The emulator over TCP, for people and for tests that need real connections.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::wire;
use super::{Dropped, Emulator};

const BODY_LIMIT: usize = 4 << 20;

/// Serves until `shutdown` resolves, then closes every connection at once, those that hang included.
///
/// A call that a fault drops closes its TCP connection without an answer.
///
/// # Errors
///
/// None today; the result leaves room for a listener that is beyond saving.
pub async fn serve(
    emulator: Emulator,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(emulator.clone(), stream));
                }
                Err(error) => {
                    // Most likely the process is out of file descriptors: wait until a connection ends.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            // Finished connections are collected here, so that a long run does not keep them all.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(emulator: Emulator, stream: TcpStream) {
    let service = service_fn(move |request| exchange(emulator.clone(), request));
    // An error here is a client that disconnected or a call dropped on purpose; both are normal.
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn exchange(emulator: Emulator, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (parts, body) = request.into_parts();
    let reply = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => emulator.call(Request::from_parts(parts, body.to_bytes())).await?,
        Err(_) => wire::bytes(413, "text/plain", "the body is larger than 4 MiB, or broke off\n"),
    };
    Ok(reply.map(Full::new))
}
