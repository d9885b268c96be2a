//! Puts a new text in the place of the config file: whole or not at all, and only if the file is still what it was.
//!
//! For [`super::perform`], and for a command line that edits the file with no router running. Readers open either the old
//! file or the new one, never half of one, because the new text is written beside it and renamed into place. It keeps the
//! old one's permission bits, and its owner where we may give files away; ACLs and extended attributes are not carried
//! over. A symlink stays one: what it points to is replaced.
//!
//! Writers that come through here take turns. The turn is two advisory locks (flock): on the temporary file, whose name is
//! fixed (`.NAME.banyan-new`), and on the config file, each held while the name still means the file that was locked. The
//! first lets one writer at a time write the new text. The second is what remains of the first after the rename, so that a
//! turn lasts until it is dropped, with what its holder has to write down after it. A dead process leaves no lock and at
//! most one leftover file, and no lock file lies about for ever.
//! An editor knows nothing of this lock. Its saving is noticed by the hash, which is looked at last right before the
//! rename; what it saves in the microseconds between these two calls is lost, as it is between any two editors.
//!
//! | a crash | leaves |
//! |---|---|
//! | before the text is written | the old file, perhaps an empty leftover |
//! | while it is written, or before the rename | the old file, and a leftover that the next turn takes over and empties |
//! | after the rename | the new file; after a loss of power either, but whole |
//! | after the directory is flushed | the new file |

mod error;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::config::read_plain;
pub use error::FileError;
use error::{denied, io_error, name};

/// How long a writer waits for its turn.
pub const PATIENCE: Duration = Duration::from_secs(5);

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
    /// The temporary file; after the rename, the config file.
    file: File,
    /// The config file as it was found, for its lock.
    before: Option<File>,
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
        let open_target = || {
            let open = OpenOptions::new().write(true).open(&target);
            open.map_err(|error| denied(path, "the file", "open", error))
        };
        open_target()?;
        let (Some(folder), Some(file_name)) = (target.parent(), target.file_name()) else {
            return Err(FileError::NotAFile { path: name(path) });
        };
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(file_name);
        temporary_name.push(".banyan-new");
        let temporary = folder.join(temporary_name);
        let deadline = Instant::now() + PATIENCE;
        let file = lock(path, &temporary, deadline, || open_temporary(path, &temporary))?;
        let mut turn = Self {
            path: path.to_owned(),
            target: target.clone(),
            temporary,
            file,
            before: None,
            is_put: false,
        };
        turn.before = Some(lock(path, &target, deadline, open_target)?);
        Ok(turn)
    }

    /// The bytes of the file as it is now.
    pub fn read(&self) -> Result<Vec<u8>, FileError> {
        read_plain(&self.target).map_err(|error| io_error(&self.path, "read", error))
    }

    /// Replaces the file, if the SHA-256 (hex) of its bytes is still `expected`. To be called once; the turn goes on until
    /// it is dropped.
    pub fn put(&mut self, expected: &str, text: &str) -> Result<(), FileError> {
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
        Err(FileError::changed(&self.path, expected, &found))
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

/// Opens the file that has this name and locks it, such that the name still means this file.
fn lock(
    path: &Path,
    named: &Path,
    deadline: Instant,
    open: impl Fn() -> Result<File, FileError>,
) -> Result<File, FileError> {
    loop {
        let file = open()?;
        if has_turn(&file, named).map_err(|error| io_error(path, "lock", error))? {
            return Ok(file);
        }
        if Instant::now() > deadline {
            return Err(FileError::Busy { path: name(path) });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn open_temporary(path: &Path, temporary: &Path) -> Result<File, FileError> {
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
    let opened = options.open(temporary);
    opened.map_err(|error| denied(path, "its folder", "write beside", error))
}

/// Locks an open file; whether that gives the turn. It does not if another has it, or has had it and renamed
/// or removed the file since it was opened here.
fn has_turn(file: &File, named: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(is_named(file, named)),
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

#[cfg(test)]
mod tests;
