//! The token that both sides and the coordinator show each other.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use chassis::config::Secret;
use subtle::ConstantTimeEq;

/// The token.
#[derive(Clone, Debug)]
pub struct Token(Secret);

/// Why the token cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or made.
    #[error("the hand-over's token `{0}`: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Others can read the file.
    #[error("the hand-over's token `{0}` can be read by others; `chmod 600` it")]
    Open(PathBuf),
    /// There is nothing in it.
    #[error(
        "the hand-over's token `{0}` is shorter than 16 characters; put a long random word there, or remove it and it is made"
    )]
    Short(PathBuf),
}

impl Token {
    /// Reads the file, and makes it first if there is none. Two processes that start at once end with the same token.
    pub fn open(file: &Path) -> Result<Self, TokenError> {
        let failed = |error| TokenError::File(file.to_owned(), error);
        if let Err(error) = make(file)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed(error));
        }
        let mode = fs::metadata(file).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(TokenError::Open(file.to_owned()));
        }
        let token = fs::read_to_string(file).map_err(failed)?.trim().to_owned();
        if token.len() < 16 {
            return Err(TokenError::Short(file.to_owned()));
        }
        Ok(Self(Secret::new(token)))
    }

    /// The token itself, for the client that shows it.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Whether a request shows it. Takes the same time for every wrong one of the same length.
    pub(super) fn is_shown_by(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION);
        let (Some(value), None) = (given.next(), given.next()) else {
            return false;
        };
        let Some((scheme, shown)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return false;
        };
        scheme.eq_ignore_ascii_case("bearer") && bool::from(shown.as_bytes().ct_eq(self.reveal().as_bytes()))
    }
}

/// Writes a new token beside the file and links it into place: nobody ever reads half of one.
fn make(file: &Path) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", uuid::Uuid::new_v4()));
    let beside = PathBuf::from(beside);
    let token = format!(
        "{}{}\n",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    let mut written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let made = written
        .write_all(token.as_bytes())
        .and_then(|()| written.sync_all());
    let linked = made.and_then(|()| fs::hard_link(&beside, file));
    fs::remove_file(&beside)?;
    linked
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_bearer_is_let_in() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let (first, second) = (Token::open(&file).unwrap(), Token::open(&file).unwrap());
        assert_eq!(first.reveal(), second.reveal());
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                HeaderName::from_static("authorization"),
                HeaderValue::from_str(value).unwrap(),
            );
            first.is_shown_by(&headers)
        };
        assert!(shown(&format!("Bearer {}", first.reveal())));
        for wrong in [
            "Bearer x",
            "Bearer ",
            "",
            &format!("Basic {}", first.reveal()),
            first.reveal(),
        ] {
            assert!(!shown(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_token_that_others_can_read_or_guess_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "0123456789abcdef0123").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::open(&file), Err(TokenError::Open(_))));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Token::open(&file).is_ok());
        fs::write(&file, "short").unwrap();
        assert!(matches!(Token::open(&file), Err(TokenError::Short(_))));
    }
}
