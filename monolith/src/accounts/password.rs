//! Passwords: Argon2id with the parameters that its crate recommends (RFC 9106), off the async threads.

use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::Error;

/// Hashes at once. Each takes about 19 MiB, and logging in must not crowd out everything else.
static PLACES: Semaphore = Semaphore::const_new(4);

/// Hashes a new password.
pub(super) async fn hash(password: String) -> Result<String, Error> {
    work(move || {
        let hash = Argon2::default().hash_password(password.as_bytes());
        hash.map(|hash| hash.to_string())
            .map_err(|error| Error::Hash(error.to_string()))
    })
    .await?
}

/// Whether the password is the one that was hashed. Without a hash it takes as long and says no, so that the time an
/// answer takes does not tell which e-mail addresses are known.
pub(super) async fn verify(password: String, hash: Option<String>) -> Result<bool, Error> {
    work(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(nobodys_hash);
        known
            & Argon2::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok()
    })
    .await
}

async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let interrupted = || Error::Hash("interrupted".to_owned());
    let _place = PLACES.acquire().await.map_err(|_| interrupted())?;
    tokio::task::spawn_blocking(work).await.map_err(|_| interrupted())
}

fn nobodys_hash() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        Argon2::default()
            .hash_password(b"nobody")
            .map_or_else(|_| String::new(), |hash| hash.to_string())
    })
    .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_good_for_its_own_hash_alone() {
        let hash = hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!verify("battery staple".into(), Some(hash)).await.unwrap());
        assert!(!verify("nobody".into(), None).await.unwrap());
    }
}
