//! Session tokens that any process can check without asking the one that made them.
//!
//! A token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037): the issuer holds the private key, everybody else the
//! public one. A service that only verifies therefore cannot forge, and cannot know that a session was ended early:
//! tokens are short-lived, and the issuer itself also asks its own session table.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use openssl::pkey::PKey;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// Who made the token.
const ISSUER: &str = "banyan-shop";

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and changes what is its own.
    Customer,
    /// Runs the shop.
    Staff,
    /// Another process of the shop.
    Service,
}

/// The claims of a session token (RFC 7519, section 4.1, and our own).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Customer id for customers; a name for staff and services.
    pub sub: String,
    /// What the session may do.
    pub role: Role,
    /// The session in the issuer's table; none for tokens made on the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<i64>,
    /// Issued at, in seconds since 1970.
    pub iat: i64,
    /// Good until, in seconds since 1970.
    pub exp: i64,
}

impl Claims {
    /// Claims of a session that starts now and is good for `ttl_seconds`.
    pub fn starting_now(sub: impl Into<String>, role: Role, sid: Option<i64>, ttl_seconds: i64) -> Self {
        let iat = crate::time::now().and_utc().timestamp();
        Self {
            iss: ISSUER.to_owned(),
            sub: sub.into(),
            role,
            sid,
            iat,
            exp: iat + ttl_seconds,
        }
    }
}

/// Why a key or a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("key file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file holds no key of the right kind.
    #[error("no Ed25519 key in PEM: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// A new key could not be made.
    #[error("a new key could not be made: {0}")]
    Generate(#[from] openssl::error::ErrorStack),
}

/// Makes tokens.
#[derive(Clone)]
pub struct Issuer(EncodingKey);

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    /// Reads the private key from `path`. If there is no such file, makes a key, readable by its owner alone, and
    /// puts the public key beside it as `<path>.pub`.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        if !path.exists() {
            generate(path)?;
        }
        Ok(Self(EncodingKey::from_ed_pem(&read(path)?)?))
    }

    /// Signs the claims.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        Ok(jsonwebtoken::encode(
            &Header::new(Algorithm::EdDSA),
            claims,
            &self.0,
        )?)
    }
}

fn generate(path: &Path) -> Result<(), KeyError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let key = PKey::generate_ed25519()?;
    let failed = |source| KeyError::File {
        path: path.display().to_string(),
        source,
    };
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    std::fs::write(&public, key.public_key_to_pem()?).map_err(failed)?;
    let private = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    private
        .and_then(|mut file| file.write_all(&key.private_key_to_pem_pkcs8().unwrap_or_default()))
        .map_err(failed)
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    std::fs::read(path).map_err(|source| KeyError::File {
        path: path.display().to_string(),
        source,
    })
}

/// Asks the issuer's table whether a session still runs.
pub type SessionCheck =
    Arc<dyn Fn(i64) -> Pin<Box<dyn Future<Output = Result<bool, Problem>>>> + Send + Sync>;

/// Checks tokens.
#[derive(Clone)]
pub struct Verifier {
    key: DecodingKey,
    sessions: Option<SessionCheck>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Reads the public key from `path`.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        Ok(Self {
            key: DecodingKey::from_ed_pem(&read(path)?)?,
            sessions: None,
        })
    }

    /// Also asks whether the session of a token was ended; for the issuer itself.
    #[must_use]
    pub fn asking(mut self, sessions: SessionCheck) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// The claims of a token that is signed, ours and not expired.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "iss", "sub"]);
        rules.leeway = 5;
        jsonwebtoken::decode(token, &self.key, &rules)
            .ok()
            .map(|token| token.claims)
    }

    async fn identify(&self, token: &str) -> Result<Identity, Problem> {
        let refusal = || Problem::unauthorized("The session token is not valid, or no longer.");
        let claims = self.verify(token).ok_or_else(refusal)?;
        if let (Some(sessions), Some(sid)) = (&self.sessions, claims.sid)
            && !sessions(sid).await?
        {
            return Err(refusal());
        }
        Ok(Identity(claims))
    }
}

/// The session behind a request. As an argument of a handler it makes a valid token a condition.
#[derive(Clone, Debug)]
pub struct Identity(pub Claims);

impl Identity {
    /// The customer, if it is one.
    pub fn customer(&self) -> Option<i64> {
        (self.0.role == Role::Customer)
            .then(|| self.0.sub.parse().ok())
            .flatten()
    }

    /// Whose idempotency keys this one's are: the same key of another session is another key. Stored beside each key, and it travels with
    /// it, so every process must say it in the same words.
    pub fn key_scope(&self) -> String {
        match self.customer() {
            Some(customer) => format!("customer {customer}"),
            None => format!("staff {}", self.0.sub),
        }
    }

    /// Whether this is staff. Services count as staff: they act for it.
    pub fn is_staff(&self) -> bool {
        self.0.role != Role::Customer
    }

    /// Refuses all but staff.
    pub fn require_staff(&self) -> Result<(), Problem> {
        if self.is_staff() {
            Ok(())
        } else {
            Err(Problem::forbidden("This is for staff."))
        }
    }

    /// Refuses all but other processes of the shop.
    pub fn require_service(&self) -> Result<(), Problem> {
        if self.0.role == Role::Service {
            Ok(())
        } else {
            Err(Problem::forbidden("This is for services."))
        }
    }

    /// Whether this session may see what belongs to `customer`.
    pub fn may_see(&self, customer: Option<i64>) -> bool {
        self.is_staff() || (customer.is_some() && self.customer() == customer)
    }
}

impl FromRequest for Identity {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let verifier = request.app_data::<web::Data<Verifier>>().cloned();
        let token = bearer(request);
        Box::pin(async move {
            let Some(verifier) = verifier else {
                return Err(Problem::unauthorized("No session key is configured here."));
            };
            let token = token.ok_or_else(|| Problem::unauthorized("Send `Authorization: Bearer …`."))?;
            verifier.identify(&token).await
        })
    }
}

fn bearer(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(dir: &tempfile::TempDir, name: &str) -> (Issuer, Verifier) {
        let path = dir.path().join(name);
        let issuer = Issuer::open(&path).unwrap();
        (
            issuer,
            Verifier::open(&dir.path().join(format!("{name}.pub"))).unwrap(),
        )
    }

    #[test]
    fn a_token_is_good_for_its_own_key_and_time_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (issuer, verifier) = pair(&dir, "a");
        let (_, stranger) = pair(&dir, "b");
        let claims = Claims::starting_now("7", Role::Customer, Some(1), 60);
        let token = issuer.sign(&claims).unwrap();
        assert_eq!(verifier.verify(&token), Some(claims));
        assert_eq!(stranger.verify(&token), None);
        let expired = issuer
            .sign(&Claims::starting_now("7", Role::Customer, None, -60))
            .unwrap();
        assert_eq!(verifier.verify(&expired), None);
    }

    #[test]
    fn the_private_key_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        pair(&dir, "a");
        let mode = std::fs::metadata(dir.path().join("a"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
