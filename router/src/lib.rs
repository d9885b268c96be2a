//! The strangler router: sends each request to the monolith or to the service extracted from it, as one file says.
//!
//! For teams that split a monolith, and for whoever changes this code. The router knows nothing of what the upstreams do:
//! `banyan.toml` with any two HTTP servers behind it is a complete set-up.
//!
//! # The life of a request
//!
//! 1. [`clients`] has accepted a connection on one of its worker threads; [`watch`] keeps an eye on it, so that a client who
//!    stands still is cut off. Its bytes come in the clear or by [`tls`], and [`strict`] stops at what could be read in two
//!    ways. [`http1`] reads the head; [`http2`] hands requests over in the same form.
//! 2. [`exchange::serve`] begins. [`expect`] comes before it if the client waits for `100 Continue`; [`upgrade`] takes its
//!    place if the client wants to leave HTTP.
//! 3. [`plan::Plan::make`] takes the current [`snapshot`] (one for the whole request, whatever is reloaded meanwhile), names
//!    the request ([`identity`]), looks whether its head is in [`form`] and within its client's [`limits`], and asks [`choose::choose`] who serves it: [`path`] says what the path can mean, [`table`]
//!    which route that is, and the route's mode, with the client's bucket if it is a canary, which side.
//!    A path whose readings belong to different routes is refused; a path that no route matches is the monolith's.
//! 4. [`attempt`] asks the upstream; if it has several addresses, [`balance`] says at which. [`forward::headers`] writes the head for the upstream: end-to-end fields as they came, and our word on where the
//!    request comes from. [`forward::Forwarder::send`] takes an idle connection from the worker's own
//!    [`forward::pool`], or opens one, and sends; the body follows piece by piece ([`forward::body`]).
//! 5. The upstream's head comes back. [`exchange`] adds `x-served-by` and `x-served-why`, and the body follows piece by
//!    piece ([`forward::answer`]); when it has ended, the connection goes back to the pool. If there is no answer, the
//!    client gets a [`problem`] whose type says that it was the router who spoke; a safe request that a service failed is
//!    put to the monolith first ([`attempt`]).
//! 6. What happened is counted ([`notes`]), and a sample of the monolith's answers is compared with the service's, off the
//!    answer's path ([`shadow`], [`compare`]). Both become [`evidence`], on which a [`certificate`] rests. If a collector
//!    is configured, the request is recorded for it as [`spans`].
//!
//! Beside that: [`reload`] follows the file and swaps the snapshot, [`switch`] edits the file by command and writes down
//! who did what and why, [`promotion`] decides whether it may, [`admin`] tells operators what is being served and switches
//! routes for them, [`pen`] knows who may write a module that is handed over, [`events`] and [`totals`] keep what happened, [`cli`] is the command line, and `banyan why` walks step
//! 3's path without sending anything. [`server`] puts it all together, [`drain`] ends it in order, and [`takeover`] gives
//! the ports to a successor.
//!
//! Architecture Invariants: nothing but [`forward::convert`] knows both `http` versions; nothing but [`forward`] and the
//! shadow's [`shadow::fetch`] knows the HTTP client; [`choose`], [`path`] and [`table`] are pure; no state is shared between
//! workers but the snapshot and what clients have used of their [`limits`].

pub mod admin;
pub mod attempt;
pub mod balance;
pub mod carrier;
pub mod certificate;
pub mod choose;
pub mod cli;
pub mod client;
pub mod clients;
pub mod clock;
pub mod compare;
pub mod config;
pub mod drain;
pub mod events;
pub mod evidence;
pub mod exchange;
pub mod expect;
pub mod form;
pub mod forward;
pub mod http1;
pub mod http2;
pub mod identity;
pub mod limits;
pub mod notes;
pub mod operations;
pub mod origin;
pub mod path;
pub mod pen;
pub mod plan;
pub mod position;
pub mod problem;
pub mod promotion;
pub mod records;
pub mod reload;
pub mod report;
pub mod server;
pub mod shadow;
pub mod signals;
pub mod snapshot;
pub mod spans;
pub mod standing;
pub mod state;
pub mod strict;
pub mod switch;
pub mod table;
pub mod takeover;
pub mod tls;
pub mod totals;
pub mod upgrade;
pub mod watch;
pub mod worker;
