//! Puts a new text in the place of the config file: whole or not at all, and only if the file is still what it was.
//!
//! For [`super::perform`], and for a command line that edits the file with no router running. Readers open either the old
//! file or the new one, never half of one, because the new text is written beside it and renamed into place. It keeps the
//! old one's permission bits, and its owner where we may give files away; ACLs and extended attributes are not carried
//! over. A symlink stays one: what it points to is replaced.
//!
//! Writers that come through here take turns. The turn is an advisory lock (flock) on the temporary file itself, whose
//! name is fixed (`.NAME.banyan-new`): whoever holds the lock, while that name still means the file it has locked, has
//! the turn. So a dead process leaves no lock, at most one leftover file, and no lock file lies about for ever.
//! An editor knows nothing of this lock. Its saving is noticed by the hash, which is looked at last right before the
//! rename; what it saves in the microseconds between these two calls is lost, as it is between any two editors.
//!
//! | a crash | leaves |
//! |---|---|
//! | before the text is written | the old file, perhaps an empty leftover |
//! | while it is written, or before the rename | the old file, and a leftover that the next turn takes over and empties |
//! | after the rename | the new file; after a loss of power either, but whole |
//! | after the directory is flushed | the new file |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::config::read_plain;

/// How long a writer waits for its turn.
pub const PATIENCE: Duration = Duration::from_secs(5);

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

/// SHA-256 in hex, as [`crate::config::Config::hash`] has it.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces the file at `path`, if the SHA-256 (hex) of its bytes is still `expected`.
pub fn replace(path: &Path, expected: &str, text: &str) -> Result<(), FileError> {
    Turn::take(path)?.put(expected, text)
}

/// The right to replace one file, held until it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// As the user named it.
    path: PathBuf,
    /// What it is behind its symlinks.
    target: PathBuf,
    temporary: PathBuf,
    file: File,
    is_put: bool,
}

impl Turn {
    /// Waits for the turn, for at most [`PATIENCE`]. Refuses a file that could not be replaced anyway.
    pub fn take(path: &Path) -> Result<Self, FileError> {
        let io = |doing, source| io_error(path, doing, source);
        refuse_config_map(path)?;
        let target = fs::canonicalize(path).map_err(|error| io("find", error))?;
        let metadata = fs::metadata(&target).map_err(|error| io("look at", error))?;
        if !metadata.is_file() {
            return Err(FileError::NotAFile { path: name(path) });
        }
        // The superuser may write everything, but somebody has said that this is not to be written.
        if metadata.permissions().readonly() {
            return Err(FileError::ReadOnly {
                path: name(path),
                what: "the file",
                why: "no write permission is set".to_owned(),
            });
        }
        let writable = OpenOptions::new().write(true).open(&target);
        writable.map_err(|error| denied(path, "the file", "open", error))?;
        let (Some(folder), Some(file_name)) = (target.parent(), target.file_name()) else {
            return Err(FileError::NotAFile { path: name(path) });
        };
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(file_name);
        temporary_name.push(".banyan-new");
        let temporary = folder.join(temporary_name);
        let file = lock(path, &temporary)?;
        Ok(Self {
            path: path.to_owned(),
            target,
            temporary,
            file,
            is_put: false,
        })
    }

    /// The bytes of the file as it is now.
    pub fn read(&self) -> Result<Vec<u8>, FileError> {
        read_plain(&self.target).map_err(|error| io_error(&self.path, "read", error))
    }

    /// Replaces the file, if the SHA-256 (hex) of its bytes is still `expected`.
    pub fn put(mut self, expected: &str, text: &str) -> Result<(), FileError> {
        self.check(expected)?;
        self.stage(text)
            .map_err(|error| io_error(&self.path, "write the new text beside", error))?;
        self.check(expected)?;
        fs::rename(&self.temporary, &self.target).map_err(|error| match error.kind() {
            ErrorKind::ResourceBusy => FileError::Mounted {
                path: name(&self.path),
            },
            _ => denied(&self.path, "its folder", "replace", error),
        })?;
        self.is_put = true;
        let flushed = self.target.parent().map(|folder| File::open(folder)?.sync_all());
        if let Some(Err(error)) = flushed {
            // The file is replaced for everybody who reads it. Only a loss of power in the next seconds could undo that.
            tracing::warn!(%error, "cannot flush the folder of {}", self.path.display());
        }
        Ok(())
    }

    fn check(&self, expected: &str) -> Result<(), FileError> {
        let found = sha256(&self.read()?);
        if found == expected {
            return Ok(());
        }
        let short = |hash: &str| hash.chars().take(12).collect();
        Err(FileError::Changed {
            path: name(&self.path),
            expected: short(expected),
            found: short(&found),
        })
    }

    /// Writes the new text to the temporary file, down to the disk.
    fn stage(&mut self, text: &str) -> io::Result<()> {
        let metadata = fs::metadata(&self.target)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        // Only the superuser may give a file away, but a member may give it to its group.
        if fchown(&self.file, Some(metadata.uid()), Some(metadata.gid())).is_err() {
            let _ = fchown(&self.file, None, Some(metadata.gid()));
        }
        self.file.set_permissions(metadata.permissions())?;
        self.file.sync_all()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Once it is put, the temporary name may be the next writer's already.
        if !self.is_put {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Opens the temporary file and locks it, such that its name still means this file.
fn lock(path: &Path, temporary: &Path) -> Result<File, FileError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // What is not a file was put there by somebody; opening a pipe would wait for ever.
        if fs::symlink_metadata(temporary).is_ok_and(|metadata| !metadata.is_file()) {
            let source = io::Error::other(format!("{} is in the way", temporary.display()));
            return Err(io_error(path, "write beside", source));
        }
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options
            .open(temporary)
            .map_err(|error| denied(path, "its folder", "write beside", error))?;
        if has_turn(&file, temporary).map_err(|error| io_error(path, "lock", error))? {
            return Ok(file);
        }
        if Instant::now() > deadline {
            return Err(FileError::Busy { path: name(path) });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Locks an open temporary file; whether that gives the turn. It does not if another has it, or has had it and renamed
/// or removed the file since it was opened here.
fn has_turn(file: &File, temporary: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(is_named(file, temporary)),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_named(file: &File, path: &Path) -> bool {
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => identity(&open) == identity(&named),
        _ => false,
    }
}

/// Kubernetes mounts `banyan.toml -> ..data/banyan.toml` and `..data -> ..2026_11_25_…`, and swaps the latter.
fn refuse_config_map(path: &Path) -> Result<(), FileError> {
    let is_data = |part: Component<'_>| part.as_os_str() == "..data";
    let mut next = path.to_owned();
    // As many links as the kernel follows.
    for _ in 0..40 {
        let Ok(link) = fs::read_link(&next) else { break };
        if link.components().any(is_data) {
            return Err(FileError::ConfigMap { path: name(path) });
        }
        next = next.parent().map_or(link.clone(), |folder| folder.join(&link));
    }
    match path.components().any(is_data) {
        true => Err(FileError::ConfigMap { path: name(path) }),
        false => Ok(()),
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn io_error(path: &Path, doing: &'static str, source: io::Error) -> FileError {
    FileError::Io {
        path: name(path),
        doing,
        source,
    }
}

fn denied(path: &Path, what: &'static str, doing: &'static str, error: io::Error) -> FileError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FileError::ReadOnly {
            path: name(path),
            what,
            why: error.to_string(),
        },
        _ => io_error(path, doing, error),
    }
}

#[cfg(test)]
mod tests;
