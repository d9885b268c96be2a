//! What moves the pen, and what begins or ends following.

use actix_web::web::{self, Json};

use super::{Asked, Command};
use crate::Error;
use crate::follow;
use crate::wire::{Abort, Accept, Copy, Fence, Grant, Moved, Pen, Repair, Retention, Seal, Turn};

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

async fn fence(Command(link, command): Command<Fence>) -> Answer {
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

async fn grant(Command(link, command): Command<Grant>) -> Answer {
    moved(link.grant(command).await)
}

async fn abort(Command(link, command): Command<Abort>) -> Answer {
    moved(link.abort(command).await)
}

async fn accept(Command(link, Accept { receipt }): Command<Accept>) -> Answer {
    moved(link.accept(receipt).await)
}

async fn turn(Command(link, Turn { receipt }): Command<Turn>) -> Answer {
    moved(link.turn(receipt).await)
}

async fn copy(Command(link, command): Command<Copy>) -> Answer {
    moved(link.copy(command).await)
}

async fn repair(Command(link, command): Command<Repair>) -> Answer {
    moved(follow::repair(&link, command).await)
}

async fn retention(Command(link, command): Command<Retention>) -> Answer {
    moved(link.retention(command).await)
}

async fn seal(Command(link, command): Command<Seal>) -> Answer {
    moved(link.seal(command).await)
}

async fn rehearse(Asked(link): Asked) -> Answer {
    moved(link.rehearse().await)
}
