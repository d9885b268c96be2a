//! What the tests and the demo share.

pub mod process;
pub mod programs;
pub mod psp;
