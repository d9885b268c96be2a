//! Puts the parts together: the clients' port with its workers, the operators' port, the reload, and the orderly stop.
//!
//! For `banyan serve`. Ports are bound before anything is started, so an address in use is an error with a name and not a
//! half-running server.
//! What happens to a connection of a client's begins in [`crate::clients`].

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Settings;
use crate::state::State;
use crate::tls::{Certificates, TlsError};
use crate::{admin, clients, reload};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

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
}

/// The sockets.
#[derive(Debug)]
struct Ports {
    router: TcpListener,
    admin: TcpListener,
    tls: Option<TcpListener>,
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
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Bound {
    /// Reads the certificate, if there is to be TLS, and binds the ports.
    pub fn bind(settings: &Settings) -> Result<Self, StartError> {
        let certificates = settings.edge.tls.as_ref().map(Certificates::load).transpose()?;
        let listen = |address| listen(address).map_err(|source| StartError::Bind { address, source });
        let ports = Ports {
            router: listen(settings.listen)?,
            admin: listen(settings.admin)?,
            tls: settings
                .edge
                .tls
                .as_ref()
                .map(|tls| listen(tls.listen))
                .transpose()?,
        };
        Self::of(ports, certificates).map_err(|source| StartError::Bind {
            address: settings.listen,
            source,
        })
    }

    fn of(ports: Ports, certificates: Option<Arc<Certificates>>) -> io::Result<Self> {
        Ok(Self {
            router: ports.router.local_addr()?,
            tls: ports.tls.as_ref().map(TcpListener::local_addr).transpose()?,
            admin: ports.admin.local_addr()?,
            ports,
            certificates,
        })
    }

    /// Serves until a signal says stop, then lets running exchanges end.
    pub async fn serve(self, state: Arc<State>, file: PathBuf) -> io::Result<()> {
        let settings = state.snapshot().config.router.clone();
        let admin = admin::serve(self.ports.admin, Arc::clone(&state))?;
        let admin_handle = admin.handle();
        let admin = tokio::spawn(admin);
        let config = self.certificates.as_ref().map(Certificates::server_config);
        let config = config.transpose().map_err(io::Error::other)?;
        let secure = self.ports.tls.zip(config);
        let server = clients::serve(self.ports.router, secure, &settings, &state)?;
        if let Some(certificates) = self.certificates {
            tokio::task::spawn_local(certificates.follow(Arc::clone(&state)));
        }
        let handle = server.handle();
        let reloading = tokio::task::spawn_local(reload::follow(Arc::clone(&state), file));
        tokio::task::spawn_local(async move {
            if let Err(error) = stop_signal().await {
                tracing::error!(%error, "cannot listen for signals");
                return std::future::pending().await;
            }
            tracing::info!(limit = ?settings.shutdown_timeout, "stopping: no new connections, running exchanges may end");
            state.start_draining();
            handle.stop(true).await;
        });
        let ended = server.await;
        reloading.abort();
        admin_handle.stop(false).await;
        // It has been told to stop; how it did so changes nothing any more.
        let _ended = admin.await;
        tracing::info!("stopped");
        ended
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

async fn stop_signal() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
