//! TLS on the clients' second port: the certificate, and its replacement while the router runs.
//!
//! For the server. Certificates are renewed by tools that replace two files and signal nobody. So both are read twice a
//! second, like the config ([`crate::reload`]), and a pair that fits together is taken for the handshakes that follow;
//! connections that stand keep what they have. A pair that does not fit (the tool is between the two files) or cannot be
//! read changes nothing, and is complained of once. Nothing of a key is ever logged.
//!
//! A port of its own, not the plain one turned into TLS: probes and neighbours on the same machine go on using the plain
//! port, and clients are moved over one by one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::Tls;
use crate::state::State;

/// How often the files are read.
const PERIOD: Duration = Duration::from_millis(500);

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check router.tls and the file's permissions")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file for the chain holds none.
    #[error("{0} holds no certificate; it must be PEM, the server's own certificate first")]
    NoCertificate(PathBuf),
    /// The file for the key holds none.
    #[error("{0} holds no private key; it must be PEM: PKCS #8, PKCS #1 or SEC1, without a passphrase")]
    NoKey(PathBuf),
    /// One is not the other's.
    #[error("the certificate and the key do not fit together or cannot be used: {0}")]
    Unfit(rustls::Error),
}

/// The certificate for the next handshake.
#[derive(Debug)]
pub struct Certificates {
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Certificates {
    /// Reads the files.
    pub fn load(tls: &Tls) -> Result<Arc<Self>, TlsError> {
        let (chain, key) = read(tls)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from(parse(tls, &chain, &key)?),
        }))
    }

    /// What connections are accepted with. Clients may choose HTTP/2 or HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unfit)?;
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Follows the files for as long as the router runs. A reload of the config may name others.
    pub async fn follow(self: Arc<Self>, state: Arc<State>) {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut judged = None;
        loop {
            period.tick().await;
            let Some(tls) = state.snapshot().config.router.edge.tls.clone() else {
                continue;
            };
            let found = tokio::task::spawn_blocking(move || {
                let found = read(&tls);
                (tls, found)
            });
            let Ok((tls, found)) = found.await else { continue };
            let seen = print(&found);
            if judged.as_ref() == Some(&seen) {
                continue;
            }
            let is_first = judged.replace(seen).is_none();
            self.judge(&tls, found, is_first);
        }
    }

    fn judge(&self, tls: &Tls, found: Result<(Vec<u8>, Vec<u8>), TlsError>, is_first: bool) {
        match found.and_then(|(chain, key)| parse(tls, &chain, &key)) {
            Ok(key) if is_first && key.cert == self.current.load().cert => {}
            Ok(key) => {
                tracing::info!(certificate = %tls.certificate.display(), "certificate taken");
                self.current.store(key);
            }
            Err(error) => tracing::error!("the certificate is not taken; the one before goes on: {error}"),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(tls: &Tls) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let file = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Unreadable {
            path: path.to_owned(),
            source,
        })
    };
    Ok((file(&tls.certificate)?, file(&tls.key)?))
}

/// Tells two readings apart without keeping a key.
fn print(found: &Result<(Vec<u8>, Vec<u8>), TlsError>) -> Vec<u8> {
    match found {
        Ok((chain, key)) => {
            let hash = Sha256::new().chain_update((chain.len() as u64).to_be_bytes());
            hash.chain_update(chain).chain_update(key).finalize().to_vec()
        }
        Err(error) => error.to_string().into_bytes(),
    }
}

fn parse(tls: &Tls, chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.unwrap_or_default();
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(tls.certificate.clone()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(tls.key.clone()))?;
    let key = CertifiedKey::from_der(certificates, key, &provider()).map_err(TlsError::Unfit)?;
    Ok(Arc::new(key))
}
