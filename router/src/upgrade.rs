//! Requests that leave HTTP: WebSocket is passed through, CONNECT is declined.
//!
//! For the server, which hands over the whole connection for these. The upstream gets a connection of its own, outside the
//! pool. If it switches protocols, bytes are passed both ways until either side is done; if it answers something else, the
//! client gets that. Upgrades to anything but `websocket` do not come here: their `Upgrade` field is dropped as hop-by-hop,
//! which is the answer of a server that declines.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use actix_codec::Framed;
use actix_http::h1::{Codec, SendResponse};
use actix_http::{ConnectionType, Request, RequestHead, Response};
use bytes::{BufMut, BytesMut};
use http02::{Method, StatusCode};
use tokio::io::AsyncWriteExt;

use crate::exchange::{SERVED_BY, SERVED_WHY, answer as answer_of, begin, explain, fail, refuse};
use crate::forward::Failure;
use crate::forward::answer::AnswerBody;
use crate::forward::ask::{Answer, Asking};
use crate::forward::body::RequestBody;
use crate::forward::headers::says;
use crate::forward::link::Link;
use crate::identity::Identity;
use crate::plan::{Plan, Refused};
use crate::problem::{Kind, Problem};
use crate::stream::ClientStream;
use crate::worker::Worker;

/// The client's connection, with what has been read of it.
type Wire = Framed<ClientStream, Codec>;

/// Serves such a request to the end of its connection.
pub async fn serve(worker: Rc<Worker>, request: Request, wire: Wire) -> Result<(), Infallible> {
    if let Err(error) = switch(worker, request, wire).await {
        // Either side may hang up whenever it likes.
        tracing::debug!(%error, "an upgraded connection broke");
    }
    Ok(())
}

async fn switch(worker: Rc<Worker>, request: Request, wire: Wire) -> io::Result<()> {
    let turn = begin(&request);
    let head = request.head();
    if let Some((kind, detail)) = objection(head) {
        let why = "refused=upgrade".to_owned();
        let identity = Identity::of(&head.headers);
        return send(
            wire,
            refuse(
                &Refused {
                    problem: Problem::new(kind, detail),
                    why,
                    identity,
                },
                turn,
            ),
        )
        .await;
    }
    let plan = match worker.plan(&request) {
        Ok(plan) => plan,
        Err(refused) => return send(wire, refuse(&refused, turn)).await,
    };
    match open(&plan, head).await {
        Ok(answer) if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            if let Some(turn) = &turn {
                turn.leave_http();
            }
            let switched = pass_through(&plan, answer, wire).await;
            drop(turn);
            switched
        }
        Ok(answer) => send(wire, answer_of(&plan, Ok(answer), turn)).await,
        Err(problem) => send(wire, fail(&plan, &problem, turn)).await,
    }
}

fn objection(head: &RequestHead) -> Option<(Kind, &'static str)> {
    if head.method == Method::CONNECT {
        Some((Kind::NotImplemented, "the router is not a tunnel"))
    } else if !says(&head.headers, "connection", "upgrade") {
        Some((Kind::BadRequest, "there is Upgrade without Connection: upgrade"))
    } else {
        None
    }
}

/// Asks the upstream to switch.
async fn open(plan: &Plan, head: &RequestHead) -> Result<Answer, Problem> {
    let (upstream, settings) = (plan.upstream(), plan.settings());
    let tell = |failure: Failure| explain(&upstream.name, &failure);
    let hop = [("connection", "upgrade"), ("upgrade", "websocket")];
    let outbound = plan.request_with(head, RequestBody::Empty, &hop);
    let link = Link::open(upstream, settings.connect_timeout)
        .await
        .map_err(|error| tell(error.into()))?;
    let mut asking = Asking::new(link, outbound);
    let limit = settings.response_timeout;
    match tokio::time::timeout(limit, asking.head()).await {
        Ok(Ok(head)) => Ok(asking.answer(head, None)),
        Ok(Err(error)) => Err(tell(Failure::Broken {
            error,
            is_stale: false,
        })),
        Err(_) => Err(tell(Failure::Timeout(limit))),
    }
}

async fn pass_through(plan: &Plan, answer: Answer, wire: Wire) -> io::Result<()> {
    let Some(mut link) = answer.body.into_link() else {
        return Ok(());
    };
    let parts = wire.into_parts();
    let (mut client, early) = (parts.io, parts.read_buf);
    client.write_all(&switching_head(plan, answer.response)).await?;
    client.write_all(&link.buffer).await?;
    link.stream.write_all(&early).await?;
    tokio::io::copy_bidirectional(&mut client, &mut link.stream).await?;
    Ok(())
}

fn switching_head(plan: &Plan, mut answer: Response<()>) -> BytesMut {
    let fields = answer.headers_mut();
    fields.insert(SERVED_BY, plan.served_by());
    fields.insert(SERVED_WHY, plan.why.clone());
    let mut head = BytesMut::from(
        &b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"[..],
    );
    for (name, value) in answer.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.put_slice(part);
        }
    }
    head.put_slice(b"\r\n");
    head
}

/// Sends an answer and ends the connection.
async fn send(wire: Wire, mut answer: Response<AnswerBody>) -> io::Result<()> {
    answer.head_mut().set_connection_type(ConnectionType::Close);
    let mut wire = SendResponse::new(wire, answer)
        .await
        .map_err(|error| io::Error::other(error.to_string()))?;
    wire.io_mut().shutdown().await
}
