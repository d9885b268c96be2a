//! A mistake in a config file, and the list of them that a refused file comes back with.
//!
//! For whoever has to mend the file: each entry says where (line and column), which key, what is wrong and what to write
//! instead. The text form is the one that editors and CI logs can jump from: `file:line:column: …`.

use std::fmt;

use serde::Serialize;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key it is about, as a dotted path; empty when it is about the file as a whole.
    pub key: String,
    /// What is wrong, naming the value.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// Why a file was refused: all its mistakes, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema, thiserror::Error)]
pub struct Refused {
    /// The file.
    pub file: String,
    /// At least one.
    pub faults: Vec<Fault>,
}

impl Refused {
    /// The file could not be read at all.
    pub(crate) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "create it, or name another with --config",
            std::io::ErrorKind::Other => "put the config there, or name another with --config",
            _ => "make it readable for this user, or name another with --config",
        };
        Self::whole(file, 1, 1, format!("cannot read the file: {error}"), remedy)
    }

    /// The file is not UTF-8.
    pub(super) fn not_text(file: &str, bytes: &[u8], error: &std::str::Utf8Error) -> Self {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Self::whole(
            file,
            line,
            column,
            "the file is not UTF-8 text".to_owned(),
            "save it as UTF-8",
        )
    }

    fn whole(file: &str, line: usize, column: usize, reason: String, remedy: &str) -> Self {
        let fault = Fault {
            line,
            column,
            key: String::new(),
            reason,
            remedy: remedy.to_owned(),
        };
        Self {
            file: file.to_owned(),
            faults: vec![fault],
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{fault}", self.file)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}
