//! The operators' token: who knows it may switch routes.
//!
//! For the admin port, which asks for it, and for the command line, which sends it. It lies in a file beside the config, for
//! the router's user alone; the first router to start makes it. `BANYAN_ADMIN_TOKEN` goes before the file, for both. It is
//! never logged or printed: [`Token`] shows nothing of itself.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The environment variable that goes before the file.
pub const VARIABLE: &str = "BANYAN_ADMIN_TOKEN";

/// The fewest characters that are taken for a token; one of ours has 64.
const SHORTEST: usize = 32;
const LONGEST: usize = 1024;

/// A token.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no file.
    #[error(
        "there is no token at {0}; the router makes it when it starts. Start it with `banyan serve`, or set {VARIABLE}"
    )]
    Missing(PathBuf),
    /// The file or the variable holds something else.
    #[error(
        "{0} holds no token: it takes {SHORTEST} to {LONGEST} visible ASCII characters; remove it, and the next start of \
         the router makes a new one"
    )]
    Unfit(String),
    /// The file cannot be read.
    #[error("the token at {path} cannot be read: {source}; run this as the router's user, or set {VARIABLE}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error(
        "the token cannot be written to {path}: {source}; name another place with admin_token_file in [router], or set \
         {VARIABLE}"
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Token {
    /// The token of the environment, or else that of the file, which is made if there is none. For the router.
    pub fn open(file: &Path) -> Result<Self, TokenError> {
        match Self::find(file) {
            Err(TokenError::Missing(_)) => {}
            found => return found,
        }
        make(file).map_err(|source| TokenError::Unwritable {
            path: file.to_owned(),
            source,
        })?;
        // Another router may have been faster; then its token is the one.
        Self::find(file)
    }

    /// The token of the environment, or else that of the file. For the command line.
    pub fn find(file: &Path) -> Result<Self, TokenError> {
        match std::env::var(VARIABLE) {
            Ok(token) if !token.is_empty() => Self::read(&token, VARIABLE),
            _ => Self::read_file(file),
        }
    }

    fn read_file(file: &Path) -> Result<Self, TokenError> {
        let unreadable = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => TokenError::Missing(file.to_owned()),
            _ => TokenError::Unreadable {
                path: file.to_owned(),
                source,
            },
        };
        let opened = fs::File::open(file).map_err(unreadable)?;
        let mode = opened.metadata().map_err(unreadable)?.mode();
        if mode & 0o077 != 0 {
            tracing::warn!(
                "others may read or write {}, which lets them switch routes; chmod 600 it",
                file.display()
            );
        }
        let mut text = String::new();
        let limit = LONGEST as u64 + 64;
        opened.take(limit).read_to_string(&mut text).map_err(unreadable)?;
        Self::read(&text, &file.display().to_string())
    }

    fn read(text: &str, place: &str) -> Result<Self, TokenError> {
        let token = text.trim();
        let is_fit =
            (SHORTEST..=LONGEST).contains(&token.len()) && token.chars().all(|c| c.is_ascii_graphic());
        match is_fit {
            true => Ok(Self(token.to_owned())),
            false => Err(TokenError::Unfit(place.to_owned())),
        }
    }

    /// Whether this is it. How long that takes says nothing about the token, nor about its length.
    pub fn is(&self, presented: &[u8]) -> bool {
        let (ours, theirs) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(presented));
        ours.as_slice().ct_eq(theirs.as_slice()).into()
    }

    /// The value of `Authorization`.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Writes a new token beside the file and links it into place. The link is refused if the file is there by now, so of two
/// routers that start at the same time one makes the token and both use it; nobody ever reads half of one.
fn make(file: &Path) -> io::Result<()> {
    let hex = |bytes: [u8; 32]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let token = hex(rand::random());
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{:08x}", std::process::id(), rand::random::<u32>()));
    let beside = file.with_file_name(name);
    let mut options = OpenOptions::new();
    let mut written = options.write(true).create_new(true).mode(0o600).open(&beside)?;
    let made = written
        .write_all(format!("{token}\n").as_bytes())
        .and_then(|()| written.sync_all())
        .and_then(|()| fs::hard_link(&beside, file));
    fs::remove_file(&beside)?;
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Ok(()) => {
            tracing::info!("made a new token for operators: {}", file.display());
            Ok(())
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_that_start_at_the_same_time_agree_on_one_token_that_nobody_else_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || Token::open(&file).unwrap())
            })
            .collect();
        let tokens: Vec<Token> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(
            tokens
                .iter()
                .all(|token| token.0 == tokens[0].0 && token.0.len() == 64)
        );
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left over"
        );
    }

    #[test]
    fn only_the_token_is_the_token_and_it_does_not_show_itself() {
        let text = "0123456789abcdef0123456789abcdef";
        let token = Token::read(&format!(" {text}\n"), "test").unwrap();
        assert!(token.is(text.as_bytes()));
        for wrong in ["", "0", &text[..31], &format!("{text}0"), &text.to_uppercase()] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn what_is_empty_short_or_binary_is_refused_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for bad in [
            "",
            "\n",
            "short",
            &"ü".repeat(40),
            &"a ".repeat(40),
            &"a".repeat(2000),
        ] {
            fs::write(&file, bad).unwrap();
            let error = Token::open(&file).unwrap_err();
            assert!(matches!(error, TokenError::Unfit(_)), "{bad}: {error}");
            assert!(error.to_string().contains("remove it"));
        }
        let nowhere = folder.path().join("missing/token");
        assert!(matches!(Token::find(&nowhere), Err(TokenError::Missing(_))));
        assert!(matches!(
            Token::open(&nowhere),
            Err(TokenError::Unwritable { .. })
        ));
    }
}
