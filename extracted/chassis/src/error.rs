//! Errors in words.

use std::error::Error;
use std::iter;

/// An error with its causes, in one line: `database: statement failed: no such table`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let told: Vec<String> = causes(error).map(ToString::to_string).collect();
    told.join(": ")
}

/// The cause at the bottom, such as `Connection refused`: the layers of an HTTP client above it only say that a request failed.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The error, what caused it, what caused that, and so on.
pub fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn every_cause_is_told_once() {
        let inner = "x".parse::<i32>().unwrap_err();
        assert_eq!(chain(&Outer(inner)), "outer: invalid digit found in string");
        let inner = "x".parse::<i32>().unwrap_err();
        assert_eq!(innermost(&Outer(inner)), "invalid digit found in string");
    }
}
