//! Passwords: Argon2id with the parameters that its crate recommends (RFC 9106), off the async threads.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::Error;

/// Hashes at once. Each takes about 19 MiB, and logging in must not crowd out everything else.
static PLACES: Semaphore = Semaphore::const_new(4);

/// A hash that no password has, as costly to check as any other.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

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
        let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
        known
            & Argon2::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok()
    })
    .await
}

async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let interrupted = || Error::Hash("interrupted".to_owned());
    let place = PLACES.acquire().await.map_err(|_| interrupted())?;
    let held = move || {
        // Held by the work, not by the request: a client that goes away does not stop the hashing.
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(held).await.map_err(|_| interrupted())
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
        assert!(!verify("correct horse".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn nobodys_hash_costs_as_much_as_any() {
        let real = hash("correct horse".into()).await.unwrap();
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!((cost(&real), real.len()), (cost(NOBODYS), NOBODYS.len()));
        // Refused by comparison, not because it could not be read.
        let refusal = Argon2::default().verify_password(b"x", NOBODYS).unwrap_err();
        assert_eq!(refusal, argon2::password_hash::Error::PasswordInvalid);
    }
}
