//! The clients' ports: what happens to a connection from its acceptance to the first exchange.
//!
//! For the server. actix-server accepts, spreads connections over its worker threads and stops in order; what is spoken on
//! them is ours ([`crate::http1`], [`crate::http2`]). Both ports, the plain one and the one with TLS, are served by the same
//! workers, and on each thread share one [`Worker`] with its connections to upstreams.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::fn_service;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::carrier::Carrier;
use crate::config::Settings;
use crate::limits::Seat;
use crate::state::State;
use crate::worker::Worker;
use crate::{http1, http2};

/// The protocol that a client chooses for HTTP/2 (RFC 9113, section 3.2).
const H2: &[u8] = b"h2";

/// What every worker's services are made of.
#[derive(Clone)]
struct Making {
    state: Arc<State>,
    stopping: GracefulShutdownSignal,
}

/// Serves the ports until it is told to stop.
pub fn serve(
    plain: TcpListener,
    secure: Option<(TcpListener, Arc<ServerConfig>)>,
    settings: &Settings,
    state: &Arc<State>,
) -> io::Result<Server> {
    let whole_seconds = settings.shutdown_timeout.as_secs().max(1);
    let builder: ServerBuilder = Server::build()
        .workers(settings.workers)
        .max_concurrent_connections(settings.max_connections.div_ceil(settings.workers))
        .shutdown_timeout(whole_seconds)
        .disable_signals();
    let making = Making {
        state: Arc::clone(state),
        stopping: builder.graceful_shutdown_signal(),
    };
    let with_tls = making.clone();
    let mut builder = builder.listen("router", plain, move || {
        let worker = making.worker();
        fn_service(move |stream: TcpStream| serve_plain(Rc::clone(&worker), stream))
    })?;
    if let Some((listener, config)) = secure {
        let acceptor = TlsAcceptor::from(config);
        builder = builder.listen("router-tls", listener, move || {
            let (worker, acceptor) = (with_tls.worker(), acceptor.clone());
            let stopping = with_tls.stopping.clone();
            fn_service(move |stream: TcpStream| {
                serve_secure(Rc::clone(&worker), acceptor.clone(), stopping.clone(), stream)
            })
        })?;
    }
    Ok(builder.run())
}

impl Making {
    /// This thread's worker. Runs once for each port on each worker's thread.
    fn worker(&self) -> Rc<Worker> {
        let (state, stopping) = (&self.state, self.stopping.clone());
        Worker::here(|| {
            let worker = Worker::start(
                state.current(),
                (state.shadow().clone(), state.spans().cloned()),
                state.limits(),
                state.draining(),
                state.events().clone(),
            );
            let told = Rc::downgrade(&worker);
            tokio::task::spawn_local(async move {
                stopping.notified().await;
                if let Some(worker) = told.upgrade() {
                    worker.watch.stop();
                }
            });
            worker
        })
    }
}

async fn serve_plain(worker: Rc<Worker>, stream: TcpStream) -> io::Result<()> {
    let (seat, peer) = sit_down(&worker, &stream)?;
    // Boxed, since actix-server moves this future, and moved it has its room twice.
    Box::pin(http1::serve(worker, Carrier::Plain(stream), peer, seat)).await;
    Ok(())
}

/// TLS, and inside it what the client has chosen.
async fn serve_secure(
    worker: Rc<Worker>,
    acceptor: TlsAcceptor,
    stopping: GracefulShutdownSignal,
    stream: TcpStream,
) -> io::Result<()> {
    let (seat, peer) = sit_down(&worker, &stream)?;
    let limit = worker.snapshot().config.router.header_timeout;
    let stream = match tokio::time::timeout(limit, acceptor.accept(stream)).await {
        Ok(shaken) => shaken.inspect_err(|error| tracing::debug!(%peer, %error, "a TLS handshake failed"))?,
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    let carrier = Carrier::Tls(Box::new(stream));
    if !is_http2 {
        Box::pin(http1::serve(worker, carrier, peer, seat)).await;
        return Ok(());
    }
    let ended = http2::serve(
        worker,
        carrier,
        peer,
        seat,
        async move { stopping.notified().await },
    );
    if let Err(error) = Box::pin(ended).await {
        tracing::debug!(%peer, %error, "a connection by HTTP/2 broke");
    }
    Ok(())
}

/// Finds the connection's place, unless its peer has too many.
fn sit_down(worker: &Worker, stream: &TcpStream) -> io::Result<(Option<Seat>, SocketAddr)> {
    let snapshot = worker.snapshot();
    let peer = stream.peer_addr()?;
    let seat = worker.limits.seat(peer.ip(), &snapshot.config.router);
    let seat = seat.map_err(|refused| {
        tracing::debug!(%peer, "a connection is closed: {refused}");
        io::Error::other(refused)
    })?;
    // Without it small answers wait for the client's acknowledgement.
    stream.set_nodelay(true)?;
    Ok((seat, peer))
}
