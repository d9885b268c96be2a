//! Certificates for tests, and clients that believe in them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::router::config;
use super::{Router, Upstream, soon};

/// What a test's client sends as a body.
pub(crate) type Sent = UnsyncBoxBody<Bytes, std::io::Error>;

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    /// Writes both files, one after the other, as renewing tools do.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::write(folder.join("cert.pem"), &self.chain).unwrap();
        std::fs::write(folder.join("key.pem"), &self.key).unwrap();
    }

    fn connector(&self, protocols: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// A connection, if the server shows this certificate.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("shop.test").unwrap();
        soon("a handshake", self.connector(protocols).connect(name, stream)).await
    }

    /// A connection by HTTP/2.
    pub(crate) async fn http2(&self, address: SocketAddr) -> SendRequest<Sent> {
        let stream = self.connect(address, &[b"h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        // How it ends is for the test's requests to find out.
        tokio::spawn(connection);
        sender
    }
}

/// A router with TLS before an upstream, and the certificate it shows.
pub(crate) fn before(upstream: &Upstream, router: &str) -> (Router, Pair) {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::new();
    pair.write(folder.path());
    let path = folder.path().display();
    let tls = format!(
        "{router}\n[router.tls]\nlisten = \"127.0.0.1:0\"\ncertificate = \"{path}/cert.pem\"\nkey = \"{path}/key.pem\""
    );
    let text = config(&tls, upstream.address, upstream.address, "");
    (Router::start_logging(folder, &text, "trace"), pair)
}

pub(crate) fn request(method: &str, path: &str) -> Request<Sent> {
    let target = format!("https://shop.test{path}");
    let body = Empty::new().map_err(|never: Infallible| match never {});
    Request::builder()
        .method(method)
        .uri(target)
        .body(body.boxed_unsync())
        .unwrap()
}

pub(crate) fn with_body(method: &str, path: &str, body: &'static [u8]) -> Request<Sent> {
    let body = Full::new(Bytes::from_static(body)).map_err(|never| match never {});
    request(method, path).map(|_| body.boxed_unsync())
}

pub(crate) async fn ask(
    sender: &mut SendRequest<Sent>,
    request: Request<Sent>,
) -> (Response<()>, Bytes, Option<http::HeaderMap>) {
    let answer = soon("an answer", sender.send_request(request)).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = soon("a body", body.collect()).await.unwrap();
    let trailers = body.trailers().cloned();
    (Response::from_parts(parts, ()), body.to_bytes(), trailers)
}

pub(crate) fn text<'a>(headers: &'a http::HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}
