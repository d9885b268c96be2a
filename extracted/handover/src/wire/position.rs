//! A place in the history of a module's data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `EPOCH-NUMBER`: ordered by epoch, then by number. Every acknowledged write has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    /// The pen's epoch.
    pub epoch: u64,
    /// A number that the holder gives; on PostgreSQL a transaction's, on SQLite a change's.
    pub number: u64,
}

/// What is said of a text that is no position.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no position: it must be two decimal numbers, as in `7-4711`")]
pub struct NotAPosition(String);

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let number = |part: &str| {
            let is_plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| part.parse::<u64>().ok()).flatten()
        };
        text.split_once('-')
            .and_then(|(epoch, of)| {
                Some(Self {
                    epoch: number(epoch)?,
                    number: number(of)?,
                })
            })
            .ok_or_else(|| NotAPosition(text.to_owned()))
    }
}

impl TryFrom<String> for Position {
    type Error = NotAPosition;

    fn try_from(text: String) -> Result<Self, NotAPosition> {
        text.parse()
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_by_epoch_and_then_by_number() {
        let position = |text: &str| text.parse::<Position>().unwrap();
        assert!(position("2-1") > position("1-900") && position("1-10") > position("1-9"));
        assert_eq!(position("7-4711").to_string(), "7-4711");
        for bad in [
            "",
            "7",
            "7-",
            "-1",
            "+7-1",
            "7-1-1",
            "7-x",
            "7-99999999999999999999",
        ] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
