//! The plumbing that every process of a split monolith needs, and no domain.
//!
//! It is the first thing extracted from a monolith: config, telemetry, problem+json, database, health, session
//! tokens, limits and shutdown. The monolith and every service are built on it, so that a team that reads one
//! process knows the edges of all of them.
//!
//! Architecture invariant: nothing here names a product, an order or any other word of the shop.

pub mod auth;
pub mod build;
pub mod cli;
pub mod client;
pub mod config;
pub mod context;
pub mod db;
pub mod error;
pub mod extract;
pub mod health;
pub mod page;
pub mod problem;
pub mod server;
pub mod telemetry;
pub mod time;
pub mod unknown;
