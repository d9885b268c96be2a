//! Reads what operators send, and names the field when it cannot be read.
//!
//! For the handlers of the admin port. Bodies are JSON of a bounded length, and a key that nobody knows is refused: a slip
//! in a wish must not become another wish.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Bytes of a body at the most.
const LONGEST: usize = 64 * 1024;

/// A JSON body.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            require_json(&request)?;
            let bytes = read(&request, &mut payload).await?;
            let mut reader = serde_json::Deserializer::from_slice(&bytes);
            let value =
                serde_path_to_error::deserialize(&mut reader).map_err(|error| unreadable("body", &error))?;
            let ended = reader.end();
            ended.map_err(|error| Problem::field(StatusCode::BAD_REQUEST, "body", error.to_string()))?;
            Ok(Self(value))
        })
    }
}

/// The query.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
        // PostgreSQL keeps no text with it, so it can be the name of nothing.
        let mut texts = pairs;
        if let Some((name, _)) = texts.find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            let refusal = Problem::field(
                StatusCode::BAD_REQUEST,
                name,
                "it must not hold the character U+0000",
            );
            return std::future::ready(Err(refusal));
        }
        let reader = serde_urlencoded::Deserializer::new(pairs);
        let read = serde_path_to_error::deserialize(reader).map_err(|error| unreadable("query", &error));
        std::future::ready(read.map(Self))
    }
}

fn require_json(request: &HttpRequest) -> Result<(), Problem> {
    let given = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or("").split(';').next().unwrap_or("").trim();
    match essence.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body is of a type that is not taken",
            "send it as application/json",
        )),
    }
}

async fn read(request: &HttpRequest, payload: &mut Payload) -> Result<web::Bytes, Problem> {
    let broken =
        |error: &dyn std::fmt::Display| Problem::field(StatusCode::BAD_REQUEST, "body", error.to_string());
    let payload = web::Payload::from_request(request, payload);
    let payload = payload.await.map_err(|error| broken(&error))?;
    let bytes = payload.to_bytes_limited(LONGEST).await.map_err(|_| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            format!("at most {LONGEST} bytes are taken"),
        )
    })?;
    bytes.map_err(|error| broken(&error))
}

/// A 400 that names the field at which reading stopped.
fn unreadable<E: std::fmt::Display>(whole: &str, error: &serde_path_to_error::Error<E>) -> Problem {
    let (message, path) = (error.inner().to_string(), error.path().to_string());
    // A field that is missing or unknown is reported where it would stand; its name is in the message.
    let named = message
        .strip_prefix("missing field `")
        .or_else(|| message.strip_prefix("unknown field `"))
        .and_then(|rest| rest.split('`').next());
    let field = match (path.as_str(), named) {
        (".", Some(name)) => name.to_owned(),
        (parent, Some(name)) if !parent.ends_with(name) => format!("{parent}.{name}"),
        ("." | "?", None) => whole.to_owned(),
        (path, _) => path.to_owned(),
    };
    Problem::field(StatusCode::BAD_REQUEST, field, message)
}
