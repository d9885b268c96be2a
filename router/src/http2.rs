//! HTTP/2: one connection, many exchanges.
//!
//! For the port with TLS. hyper's server carries the protocol, not actix's: that one announces neither a limit of streams
//! nor of the length of a head, says no goodbye when the router drains, lets an upstream work on for a client that has
//! cancelled, and knows no trailers. Each request is handed to the same [`exchange::serve`] as one by HTTP/1.1, in actix's
//! form, and the answer taken back.
//!
//! What is bounded: streams at a time, the head, bytes that wait for a slow upstream (512 KiB for the whole connection), bytes that wait for a slow client, resets in a row (by the h2 crate). A connection without streams is closed
//! after `keep_alive`, one on which no stream moves after `idle_timeout`.
//!
//! What becomes HTTP/1.1 behind us must be unmistakable there: lengths are checked to be one and a number, cookies are put
//! together (RFC 9113, section 8.2.3), and a `Host` that is not the `:authority` is refused.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::carrier::Carrier;
use crate::clock::Clock;
use crate::config::Settings;
use crate::exchange;
use crate::forward::answer::AnswerBody;
use crate::forward::convert::{from_http2, to_http2};
use crate::limits::Seat;
use crate::plan::Refused;
use crate::watch::standstill;
use crate::worker::Worker;

/// Exchanges at a time on one connection.
const STREAMS: u32 = 100;
/// How much of one body may wait for its upstream.
const STREAM_WINDOW: u32 = 128 * 1024;
/// How much of all bodies together may wait.
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// How much of one answer may wait for its client.
const SEND_BUFFER: usize = 64 * 1024;
/// How often a connection is looked at.
const ROUND: Duration = Duration::from_secs(1);

/// Runs streams on the worker's own thread.
#[derive(Debug, Clone, Copy)]
struct Here;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// When anything last moved on a connection.
#[derive(Debug)]
struct Activity {
    clock: Clock,
    last: Cell<u64>,
    streams: Cell<usize>,
    /// How many there have been.
    begun: Cell<u64>,
}

/// One stream, from its head to the last byte of its answer.
struct Stream {
    activity: Rc<Activity>,
    deadline: Option<u64>,
}

/// An answer on its way.
struct Outgoing {
    body: AnswerBody,
    stream: Stream,
}

/// Serves a connection to its end.
pub async fn serve(
    worker: Rc<Worker>,
    carrier: Carrier,
    peer: SocketAddr,
    _seat: Option<Seat>,
    stopping: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let settings = worker.snapshot().config.router.clone();
    let activity = Rc::new(Activity::new(worker.clock.clone()));
    let (serving, noting) = (Rc::clone(&worker), Rc::clone(&activity));
    let service = service_fn(move |request| {
        let stream = Stream::begin(&noting, serving.snapshot().config.router.edge.request_timeout);
        exchange_one(Rc::clone(&serving), request, peer, stream)
    });
    let mut connection = pin!(builder(&settings).serve_connection(TokioIo::new(carrier), service));
    let mut stopping = pin!(stopping);
    let mut round = tokio::time::interval(ROUND);
    let mut since_goodbye: Option<u64> = None;
    loop {
        tokio::select! {
            ended = &mut connection => return ended,
            () = &mut stopping, if since_goodbye.is_none() => {
                connection.as_mut().graceful_shutdown();
                since_goodbye = Some(worker.clock.now());
            }
            _ = round.tick() => {
                if activity.is_stuck(&settings) || activity.overstays(since_goodbye) {
                    return Ok(());
                }
                if since_goodbye.is_none() && activity.is_idle(&settings) {
                    connection.as_mut().graceful_shutdown();
                    since_goodbye = Some(worker.clock.now());
                }
            }
        }
    }
}

fn builder(settings: &Settings) -> http2::Builder<Here> {
    let mut builder = http2::Builder::new(Here);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

async fn exchange_one(
    worker: Rc<Worker>,
    request: http::Request<Incoming>,
    peer: SocketAddr,
    stream: Stream,
) -> Result<http::Response<Outgoing>, Infallible> {
    let activity = Rc::clone(&stream.activity);
    let reply = match from_http2(request, peer, move || activity.moved()) {
        Ok(request) => exchange::serve(&worker, request, None).await,
        Err(detail) => exchange::refuse(&Refused::malformed(detail), None),
    };
    Ok(to_http2(reply).map(|body| Outgoing { body, stream }))
}

impl Activity {
    fn new(clock: Clock) -> Self {
        Self {
            last: Cell::new(clock.now()),
            clock,
            streams: Cell::new(0),
            begun: Cell::new(0),
        }
    }

    fn moved(&self) {
        self.last.set(self.clock.now());
    }

    fn is_stuck(&self, settings: &Settings) -> bool {
        self.streams.get() > 0 && self.clock.is_past(self.last.get(), standstill(settings))
    }

    /// A client that has asked for nothing yet has less time than one that may come back.
    fn is_idle(&self, settings: &Settings) -> bool {
        let limit = match self.begun.get() {
            0 => settings.header_timeout,
            _ => settings.keep_alive,
        };
        self.streams.get() == 0 && self.clock.is_past(self.last.get(), limit)
    }

    /// Whether it has been told to go, has nothing to wait for, and is still there.
    fn overstays(&self, since_goodbye: Option<u64>) -> bool {
        let is_past = |then| self.clock.is_past(then, 2 * ROUND);
        self.streams.get() == 0 && since_goodbye.is_some_and(is_past) && is_past(self.last.get())
    }
}

impl Stream {
    fn begin(activity: &Rc<Activity>, limit: Option<Duration>) -> Self {
        activity.streams.set(activity.streams.get() + 1);
        activity.begun.set(activity.begun.get() + 1);
        activity.moved();
        Self {
            activity: Rc::clone(activity),
            deadline: limit.map(|limit| activity.clock.after(limit)),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.activity.streams.set(self.activity.streams.get() - 1);
        self.activity.moved();
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let activity = &this.stream.activity;
        if this
            .stream
            .deadline
            .is_some_and(|deadline| activity.clock.now() >= deadline)
        {
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the exchange took too long");
            return Poll::Ready(Some(Err(error)));
        }
        let polled = this.body.poll_frame(context);
        if polled.is_ready() {
            activity.moved();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What the head says of the length is ours to say.
        SizeHint::default()
    }
}
