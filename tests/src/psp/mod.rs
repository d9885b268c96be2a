//! The PSP simulator: a payment provider as shops know them, that answers slowly, twice, late or not at all.
//!
//! For the demo and the tests: a process of its own with books of its own, so that what the shop believes it was paid can be
//! held against what the provider says. It is strict where real ones are: an idempotency key makes one charge, a voided
//! key none, and every movement of money stands in a ledger that is only appended to.
//!
//! | payment method | what it does |
//! | --- | --- |
//! | `tok_ok` | charges |
//! | `tok_declined` | declines |
//! | `tok_slow` | charges after three seconds |
//! | `tok_timeout_after` | charges, but the first request with a key gets no answer for 30 s |
//! | `tok_timeout_before` | the first request with a key hangs for 30 s and charges nothing |
//! | `tok_twice` | charges, and sends its webhook twice |
//! | `tok_late` | answers 202 `pending`, charges two seconds later and tells by webhook |

mod books;
mod cli;
mod http;
mod model;
mod schema;
mod webhooks;

pub use cli::main;
