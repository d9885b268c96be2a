//! What moves the pen, and what begins or ends following.

use actix_web::web::{self, Bytes, Json};

use super::{Asked, command};
use crate::Error;
use crate::follow;
use crate::wire::{Accept, Fence, Moved, Pen, Repair, Retention, Turn};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/fence", web::post().to(fence))
        .route("/grant", web::post().to(grant))
        .route("/abort", web::post().to(abort))
        .route("/accept", web::post().to(accept))
        .route("/turn", web::post().to(turn))
        .route("/copy", web::post().to(copy))
        .route("/repair", web::post().to(repair))
        .route("/retention", web::post().to(retention))
        .route("/rehearse", web::post().to(rehearse))
        .route("/seal", web::post().to(seal));
}

type Answer = Result<Json<Moved>, Error>;

fn moved(pen: Result<Pen, Error>) -> Answer {
    pen.map(|pen| Json(Moved { pen }))
}

async fn fence(Asked(link): Asked, body: Bytes) -> Answer {
    let command: Fence = command(&body)?;
    within("expires_ms", command.expires_ms, 1000, 60_000)?;
    within("wait_ms", command.wait_ms, 10, 10_000)?;
    if command.to != link.peer.name() {
        return Err(Error::NotReady(format!(
            "`{}` is not this side's peer, which is `{}`",
            command.to,
            link.peer.name()
        )));
    }
    moved(link.fence(command).await)
}

fn within(member: &str, value: u64, least: u64, most: u64) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Malformed(format!(
        "`{member}` must be {least} to {most}, and is {value}"
    )))
}

async fn grant(Asked(link): Asked, body: Bytes) -> Answer {
    moved(link.grant(command(&body)?).await)
}

async fn abort(Asked(link): Asked, body: Bytes) -> Answer {
    moved(link.abort(command(&body)?).await)
}

async fn accept(Asked(link): Asked, body: Bytes) -> Answer {
    let Accept { receipt } = command(&body)?;
    moved(link.accept(receipt).await)
}

async fn turn(Asked(link): Asked, body: Bytes) -> Answer {
    let Turn { receipt } = command(&body)?;
    moved(link.turn(receipt).await)
}

async fn copy(Asked(link): Asked, body: Bytes) -> Answer {
    moved(link.copy(command(&body)?).await)
}

async fn repair(Asked(link): Asked, body: Bytes) -> Answer {
    let command: Repair = command(&body)?;
    moved(follow::repair(&link, command).await)
}

async fn retention(Asked(link): Asked, body: Bytes) -> Answer {
    let command: Retention = command(&body)?;
    moved(link.retention(command).await)
}

async fn seal(Asked(link): Asked, body: Bytes) -> Answer {
    moved(link.seal(command(&body)?).await)
}

async fn rehearse(Asked(link): Asked) -> Answer {
    moved(link.rehearse().await)
}
