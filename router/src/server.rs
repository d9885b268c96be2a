//! Puts the parts together: the clients' port with its workers, the operators' port, the reload, and the orderly stop.
//!
//! For `banyan serve`. Ports are bound before anything is started, so an address in use is an error with a name and not a
//! half-running server.
//!
//! actix-http is used without actix-web on the clients' port: only there can `Expect` be passed on to the upstream
//! ([`crate::expect`]), an upgrade be given its connection ([`crate::upgrade`]), and the connection itself be watched
//! ([`crate::watch`]).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::{Server, ServerBuilder};
use actix_service::{ServiceFactoryExt, fn_service};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use crate::config::Settings;
use crate::operations::Operations;
use crate::signals::Signals;
use crate::state::State;
use crate::stream::ClientStream;
use crate::worker::Worker;
use crate::{admin, exchange, expect, reload, upgrade};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// The ports, bound but not served yet.
#[derive(Debug)]
pub struct Bound {
    /// The clients'.
    pub router: SocketAddr,
    /// The operators'.
    pub admin: SocketAddr,
    router_listener: TcpListener,
    admin_listener: TcpListener,
}

/// A port that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl Bound {
    /// Binds both ports.
    pub fn bind(settings: &Settings) -> Result<Self, BindError> {
        let listen = |address| listen(address).map_err(|source| BindError { address, source });
        let (router, router_listener) = listen(settings.listen)?;
        let (admin, admin_listener) = listen(settings.admin)?;
        Ok(Self {
            router,
            admin,
            router_listener,
            admin_listener,
        })
    }

    /// Serves until a signal says stop, then lets running exchanges end.
    pub async fn serve(self, state: Arc<State>, file: PathBuf, signals: Signals) -> io::Result<()> {
        let Signals { reload, mut stop } = signals;
        let settings = state.snapshot().config.router.clone();
        let operations = Operations::start(&state, &file).map_err(io::Error::other)?;
        let admin = admin::serve(self.admin_listener, Arc::clone(&operations.operator))?;
        let admin_handle = admin.handle();
        let admin = tokio::spawn(admin);
        let server = serve_clients(self.router_listener, &settings, &state)?;
        let handle = server.handle();
        let reloading = tokio::task::spawn_local(reload::follow(
            Arc::clone(&state),
            file,
            operations.operator.switcher().clone(),
            reload,
        ));
        tokio::task::spawn_local(async move {
            stop.asked().await;
            tracing::info!(limit = ?settings.shutdown_timeout, "stopping: no new connections, running exchanges may end");
            state.start_draining();
            handle.stop(true).await;
        });
        let ended = server.await;
        reloading.abort();
        operations.stop().await;
        admin_handle.stop(false).await;
        // It has been told to stop; how it did so changes nothing any more.
        let _ended = admin.await;
        tracing::info!("stopped");
        ended
    }
}

/// Takes a connection under watch, unless its peer has too many.
fn prepared(worker: &Worker, stream: TcpStream) -> Result<ClientStream, DispatchError> {
    let snapshot = worker.snapshot();
    let peer = stream.peer_addr().map_err(DispatchError::Io)?.ip();
    let seat = worker
        .limits
        .seat(peer, &snapshot.config.router)
        .map_err(|refused| {
            tracing::debug!(%peer, "a connection is closed: {refused}");
            DispatchError::Io(io::Error::other(refused))
        })?;
    // Without it small answers wait for the client's acknowledgement.
    stream.set_nodelay(true).map_err(DispatchError::Io)?;
    Ok(worker.watch.over(stream, seat))
}

fn listen(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener: TcpListener = socket.into();
    Ok((listener.local_addr()?, listener))
}

fn serve_clients(listener: TcpListener, settings: &Settings, state: &Arc<State>) -> io::Result<Server> {
    let whole_seconds = settings.shutdown_timeout.as_secs().max(1);
    let builder: ServerBuilder = Server::build()
        .workers(settings.workers)
        .max_concurrent_connections(settings.max_connections.div_ceil(settings.workers))
        .shutdown_timeout(whole_seconds)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let (settings, current) = (settings.clone(), state.current());
    let (shadow, limits) = (state.shadow().clone(), state.limits());
    let server = builder.listen("router", listener, move || {
        // Runs once on each worker's thread.
        let worker = Worker::start(Arc::clone(&current), shadow.clone(), Arc::clone(&limits));
        let (expecting, upgrading, watching) = (Rc::clone(&worker), Rc::clone(&worker), Rc::clone(&worker));
        let stopping = stopping.clone();
        let http = HttpService::build()
            .keep_alive(settings.keep_alive)
            .client_request_timeout(settings.header_timeout)
            .client_disconnect_timeout(Duration::from_secs(2))
            // A client that has gone must not keep an upstream working: the stream sees to that, who can tell it from one
            // that is refused.
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
            .h1(fn_service(move |request| {
                exchange::serve(Rc::clone(&worker), request)
            }));
        let watched = fn_service(move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            std::future::ready(prepared(&watching, stream).map(|stream| (stream, peer)))
        });
        watched.and_then(http)
    })?;
    Ok(server.run())
}
