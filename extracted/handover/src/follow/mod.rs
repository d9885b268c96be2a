//! Following the other side: a copy, then its feed, then every change as it comes.
//!
//! `record` is the row that says how far this side has come, kept beside the module's tables; `apply` the one transaction in
//! which rows and cursor move together; `commands` what the protocol can ask of a follower; `worker` the task that goes on by
//! itself, which copies (`copying`), follows (`feeding`) and stops where it must (`parking`); `sealing` the end of it all.

pub(crate) mod apply;
pub(crate) mod commands;
mod copying;
mod feeding;
mod parking;
pub(crate) mod record;
mod repair;
mod sealing;
mod worker;

pub(crate) use repair::repair;
pub(crate) use sealing::seal;
pub(crate) use worker::Worker;
