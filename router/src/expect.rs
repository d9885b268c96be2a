//! `Expect: 100-continue`, as if the client spoke with the upstream directly.
//!
//! For [`crate::http1`], which calls this in place of [`crate::exchange::serve`] for such requests. The head goes to the upstream while
//! the client still holds its body back. If the upstream says `100 Continue`, so do we, and the body flows; if it answers at
//! once, the client gets that answer and never sends the body. An upstream that does neither within a second does not know
//! the custom, and the body is asked for, as clients then do themselves.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_http::{Payload, Request, RequestHead};
use tokio::sync::Notify;

use crate::attempt::{self, Question};
use crate::exchange::{answer, content_length, refuse};
use crate::forward::Caution;
use crate::forward::answer::Reply;
use crate::forward::body::{ClientBody, Gate, RequestBody};
use crate::plan::Plan;
use crate::watch::{Connection, Turn};
use crate::worker::Worker;

const PATIENCE: Duration = Duration::from_secs(1);

/// An exchange whose head has been sent.
pub struct Begun {
    gate: GateKeeper,
    answer: Pin<Box<dyn Future<Output = Reply>>>,
}

/// Lets a body that will never come fail, so that the upstream's connection does not wait for it.
struct GateKeeper(Rc<Gate>);

impl Drop for GateKeeper {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Begun {
    /// Sends the body and waits for the answer.
    pub async fn go_on(self, payload: Payload) -> Reply {
        self.gate.0.open(payload);
        self.answer.await
    }
}

/// A write that may have to wait, and to be sent twice, is kept here first: its body is asked for at once.
fn go_on_at_once(
    worker: Rc<Worker>,
    mut plan: Plan,
    head: RequestHead,
    body: RequestBody,
    gate: GateKeeper,
    turn: Option<Turn>,
) -> Begun {
    let answer = Box::pin(async move {
        let question = Question {
            head: &head,
            body,
            caution: Caution::Once,
            go_on: None,
        };
        let outcome = attempt::ask(&worker, &mut plan, question).await;
        answer(&plan, outcome, turn)
    });
    Begun { gate, answer }
}

/// Asks the upstream. `Ok` lets the client send its body, `Err` is the answer without it.
pub async fn ask(
    worker: &Rc<Worker>,
    request: &Request,
    connection: &Rc<Connection>,
) -> Result<Begun, Reply> {
    let turn = Some(connection.begin());
    let mut plan = match worker.plan(request, Some(connection)) {
        Ok(plan) => plan,
        Err(refused) => return Err(refuse(&refused, turn)),
    };
    let worker = Rc::clone(worker);
    let gate = GateKeeper(Rc::default());
    let length = content_length(request.head());
    let body = ClientBody::gated(&gate.0, length, &worker.clock).at_most(plan.settings().edge.max_body_bytes);
    let body = RequestBody::Client(body);
    if plan.is_write() && plan.pen().is_some() {
        return Ok(go_on_at_once(
            worker,
            plan,
            request.head().clone(),
            body,
            gate,
            turn,
        ));
    }
    let go = Rc::new(Notify::new());
    let told = Rc::clone(&go);
    // The exchange goes on when the caller has the request back, so it keeps a head of its own.
    let head = request.head().clone();
    let mut answer: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move {
        let question = Question {
            head: &head,
            body,
            caution: Caution::Once,
            go_on: Some(told),
        };
        let limit = plan.settings().response_timeout;
        let outcome = attempt::once(&worker, &mut plan, question, limit).await;
        answer(&plan, outcome, turn)
    });
    tokio::select! {
        early = &mut answer => Err(early),
        () = go.notified() => Ok(Begun { gate, answer }),
        () = tokio::time::sleep(PATIENCE) => Ok(Begun { gate, answer }),
    }
}
