//! Who may write here, and whether anybody may.
//!
//! While another process owns the catalog, writes are refused before their body is read, with a 421 that promises that
//! nothing happened: whoever sent the request may send it to the owner without fear of doing it twice. The session is
//! checked first, so that a stranger learns nothing of who owns what.
//!
//! This is for a service that takes part in no hand-over. Where there is a pen, the database looks at it in the write's own
//! transaction, and `handover::gate` tells the refusal: then nothing is refused here.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest, web};
use chassis::auth::Identity;
use chassis::problem::Problem;

use crate::Catalog;
use crate::config::Writes;

/// Who owns the catalog as long as this service does not.
const OWNER: &str = "monolith";

/// A session, on a service that takes writes. Whether it is staff is asked once the body is known to be well-formed.
pub(super) struct Writer(Identity);

impl Writer {
    /// Refuses all but staff.
    pub(super) fn require_staff(&self) -> Result<(), Problem> {
        self.0.require_staff()
    }

    /// Whose idempotency keys these are, in the words of the monolith: keys travel.
    pub(super) fn key_scope(&self) -> String {
        self.0.key_scope()
    }
}

impl FromRequest for Writer {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let accepts = request
            .app_data::<web::Data<Catalog>>()
            .is_some_and(|catalog| catalog.writes == Writes::Accept);
        let identity = Identity::from_request(request, payload);
        Box::pin(async move {
            let identity = identity.await?;
            if accepts {
                return Ok(Self(identity));
            }
            identity.require_staff()?;
            Err(not_the_owner())
        })
    }
}

fn not_the_owner() -> Problem {
    Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "not-the-owner",
        "Another process owns this data",
    )
    .detail(format!(
        "The catalog is owned by `{OWNER}`. Nothing was changed here; send the request there."
    ))
    .header(HeaderName::from_static("x-owner"), OWNER)
}
