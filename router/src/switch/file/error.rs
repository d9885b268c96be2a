//! Why a config file was not replaced, and what to do about it.
//!
//! For whoever gave the command: each error names the file and the remedy.

use std::io::{self, ErrorKind};
use std::path::Path;

#[cfg(doc)]
use super::PATIENCE;

/// Why the file was not replaced. In each of these cases it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its bytes are not those that the new text was made from.
    #[error(
        "{path} was changed meanwhile: its hash is {found}…, the edit was made for {expected}…; look at it and run the \
         command again"
    )]
    Changed {
        /// The file.
        path: String,
        /// The first 12 digits of the hash that was expected.
        expected: String,
        /// The first 12 digits of the hash that it has.
        found: String,
    },
    /// It is mounted from a ConfigMap, which Kubernetes alone writes.
    #[error(
        "{path} comes from a Kubernetes ConfigMap and cannot be written here; edit the ConfigMap: the router follows it"
    )]
    ConfigMap {
        /// The file.
        path: String,
    },
    /// It, or the folder that it is in, may not be written.
    #[error(
        "{path} cannot be replaced, {what} is read-only ({why}); give this user the right to write, or edit it elsewhere"
    )]
    ReadOnly {
        /// The file.
        path: String,
        /// Which of the two it is.
        what: &'static str,
        /// What the system says.
        why: String,
    },
    /// It is a folder, a pipe or a device.
    #[error("{path} is not a regular file; name the config file itself")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// It is mounted by itself, as containers do with single files, and such a file cannot be replaced.
    #[error(
        "{path} is mounted as a single file and cannot be replaced; mount the folder that it is in instead"
    )]
    Mounted {
        /// The file.
        path: String,
    },
    /// Another writer has had its turn for longer than [`PATIENCE`].
    #[error("another process is editing {path}; try again, and if this lasts, look for a banyan that hangs")]
    Busy {
        /// The file.
        path: String,
    },
    /// Anything else, such as a full disk.
    #[error("cannot {doing} {path}: {source}; mend that and run the command again")]
    Io {
        /// The file.
        path: String,
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl FileError {
    /// The file has another hash (SHA-256, hex) than was expected.
    pub fn changed(path: &Path, expected: &str, found: &str) -> Self {
        let short = |hash: &str| hash.chars().take(12).collect();
        Self::Changed {
            path: name(path),
            expected: short(expected),
            found: short(found),
        }
    }
}

/// The path as errors show it.
pub(super) fn name(path: &Path) -> String {
    path.display().to_string()
}

/// What went wrong while `doing` something with the file.
pub(super) fn io_error(path: &Path, doing: &'static str, source: io::Error) -> FileError {
    FileError::Io {
        path: name(path),
        doing,
        source,
    }
}

/// The same, where it may be a matter of rights; `what` is what they are missing for.
pub(super) fn denied(path: &Path, what: &'static str, doing: &'static str, error: io::Error) -> FileError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FileError::ReadOnly {
            path: name(path),
            what,
            why: error.to_string(),
        },
        _ => io_error(path, doing, error),
    }
}
