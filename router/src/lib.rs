//! The strangler router: sends each request to the monolith or to the service extracted from it, as one file says.

pub mod admin;
pub mod choose;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod exchange;
pub mod expect;
pub mod forward;
pub mod identity;
pub mod origin;
pub mod path;
pub mod plan;
pub mod problem;
pub mod reload;
pub mod report;
pub mod server;
pub mod snapshot;
pub mod state;
pub mod table;
pub mod upgrade;
pub mod watch;
pub mod worker;
