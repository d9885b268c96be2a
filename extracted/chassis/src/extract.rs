//! Extractors that name the field when a request cannot be read.
//!
//! They stand in for actix's `Json`, `Query` and `Path`, whose errors are plain text. A body that does not parse is
//! a 400, one that parses into forbidden values a 422; both list the fields.

mod idempotency;
mod nul;

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use garde::Validate;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_path_to_error::Segment;

use crate::problem::{FieldError, Problem};

pub use idempotency::{idempotency_key, idempotency_key_fault, idempotency_key_reused};

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// The body limit of a process, in bytes; kept as app data by [`crate::server`].
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);

/// A JSON body, read and validated.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Validate<Context = ()> + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            require_json(&request)?;
            let bytes = read(&request, &mut payload).await?;
            Ok(Self(parse(&bytes)?))
        })
    }
}

/// A JSON body like [`Json`], with its bytes, where the exact body matters (idempotency).
#[derive(Debug)]
pub struct JsonBytes<T>(pub T, pub web::Bytes);

impl<T: DeserializeOwned + Validate<Context = ()> + 'static> FromRequest for JsonBytes<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            require_json(&request)?;
            let bytes = read(&request, &mut payload).await?;
            Ok(Self(parse(&bytes)?, bytes))
        })
    }
}

/// Reads and validates a JSON document.
pub fn parse<T: DeserializeOwned + Validate<Context = ()>>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| unreadable("The body could not be read.", &error))?;
    reader
        .end()
        .map_err(|error| Problem::bad_request(format!("The body could not be read: {error}.")))?;
    nul::refuse_in_body(bytes)?;
    validate(&value)?;
    Ok(value)
}

/// Checks a value by its own rules; a breach is a 422 that lists every field.
pub fn validate<T: Validate<Context = ()>>(value: &T) -> Result<(), Problem> {
    value.validate().map_err(|report| {
        let fields = report.iter().map(|(path, error)| FieldError {
            field: path.to_string(),
            message: error.message().to_owned(),
        });
        Problem::validation(fields.collect())
    })
}

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
        if let Err(refusal) = nul::refuse_in_query(pairs) {
            return std::future::ready(Err(refusal));
        }
        let reader = serde_urlencoded::Deserializer::new(pairs);
        let value = serde_path_to_error::deserialize(reader)
            .map_err(|error| unreadable("A query parameter could not be read.", &error));
        std::future::ready(value.map(Self))
    }
}

/// The parameters in the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if let Err(refusal) = nul::refuse_in_path(request) {
            return std::future::ready(Err(refusal));
        }
        let read = match request.match_info().load::<Located<T>>() {
            Ok(Located(read)) => read,
            Err(error) => Err((0, error.to_string())),
        };
        std::future::ready(read.map(Self).map_err(|(index, message)| {
            let mut names = request.match_info().iter().map(|(name, _)| name);
            let name = names.nth(index).unwrap_or("path").to_owned();
            Problem::bad_request("A path parameter could not be read.").field(name, message)
        }))
    }
}

/// What was read, or why not and at which of several parameters.
struct Located<T>(Result<T, (usize, String)>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let read = serde_path_to_error::deserialize(reader).map_err(|error| {
            let index = match error.path().iter().next() {
                Some(Segment::Seq { index }) => *index,
                _ => 0,
            };
            (index, error.inner().to_string())
        });
        Ok(Self(read))
    }
}

fn require_json(request: &HttpRequest) -> Result<(), Problem> {
    let given = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let title = "The body is of a type that is not taken";
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        title,
    )
    .detail("Send the body as application/json."))
}

/// Reads a whole body, up to the limit of this process.
pub async fn read(request: &HttpRequest, payload: &mut Payload) -> Result<web::Bytes, Problem> {
    let limit = request
        .app_data::<web::Data<BodyLimit>>()
        .map_or(256 * 1024, |limit| limit.0);
    let payload = web::Payload::from_request(request, payload)
        .await
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    let bytes = payload
        .to_bytes_limited(limit)
        .await
        .map_err(|_| {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
            )
            .detail(format!("At most {limit} bytes are taken."))
        })?
        .map_err(|error| Problem::bad_request(format!("The body could not be read: {error}.")))?;
    Ok(bytes)
}

/// A 400 that names the field at which reading stopped.
fn unreadable<E: std::fmt::Display>(detail: &str, error: &serde_path_to_error::Error<E>) -> Problem {
    let message = error.inner().to_string();
    let path = error.path().to_string();
    // Serde reports a missing or unknown field at its parent; the name stands in backquotes in the message.
    let named = message
        .strip_prefix("missing field `")
        .or_else(|| message.strip_prefix("unknown field `"))
        .and_then(|rest| rest.split('`').next());
    let field = match (path.as_str(), named) {
        (".", Some(name)) => name.to_owned(),
        (parent, Some(name)) if !parent.ends_with(name) => format!("{parent}.{name}"),
        ("." | "?", None) => return Problem::bad_request(format!("{detail} {message}.")),
        (path, _) => path.to_owned(),
    };
    Problem::bad_request(detail).field(field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Price {
        #[garde(range(min = 0))]
        amount: i64,
    }

    #[derive(Debug, serde::Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Product {
        #[garde(length(min = 1, max = 5))]
        #[allow(dead_code)]
        name: String,
        #[garde(dive)]
        price: Price,
    }

    fn field_at_fault(body: &str) -> (u16, String) {
        let problem = parse::<Product>(body.as_bytes()).unwrap_err();
        (
            problem.status,
            problem
                .errors
                .first()
                .map_or_else(String::new, |error| error.field.clone()),
        )
    }

    #[test]
    fn each_way_to_be_wrong_names_its_field() {
        let cases = [
            (r#"{"name":"a","price":{"amount":"1"}}"#, 400, "price.amount"),
            (r#"{"name":"a","price":{}}"#, 400, "price.amount"),
            (r#"{"price":{"amount":1}}"#, 400, "name"),
            (r#"{"name":"a","price":{"amount":1},"x":1}"#, 400, "x"),
            (r#"{"name":"a","price":{"amount":1,"y":1}}"#, 400, "price.y"),
            (r#"{"name":"","price":{"amount":1}}"#, 422, "name"),
            (r#"{"name":"a","price":{"amount":-1}}"#, 422, "price.amount"),
            (r#"{"name":"a""#, 400, ""),
        ];
        for (body, status, field) in cases {
            assert_eq!(field_at_fault(body), (status, field.to_owned()), "{body}");
        }
        assert_eq!(
            parse::<Product>(br#"{"name":"a","price":{"amount":7}}"#)
                .unwrap()
                .price
                .amount,
            7
        );
    }

    #[actix_web::test]
    async fn of_several_path_parameters_the_one_at_fault_is_named() {
        let path = |id: &'static str, address: &'static str| {
            let request = actix_web::test::TestRequest::default()
                .param("id", id)
                .param("address_id", address);
            Path::<(i64, i64)>::from_request(&request.to_http_request(), &mut Payload::None).into_inner()
        };
        let fault = |id, address| path(id, address).unwrap_err().errors[0].field.clone();
        assert_eq!(path("1", "2").unwrap().0, (1, 2));
        assert_eq!(fault("1", "x"), "address_id");
        assert_eq!(fault("x", "2"), "id");
    }
}
