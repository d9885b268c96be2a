//! The shop as it was before anything was extracted: one process, one database, eight modules.
//!
//! Read `app.rs` first: it is the only file that names every module. Each module is a folder: `mod.rs` says what it
//! owns and what others may ask of it, `http.rs` holds its routes, `model.rs` its rules, `store.rs` its SQL.

pub mod accounts;
pub mod app;
pub mod carts;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod flags;
pub mod import;
pub mod inventory;
pub mod money;
pub mod notifications;
pub mod orders;
pub mod payments;
pub mod reports;
pub mod seed;
pub mod sku;
