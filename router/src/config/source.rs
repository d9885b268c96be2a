//! The config file's bytes, with an end to how long and how much is read.
//!
//! For whoever reads the file while the router runs: a name that leads to a pipe, a device or a disk image by mistake must
//! cost no memory and no waiting, or no later file would be taken.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// More than any config needs: ten thousand routes take one MiB.
const MAX: u64 = 16 << 20;

/// Reads a file that must be a plain one.
pub fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    read_whole(path)
}

/// The same for whoever must not wait for a disk.
pub async fn read_aside(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read_plain(&path)).await;
    reading.unwrap_or_else(|error| Err(error.into()))
}

/// Reads whatever can be read, a pipe as well: `banyan check /dev/stdin`.
pub(super) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX >> 20)));
    }
    Ok(bytes)
}
