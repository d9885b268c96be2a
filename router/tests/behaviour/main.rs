//! The router's behaviour, seen from outside: the program runs, clients and upstreams are raw sockets.
//!
//! Raw on purpose: a comfortable client or server would tidy up just what is to be looked at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic in a test is a report"
)]
#![allow(clippy::print_stdout, reason = "figures are worth seeing")]

mod addresses;
mod admin_door;
mod automatic;
mod canary;
mod check;
mod commands;
mod corpus;
mod fallback;
mod faults;
mod framing;
mod going_back;
mod headers;
mod http2;
mod limits;
mod metrics;
mod noise;
mod overruling;
mod paths;
mod pen_limits;
mod pen_moves;
mod pen_operators;
mod pen_reads;
mod readings;
mod reload;
mod secrets;
mod secure;
mod shadow;
mod shadow_faults;
mod spans;
mod streaming;
mod support;
mod switching;
mod takeover;
mod watching;
