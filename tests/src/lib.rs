//! What the tests and the demo share.

pub mod api;
pub mod books;
pub mod clients;
pub mod demo;
pub mod history;
pub mod load;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod psp;
pub mod rows;
pub mod stage;
pub mod till;
