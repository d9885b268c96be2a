//! `banyan handover | verify | abort | seal | doctor`: moves a module's data, and the right to write it, to the other side.
//!
//! The coordinator of the protocol (`docs/src/reference/hand-over-protocol.md`) runs here, in the command, and keeps nothing: what is
//! true stands in both sides' databases, so it can be killed anywhere and started again, here or on another machine. The router
//! is told to hold writes while nobody may write, and keeps the journal in its audit log.

mod abort;
mod doctor;
mod move_pen;
mod pass;
mod preflight;
mod progress;
mod seal;
mod sides;
mod verify;

pub(super) use abort::Abort;
pub(super) use doctor::Doctor;
pub(super) use move_pen::Handover;
pub(super) use seal::Seal;
pub(super) use verify::Verify;
