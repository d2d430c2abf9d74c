//! Certificates of servers that are not the vendor.

use super::tcp::{Served, real};
use super::world::{TOKEN, driver, order, wire, world};
use crate::support::stub::Stub;
use keysmith::gateway::Gateway;
use keysmith::gateway::access::{Access, TokenHeader, Trust};
use keysmith::gateway::transport::Https;
use keysmith::plan::fault::{Fault, FaultKind, Unreachable};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Terminates TLS with a self-signed certificate.
fn acceptor(name: &str) -> TlsAcceptor {
    acceptor_of(&rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap())
}

fn acceptor_of(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
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
async fn an_untrusted_certificate_is_refused_before_a_byte_of_the_request_is_sent() {
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

/// A self-hosted vendor may have a private certificate authority, which is not trusted for any other vendor.
#[tokio::test]
async fn a_private_certificate_authority_is_believed_where_the_driver_says_so_and_nowhere_else() {
    let world = world();
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (acceptor, authority) = (acceptor_of(&certified), certified.cert.der().clone());
    let server = Served::by("https", move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4096]).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    let https = |authorities| Arc::new(Https::trusting(authorities, BTreeSet::new()).unwrap());
    for (authorities, trust, believed) in [
        (vec![authority.clone()], Trust::Private, true),
        (vec![authority], Trust::Public, false),
        (Vec::new(), Trust::Private, false),
    ] {
        let wire = wire(&server.base, TOKEN, https(authorities), &world.clock);
        let listed = driver(wire.accessed(Access { trust, ..Access::PUBLIC })).list().await;
        let untrusted = Fault::without_effect(FaultKind::Unreachable(Unreachable::Certificate));
        assert_eq!(listed, if believed { Ok(Vec::new()) } else { Err(untrusted) }, "{trust:?}");
    }
}

#[tokio::test]
async fn a_token_travels_in_the_header_that_the_driver_says() {
    for (header, name, value) in [
        (TokenHeader::Bearer, "authorization", format!("Bearer {TOKEN}")),
        (TokenHeader::Named("x-litellm-api-key"), "x-litellm-api-key", TOKEN.to_owned()),
    ] {
        let stub = Stub::by(move |request| {
            let headers = request.headers();
            let right = headers.get(name).is_some_and(|it| it.is_sensitive() && it == value.as_str());
            let only = headers.values().filter(|it| it.to_str().is_ok_and(|it| it.contains(TOKEN))).count();
            (if right && only == 1 { 200 } else { 400 }, "[]".into())
        });
        let wire = stub.wire(TOKEN).accessed(Access { header, ..Access::PUBLIC });
        assert_eq!(driver(wire).list().await, Ok(Vec::new()), "{header:?}");
    }
}

/// A server without TLS fails for another reason than its certificate.
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

/// An attacker who answers for a vendor's name in DNS could have the token sent into the cluster's own network.
#[tokio::test]
async fn a_name_that_leads_to_no_public_address_is_called_only_if_its_host_is_listed() {
    let world = world();
    let server = Served::by("http", move |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    })
    .await;
    let base = server.base.replace("127.0.0.1", "localhost");
    for (listed, called) in [(BTreeSet::new(), false), (BTreeSet::from(["localhost".to_owned()]), true)] {
        let wire = wire(&base, TOKEN, Arc::new(Https::new(listed).unwrap()), &world.clock);
        let private = Fault::without_effect(FaultKind::Unreachable(Unreachable::Private));
        assert_eq!(driver(wire).list().await, if called { Ok(Vec::new()) } else { Err(private) });
    }
}
