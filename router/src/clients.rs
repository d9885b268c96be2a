//! The clients' ports: what happens to a connection from its acceptance to the first exchange.
//!
//! For the server. actix-http is used without actix-web here: only so can `Expect` be passed on to the upstream
//! ([`crate::expect`]), an upgrade be given its connection ([`crate::upgrade`]), and the connection itself be watched
//! ([`crate::watch`]). Both ports, the plain one and the one with TLS, are served by the same workers, and on each thread
//! share one [`Worker`] with its connections to upstreams.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::carrier::Carrier;
use crate::config::Settings;
use crate::limits::Seat;
use crate::state::State;
use crate::stream::ClientStream;
use crate::worker::Worker;
use crate::{exchange, expect, http2, upgrade};

/// The protocol that a client chooses for HTTP/2 (RFC 9113, section 3.2).
const H2: &[u8] = b"h2";

/// A connection with its peer, as actix's HTTP/1.1 takes it.
type Prepared = (ClientStream, Option<SocketAddr>);

/// What every worker's services are made of.
#[derive(Clone)]
struct Making {
    state: Arc<State>,
    settings: Settings,
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
        settings: settings.clone(),
        stopping: builder.graceful_shutdown_signal(),
    };
    let with_tls = making.clone();
    let mut builder = builder.listen("router", plain, move || {
        let (making, worker) = (making.clone(), making.worker());
        let watching = Rc::clone(&worker);
        let watched = fn_service(move |stream: TcpStream| std::future::ready(prepare(&watching, stream)));
        watched.and_then(http1(&making, &worker))
    })?;
    if let Some((listener, config)) = secure {
        builder = builder.listen("router-tls", listener, move || {
            let (making, worker) = (with_tls.clone(), with_tls.worker());
            secured(&making, &worker, TlsAcceptor::from(Arc::clone(&config)))
        })?;
    }
    Ok(builder.run())
}

impl Making {
    /// This thread's worker. Runs once for each port on each worker's thread.
    fn worker(&self) -> Rc<Worker> {
        let state = &self.state;
        Worker::here(|| {
            Worker::start(
                state.current(),
                state.shadow().clone(),
                state.limits(),
                state.draining(),
                state.events().clone(),
            )
        })
    }
}

/// HTTP/1.1.
fn http1(
    making: &Making,
    worker: &Rc<Worker>,
) -> impl ServiceFactory<Prepared, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<>
{
    let (expecting, upgrading, serving) = (Rc::clone(worker), Rc::clone(worker), Rc::clone(worker));
    let stopping = making.stopping.clone();
    HttpService::build()
        // The watch cuts connections that rest too long, all in one round; a timer each would cost every request.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(making.settings.header_timeout)
        .client_disconnect_timeout(Duration::from_secs(2))
        // A client that has gone must not keep an upstream working: the stream sees to that, who can tell it from one that is
        // refused.
        .h1_allow_half_closed(true)
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .on_connect_ext(|stream: &ClientStream, data| {
            data.insert(Rc::clone(stream.connection()));
        })
        .expect(fn_service(move |request| {
            expect::ask(Rc::clone(&expecting), request)
        }))
        .upgrade(fn_service(move |(request, wire)| {
            upgrade::serve(Rc::clone(&upgrading), request, wire)
        }))
        .h1(fn_service(move |request: Request| {
            exchange::serve(Rc::clone(&serving), request)
        }))
}

/// TLS, and inside it what the client has chosen.
fn secured(
    making: &Making,
    worker: &Rc<Worker>,
    acceptor: TlsAcceptor,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<>
{
    let (factory, stopping) = (http1(making, worker), making.stopping.clone());
    let worker = Rc::clone(worker);
    fn_factory(move || {
        let making = factory.new_service(());
        let (worker, acceptor, stopping) = (Rc::clone(&worker), acceptor.clone(), stopping.clone());
        async move {
            let http1 = Rc::new(making.await?);
            Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                let (worker, acceptor, stopping) = (Rc::clone(&worker), acceptor.clone(), stopping.clone());
                let http1 = Rc::clone(&http1);
                async move {
                    let (seat, peer) = sit_down(&worker, &stream)?;
                    let carrier = shake_hands(&worker, acceptor, stream).await?;
                    if let Carrier::Tls(stream) = &carrier
                        && stream.get_ref().1.alpn_protocol() == Some(H2)
                    {
                        let ended =
                            http2::serve(
                                worker,
                                carrier,
                                peer,
                                seat,
                                async move { stopping.notified().await },
                            );
                        if let Err(error) = ended.await {
                            tracing::debug!(%error, "a connection by HTTP/2 broke");
                        }
                        return Ok(());
                    }
                    http1.call((worker.watch.over(carrier, seat), Some(peer))).await
                }
            }))
        }
    })
}

/// Takes a plain connection under watch.
fn prepare(worker: &Worker, stream: TcpStream) -> Result<Prepared, DispatchError> {
    let (seat, peer) = sit_down(worker, &stream)?;
    Ok((worker.watch.over(Carrier::Plain(stream), seat), Some(peer)))
}

/// Finds the connection's place, unless its peer has too many.
fn sit_down(worker: &Worker, stream: &TcpStream) -> Result<(Option<Seat>, SocketAddr), DispatchError> {
    let snapshot = worker.snapshot();
    let peer = stream.peer_addr().map_err(DispatchError::Io)?;
    let seat = worker.limits.seat(peer.ip(), &snapshot.config.router);
    let seat = seat.map_err(|refused| {
        tracing::debug!(%peer, "a connection is closed: {refused}");
        DispatchError::Io(io::Error::other(refused))
    })?;
    // Without it small answers wait for the client's acknowledgement.
    stream.set_nodelay(true).map_err(DispatchError::Io)?;
    Ok((seat, peer))
}

async fn shake_hands(
    worker: &Worker,
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> Result<Carrier, DispatchError> {
    let limit = worker.snapshot().config.router.header_timeout;
    let shaken = tokio::time::timeout(limit, acceptor.accept(stream)).await;
    match shaken {
        Ok(Ok(stream)) => Ok(Carrier::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            Err(DispatchError::Io(error))
        }
        Err(_) => Err(DispatchError::SlowRequestTimeout),
    }
}
