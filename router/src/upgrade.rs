//! Requests that leave HTTP: WebSocket is passed through, CONNECT is declined.
//!
//! For the server, which hands over the whole connection for these. The upstream gets a connection of its own, outside the
//! pool. If it switches protocols, bytes are passed both ways until either side is done; if it answers something else, the
//! client gets that. Upgrades to anything but `websocket` do not come here: their `Upgrade` field is dropped as hop-by-hop,
//! which is the answer of a server that declines.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use actix_http::{Request, RequestHead};
use http02::header::CONNECTION;
use http02::{Method, StatusCode};
use tokio::io::AsyncWriteExt;

use crate::attempt::{self, place};
use crate::exchange::{SERVED_BY, SERVED_WHY, answer as answer_of, explain, fail, refuse};
use crate::forward::answer::Reply;
use crate::forward::ask::{Answer, Asking};
use crate::forward::body::RequestBody;
use crate::forward::fields::AnswerFields;
use crate::forward::headers::says;
use crate::forward::link::Link;
use crate::forward::pool::Flight;
use crate::forward::{Caution, Failure};
use crate::http1::tunnel::Tunnel;
use crate::http1::writing::{self, Client};
use crate::http1::{Shared, heard};
use crate::identity::Identity;
use crate::plan::{Plan, Refused};
use crate::problem::{Kind, Problem};
use crate::watch::Connection;
use crate::worker::Worker;

/// Serves such a request to the end of its connection.
pub async fn serve(
    worker: &Rc<Worker>,
    request: Request,
    wire: &Shared,
    connection: &Rc<Connection>,
    client: Client,
) -> io::Result<()> {
    let turn = connection.begin();
    let head = request.head();
    let refused = match objection(head) {
        Some((kind, detail)) => Err(Box::new(Refused {
            problem: Problem::new(kind, detail),
            why: "refused=upgrade".to_owned(),
            identity: Identity::of(&head.headers),
            trace: None,
        })),
        None => worker.plan(&request, Some(connection)),
    };
    let mut plan = match refused {
        Ok(plan) => plan,
        Err(refused) => return end(wire, refuse(&refused, Some(turn)), client).await,
    };
    let opened = heard(wire, pin!(open(worker, &mut plan, head))).await?;
    match opened {
        Ok((answer, _flight)) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
            turn.leave_http();
            // What follows is no exchange that could be recorded.
            if let Some(trace) = plan.trace.take() {
                trace.answered(101, &plan.why, Some(&plan));
            }
            let switched = pass_through(&plan, answer, wire, connection).await;
            drop(turn);
            switched
        }
        Ok((answer, _flight)) => end(wire, answer_of(&plan, Ok(answer), Some(turn)), client).await,
        Err(problem) => end(wire, fail(&plan, &problem, Some(turn)), client).await,
    }
}

fn objection(head: &RequestHead) -> Option<(Kind, &'static str)> {
    if head.method == Method::CONNECT {
        Some((Kind::NotImplemented, "the router is not a tunnel"))
    } else if !says(&head.headers, CONNECTION, "upgrade") {
        Some((Kind::BadRequest, "there is Upgrade without Connection: upgrade"))
    } else {
        None
    }
}

/// Asks the upstream to switch; another of its addresses, if one cannot be reached. There is a flight if there was a choice.
async fn open(
    worker: &Worker,
    plan: &mut Plan,
    head: &RequestHead,
) -> Result<(Answer, Option<Flight>), Problem> {
    let (began, limit) = (Instant::now(), plan.settings().response_timeout);
    let mut avoid = None;
    loop {
        let flight = place::choose(worker, plan, Caution::Once, avoid);
        attempt::begin(plan);
        let outcome = ask(plan, head).await;
        attempt::end(plan, &outcome);
        if avoid.is_none() && place::moves_on(worker, plan, &outcome, Caution::Once, (began, limit)) {
            avoid = Some(plan.place.index);
            continue;
        }
        let is_well = matches!(&outcome, Ok(answer) if !answer.status.is_server_error());
        // Only addresses are judged by upgrades, not circuits.
        let _counts = place::note(worker, plan, is_well);
        let outcome = outcome.map_err(|failure| explain(&plan.upstream().name, &failure));
        return outcome.map(|answer| (answer, flight));
    }
}

async fn ask(plan: &Plan, head: &RequestHead) -> Result<Answer, Failure> {
    let settings = plan.settings();
    let hop = [("connection", "upgrade"), ("upgrade", "websocket")];
    let outbound = plan.request_with(head, RequestBody::Empty, &hop);
    let link = match Link::open(plan.address(), settings.connect_timeout).await {
        Ok(link) => link,
        Err(error) => {
            let unsent = Some(Box::new(outbound));
            return Err(Failure::Connect { error, unsent });
        }
    };
    let mut asking = Asking::new(link, outbound);
    let limit = settings.response_timeout;
    match tokio::time::timeout(limit, asking.head()).await {
        Ok(Ok(head)) => Ok(asking.answer(head, None)),
        Ok(Err(error)) => Err(Failure::Broken {
            error,
            is_stale: false,
        }),
        Err(_) => Err(Failure::Timeout(limit)),
    }
}

async fn pass_through(
    plan: &Plan,
    answer: Answer,
    wire: &Shared,
    connection: &Rc<Connection>,
) -> io::Result<()> {
    let Answer { fields, body, .. } = answer;
    let Some(mut link) = body.into_link() else {
        return Ok(());
    };
    let (carrier, early) = wire.borrow_mut().leave_http()?;
    let connection = Rc::clone(connection);
    let mut client = Tunnel { carrier, connection };
    client.write_all(&switching_head(plan, fields)).await?;
    client.write_all(&link.buffer).await?;
    client.flush().await?;
    link.stream.write_all(&early).await?;
    tokio::io::copy_bidirectional(&mut client, &mut link.stream).await?;
    Ok(())
}

fn switching_head(plan: &Plan, mut fields: AnswerFields) -> Vec<u8> {
    fields.insert(&SERVED_BY, &plan.served_by());
    fields.insert(&SERVED_WHY, &plan.why);
    let start = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    [start, fields.as_lines(), b"\r\n"].concat()
}

/// Sends an answer and ends the connection.
async fn end(wire: &Shared, answer: Reply, client: Client) -> io::Result<()> {
    writing::answer(wire, answer, client.at_last()).await?;
    writing::hang_up(wire).await
}
