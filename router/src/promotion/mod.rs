//! Promotion: a route goes from the monolith to its service in steps, each on evidence, and comes back at once.
//!
//! For the operators' port, whose commands come here, and for the automatic controller ([`auto`]). What the next step is and
//! whether it needs a certificate is pure ([`steps`]); doing it is [`operator`]'s, through [`crate::switch`].

pub mod steps;
