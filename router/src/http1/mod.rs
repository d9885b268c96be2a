//! HTTP/1.1: one connection, one exchange after the other.
//!
//! For the clients' ports. The protocol is spoken here by our own hand and not by a server below, since the price of
//! forwarding is what this program is measured by, and since a request may be read in one way only: [`crate::strict`] and
//! this parser look at the same bytes, and nothing stands between them (decision 23).
//!
//! Everything about a connection happens in one task. [`request`] makes a request of the bytes that [`wire`] has read; the
//! exchange asks the upstream; [`writing`] brings the answer to the client. While the exchange waits, the client is listened
//! to: if it closes its side, the exchange is dropped and with it the upstream's request.
//!
//! An idle connection holds no buffers. A refused one is closed in two steps: our side first, then what the client still
//! sends is read and thrown away for a moment; closing at once would make the kernel send a reset, which may overtake the
//! answer.

pub mod request;
pub mod tunnel;
pub mod wire;
pub mod writing;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::{BoxedPayloadStream, Payload, Request};

use self::request::{Follows, Parsed};
use self::wire::{Wire, WireBody};
use self::writing::Client;
use crate::carrier::Carrier;
use crate::forward::answer::Reply;
use crate::limits::Seat;
use crate::strict::Refusal;
use crate::watch::Connection;
use crate::worker::Worker;
use crate::{exchange, expect, upgrade};

/// What every part of a connection's life holds on to.
pub type Shared = Rc<RefCell<Wire>>;

/// What comes next on a connection.
enum Next {
    Request(Parsed),
    /// The client is told why, and the connection ends.
    Refused(Refusal),
    /// There is nobody to tell.
    End,
}

/// Serves a connection to its end.
pub async fn serve(worker: Rc<Worker>, carrier: Carrier, peer: SocketAddr, seat: Option<Seat>) {
    let (connection, max_head) = worker.watch.over(carrier.is_secure(), seat);
    let wire = Rc::new(RefCell::new(Wire::new(carrier, Rc::clone(&connection), max_head)));
    if let Err(error) = run(&worker, &wire, &connection, peer).await {
        // Either side may hang up whenever it likes.
        tracing::debug!(%peer, %error, "a client's connection broke");
    }
    wire.borrow_mut().close();
}

async fn run(
    worker: &Rc<Worker>,
    wire: &Shared,
    connection: &Rc<Connection>,
    peer: SocketAddr,
) -> io::Result<()> {
    loop {
        let parsed = match poll_fn(|context| poll_next(&mut wire.borrow_mut(), context)).await? {
            Next::Request(parsed) => parsed,
            Next::Refused(refusal) => return writing::refuse(wire, refusal).await,
            Next::End => return writing::hang_up(wire).await,
        };
        let client = Client::of(&parsed);
        let request = received(parsed.request, parsed.follows, wire, peer);
        // What is rare is boxed: every connection, idle ones too, has room for all that is not.
        if parsed.follows == Follows::Anything {
            return Box::pin(upgrade::serve(worker, request, wire, connection, client)).await;
        }
        let reply = match parsed.expects {
            true => {
                heard(
                    wire,
                    Box::pin(expecting(worker, request, wire, connection)).as_mut(),
                )
                .await?
            }
            false => heard(wire, pin!(exchange::serve(worker, request, Some(connection)))).await?,
        };
        if !writing::answer(wire, reply, client).await? {
            return writing::hang_up(wire).await;
        }
    }
}

/// The request as the exchange takes it.
fn received(mut request: Request, follows: Follows, wire: &Shared, peer: SocketAddr) -> Request {
    request.head_mut().peer_addr = Some(peer);
    wire.borrow_mut().begin_body(follows);
    if matches!(follows, Follows::Nothing | Follows::Anything) {
        return request;
    }
    let payload: BoxedPayloadStream = Box::pin(WireBody::new(wire));
    request.replace_payload(Payload::Stream { payload }).0
}

/// A request whose client waits for `100 Continue`.
async fn expecting(
    worker: &Rc<Worker>,
    mut request: Request,
    wire: &Shared,
    connection: &Rc<Connection>,
) -> Reply {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        // There is nothing that the client could hold back, and nothing to ask the upstream for.
        let _told = writing::go_on(wire).await;
        return exchange::serve(worker, request, Some(connection)).await;
    }
    match expect::ask(worker, &request, connection).await {
        Ok(begun) => {
            // If that fails, so does the body.
            let _told = writing::go_on(wire).await;
            begun.go_on(payload).await
        }
        Err(answer) => answer,
    }
}

/// Waits for the exchange, but not for longer than the client does. It is awaited where it was made: it is large, and would otherwise have
/// room here once more.
pub async fn heard<T>(wire: &Shared, mut exchange: Pin<&mut impl Future<Output = T>>) -> io::Result<T> {
    poll_fn(|context| {
        if let Poll::Ready(done) = exchange.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        wire.borrow_mut().poll_gone(context).map(Err)
    })
    .await
}

fn poll_next(wire: &mut Wire, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
    loop {
        match wire.take_head() {
            Ok(Some(parsed)) => return Poll::Ready(Ok(Next::Request(parsed))),
            Ok(None) => {}
            Err(refusal) => return Poll::Ready(Ok(Next::Refused(refusal))),
        }
        if let Some(refusal) = wire.refusal() {
            return Poll::Ready(Ok(Next::Refused(refusal)));
        }
        if wire.may_leave() {
            return Poll::Ready(Ok(Next::End));
        }
        if ready!(wire.poll_fill(context))? == 0 && wire.refusal().is_none() {
            return Poll::Ready(Ok(Next::End));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of clients rest most of the time.
    #[test]
    fn an_idle_connection_is_small() {
        let size = size(serve);
        assert!(size <= 4096, "{size} bytes");
    }
}
