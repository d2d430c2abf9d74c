//! Who may not be the vendor: certificates.

use super::tcp::{Served, real};
use super::world::order;
use keysmith::gateway::Gateway;
use keysmith::plan::fault::{Fault, FaultKind, Unreachable};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Terminates TLS with a certificate that only it vouches for.
fn acceptor(name: &str) -> TlsAcceptor {
    let certified = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_refused_before_a_byte_of_the_request_is_sent() {
    for name in ["127.0.0.1", "edgee.invalid"] {
        let acceptor = acceptor(name);
        let received = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&received);
        let server = Served::by("https", move |stream| {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let read = stream.read(&mut [0; 4096]).await.unwrap_or(0);
                    count.fetch_add(read, Ordering::SeqCst);
                }
            }
        })
        .await;
        let untrusted = Fault::without_effect(FaultKind::Unreachable(Unreachable::Certificate));
        let edgee = real(&server.base);
        assert_eq!(edgee.mint(&order("n")).await.err().unwrap(), untrusted);
        assert_eq!(edgee.list().await.unwrap_err(), untrusted);
        assert_eq!(server.connections(), 2);
        assert_eq!(received.load(Ordering::SeqCst), 0);
    }
}

/// It had no chance to be trusted, so its certificate is not what to look at.
#[tokio::test]
async fn a_server_that_speaks_no_tls_is_no_question_of_certificates() {
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let server = Served::by("https", move |mut stream| async move {
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let fault = real(&server.base).mint(&order("n")).await.err().unwrap();
        let unreachable = FaultKind::Unreachable(Unreachable::Connect);
        assert_eq!(fault, Fault::without_effect(unreachable), "{answer:?}");
    }
}
