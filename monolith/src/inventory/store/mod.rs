//! The SQL of the inventory, and nothing else: levels, reservations, movements.

pub(crate) mod levels;
pub(crate) mod movements;
pub(crate) mod reservations;

#[cfg(test)]
mod tests;
