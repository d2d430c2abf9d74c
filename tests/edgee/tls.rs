//! Certificates of servers that are not the vendor.

use super::tcp::{Served, real};
use super::world::{TOKEN, driver, order, wire, world};
use crate::support::stub::Stub;
use keysmith::gateway::Gateway;
use keysmith::gateway::access::{Access, TokenHeader};
use keysmith::gateway::authorities::Authorities;
use keysmith::gateway::transport::{Https, HttpsProxy, Network, Transport};
use keysmith::plan::fault::{Fault, FaultKind, Unreachable};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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

/// A server with TLS that answers every request with an empty list, and the PEM of its certificate.
async fn empty_list() -> (Served, String) {
    let certified =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "vendor.test".to_owned()]).unwrap();
    let (acceptor, pem) = (acceptor_of(&certified), certified.cert.pem());
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
    (server, pem)
}

/// A private certificate authority is believed where the installation or the token names it, and nowhere else.
#[tokio::test]
async fn a_private_certificate_authority_is_believed_where_it_is_named_and_nowhere_else() {
    let world = world();
    let (server, pem) = empty_list().await;
    let authorities = Authorities::parse(pem.as_bytes()).unwrap();
    let whole = Network { authorities: authorities.clone(), ..Network::default() };
    let plain = Https::new(Network::default()).unwrap();
    let of_token = plain.trusting(&authorities).unwrap();
    let of_installation: Arc<dyn Transport> = Arc::new(Https::new(whole).unwrap());
    for (transport, believed) in [(of_installation, true), (of_token, true), (Arc::new(plain), false)] {
        let listed = driver(wire(&server.base, TOKEN, transport, &world.clock)).list().await;
        let untrusted = Fault::without_effect(FaultKind::Unreachable(Unreachable::Certificate));
        assert_eq!(listed, if believed { Ok(Vec::new()) } else { Err(untrusted) });
    }
}

/// A proxy that connects every request to that address, whatever host it names, and remembers the requests.
async fn proxy(target: String) -> (Served, Arc<Mutex<Vec<String>>>) {
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&requests);
    let proxy = Served::by("http", move |mut stream| {
        let (target, seen) = (target.clone(), Arc::clone(&seen));
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let mut server = TcpStream::connect(&target).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        }
    })
    .await;
    (proxy, requests)
}

/// What the installation says of proxies holds, and nothing of the environment: the name is the proxy's to resolve, the
/// token travels inside TLS, and hosts of `--no-proxy` are called directly.
#[tokio::test]
async fn a_proxy_is_used_where_the_installation_says_so_and_sees_no_token() {
    let world = world();
    let (server, pem) = empty_list().await;
    let target = server.base.strip_prefix("https://").unwrap().to_owned();
    let (proxy, requests) = proxy(target.clone()).await;
    let through = |no_proxy: &str| {
        let mut url: url::Url = proxy.base.parse().unwrap();
        url.set_username("user").unwrap();
        url.set_password(Some("canary-of-the-proxy")).unwrap();
        let network = Network {
            proxy: Some(HttpsProxy { url, no_proxy: no_proxy.to_owned() }),
            authorities: Authorities::parse(pem.as_bytes()).unwrap(),
            ..Network::default()
        };
        Arc::new(Https::new(network).unwrap())
    };
    let vendor = "https://vendor.test";
    assert_eq!(driver(wire(vendor, TOKEN, through(""), &world.clock)).list().await, Ok(Vec::new()));
    let seen = requests.lock().unwrap().clone();
    assert!(seen.len() == 1 && seen[0].starts_with("CONNECT vendor.test:443 "), "{seen:?}");
    assert!(
        seen[0].to_lowercase().contains("proxy-authorization: basic") && !seen[0].contains(TOKEN),
        "{seen:?}"
    );
    // Hosts that are excepted by name, by domain and by range.
    for no_proxy in ["vendor.test", ".test", "other,vendor.test"] {
        let answer = driver(wire(vendor, TOKEN, through(no_proxy), &world.clock)).list().await;
        assert!(answer.is_err(), "{no_proxy}: the name leads nowhere without the proxy");
    }
    let direct = driver(wire(&server.base, TOKEN, through("127.0.0.0/8"), &world.clock)).list().await;
    assert_eq!(direct, Ok(Vec::new()));
    assert_eq!(requests.lock().unwrap().len(), 1);
    // A name that leads to no public address is refused without a proxy, as ever.
    let local = "https://localhost";
    let answer = driver(wire(local, TOKEN, through("localhost"), &world.clock)).list().await;
    assert_eq!(answer, Err(Fault::without_effect(FaultKind::Unreachable(Unreachable::Private))));
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
        let wire = wire(
            &base,
            TOKEN,
            Arc::new(Https::new(Network { private_hosts: listed, ..Network::default() }).unwrap()),
            &world.clock,
        );
        let private = Fault::without_effect(FaultKind::Unreachable(Unreachable::Private));
        assert_eq!(driver(wire).list().await, if called { Ok(Vec::new()) } else { Err(private) });
    }
}
