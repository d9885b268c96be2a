//! Passes the right to write a module's data, the *pen*, between two processes, together with the data, and back.
//!
//! For any process on actix and diesel: the monolith and each service extracted from it. The protocol is written down for
//! every language in `docs/src/reference/hand-over-protocol.md`, and model-checked in `tests/tests/pen_model/`; functions here
//! bear the names of its actions. What a process does with this crate:
//!
//! 1. its list of tables ([`table`]) gives the triggers by which the database keeps the pen and notes what changes ([`ddl`]);
//! 2. its rows are read and written in the form that both sides agree on ([`store`]: [`plain::Plain`] where the tables have that form
//!    already, code of its own where they have not);
//! 3. its writes pass the [`gate`], which turns the database's refusal into a 421 and says each write's position;
//! 4. it serves the protocol and follows its peer ([`link`], [`http`]), on an address of its own.
//!
//! Architecture Invariant: what must hold, holds in the database, in one transaction each. A process that dies anywhere
//! leaves a state from which the protocol's table names the next move.

pub mod client;
pub mod compare;
pub mod ddl;
pub mod doctor;
pub mod gate;
pub mod http;
pub mod link;
pub mod plain;
pub mod row;
pub mod settings;
pub mod store;
pub mod table;
pub mod wire;

mod error;
mod feed;
mod follow;
mod names;
mod pen;
mod sql;
mod start;
mod verify;

pub use error::Error;
pub use names::Names;
pub use start::{Module, StartError, start};

/// The side that has every pen first.
pub const MONOLITH: &str = "monolith";
