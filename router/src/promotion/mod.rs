//! Promotion: a route goes from the monolith to its service in steps, each on evidence, and comes back at once.
//!
//! For the operators' port, whose commands come here, and for modules that look after themselves ([`auto`]). What the next
//! step is and whether it needs a certificate is pure ([`steps`], [`wish`]); doing it is [`operator`]'s, through [`crate::switch`].

pub mod auto;
pub mod operator;
pub mod steps;
pub mod wish;
