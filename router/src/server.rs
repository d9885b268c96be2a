//! Puts the parts together: the clients' port with its workers, the operators' port, the reload, and the orderly stop.
//!
//! For `banyan serve`. Ports are bound before anything is started, so an address in use is an error with a name and not a
//! half-running server.
//! What happens to a connection of a client's begins in [`crate::clients`].

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::admin::token::Token;
use crate::config::Settings;
use crate::operations::Operations;
use crate::signals::Signals;
use crate::state::State;
use crate::takeover::{self, Offer, Ports, Predecessor};
use crate::tls::{Certificates, TlsError};
use crate::{admin, clients, drain, reload};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long the end of the process waits for the collector to take the last spans.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The ports, bound but not served yet.
#[derive(Debug)]
pub struct Bound {
    /// The clients'.
    pub router: SocketAddr,
    /// The clients' with TLS.
    pub tls: Option<SocketAddr>,
    /// The operators'.
    pub admin: SocketAddr,
    ports: Ports,
    certificates: Option<Arc<Certificates>>,
    predecessor: Option<Predecessor>,
}

/// Why the router cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The sockets could not be taken over.
    #[error("cannot take over from the router at {path}: {source}; it goes on")]
    TakeOver {
        /// Where it was asked.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Bound {
    /// Reads the certificate, if there is to be TLS, and binds the ports.
    pub fn bind(settings: &Settings) -> Result<Self, StartError> {
        let certificates = certificates(settings)?;
        Self::of(settings, None, certificates, None)
    }

    /// The same, but with the sockets of the router that is asked at `path`, if one is there. It goes on until this one
    /// serves. Ports that are configured otherwise by now are bound anew.
    pub fn take_over(settings: &Settings, path: &Path) -> Result<Self, StartError> {
        let certificates = certificates(settings)?;
        let taken = takeover::take_over(path).map_err(|source| StartError::TakeOver {
            path: path.to_owned(),
            source,
        })?;
        match taken {
            Some((ports, predecessor)) => Self::of(settings, Some(ports), certificates, Some(predecessor)),
            None => {
                tracing::info!(path = %path.display(), "there is no router to take over from");
                Self::of(settings, None, certificates, None)
            }
        }
    }

    fn of(
        settings: &Settings,
        taken: Option<Ports>,
        certificates: Option<Arc<Certificates>>,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, StartError> {
        let (router, admin, tls) = match taken {
            Some(ports) => (Some(ports.router), Some(ports.admin), ports.tls),
            None => (None, None, None),
        };
        let secure = settings.edge.tls.as_ref();
        let ports = Ports {
            router: fitting(router, settings.listen)?,
            admin: fitting(admin, settings.admin)?,
            tls: secure.map(|secure| fitting(tls, secure.listen)).transpose()?,
        };
        let address = |listener: &TcpListener, asked| {
            listener.local_addr().map_err(|source| StartError::Bind {
                address: asked,
                source,
            })
        };
        let tls = ports.tls.as_ref().map(|tls| address(tls, settings.listen));
        Ok(Self {
            router: address(&ports.router, settings.listen)?,
            tls: tls.transpose()?,
            admin: address(&ports.admin, settings.admin)?,
            ports,
            certificates,
            predecessor,
        })
    }

    /// Serves until a signal or a successor says stop, then lets running exchanges end.
    pub async fn serve(
        self,
        state: Arc<State>,
        file: PathBuf,
        token: Token,
        signals: Signals,
    ) -> io::Result<()> {
        let Signals { reload, stop } = signals;
        let settings = state.snapshot().config.router.clone();
        let offer = offer(&self.ports, &settings, &file);
        let operations = Operations::start(&state, &file).map_err(io::Error::other)?;
        let admin = admin::serve(self.ports.admin, Arc::clone(&operations.operator), token)?;
        let admin_handle = admin.handle();
        let admin = tokio::spawn(admin);
        let config = self.certificates.as_ref().map(Certificates::server_config);
        let config = config.transpose().map_err(io::Error::other)?;
        let secure = self.ports.tls.zip(config);
        let server = clients::serve(self.ports.router, secure, &settings, &state)?;
        if let Some(certificates) = self.certificates {
            tokio::task::spawn_local(certificates.follow(Arc::clone(&state)));
        }
        let switcher = operations.operator.switcher().clone();
        let reloading = tokio::task::spawn_local(reload::follow(Arc::clone(&state), file, switcher, reload));
        let spans = state.spans().cloned();
        let ending = drain::follow(
            (offer, stop),
            state,
            server.handle(),
            admin_handle.clone(),
            settings,
        );
        tokio::task::spawn_local(ending);
        if let Some(predecessor) = self.predecessor {
            // It is still there, or has gone by itself: either way this router serves.
            if let Err(error) = predecessor.dismiss() {
                tracing::warn!(%error, "the router before this one has gone without being told to");
            }
        }
        let ended = server.await;
        reloading.abort();
        if let Some(spans) = spans {
            spans.flush(LAST_SPANS).await;
        }
        operations.stop().await;
        admin_handle.stop(false).await;
        // It has been told to stop; how it did so changes nothing any more.
        let _ended = admin.await;
        tracing::info!("stopped");
        ended
    }
}

fn certificates(settings: &Settings) -> Result<Option<Arc<Certificates>>, TlsError> {
    settings.edge.tls.as_ref().map(Certificates::load).transpose()
}

/// Without it the router serves all the same, but cannot be taken over from.
fn offer(ports: &Ports, settings: &Settings, file: &Path) -> Option<Offer> {
    let path = takeover::path(settings.edge.handover_socket.as_deref(), file);
    let offer = Offer::begin(ports, &path);
    offer
        .inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "no successor can take over: see router.handover_socket");
        })
        .ok()
}

/// The socket that was taken over, if it is where it should be, or a new one.
fn fitting(taken: Option<TcpListener>, address: SocketAddr) -> Result<TcpListener, StartError> {
    let is_fitting = |taken: &TcpListener| {
        let bound = taken.local_addr().ok();
        bound.is_some_and(|bound| bound == address || (address.port() == 0 && bound.ip() == address.ip()))
    };
    match taken.filter(is_fitting) {
        Some(taken) => Ok(taken),
        None => listen(address).map_err(|source| StartError::Bind { address, source }),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
