//! The `Idempotency-Key` header: what a client calls one request, so that it may send it again.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;

use crate::problem::Problem;

/// The longest key that is taken. Keys are indexed, and PostgreSQL refuses index entries of some kilobytes.
const MAX: usize = 255;

/// The key of a request, if it has one. An empty key is refused: it would call the requests of many clients the same.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut given = request.headers().get_all("idempotency-key");
    let Some(key) = given.next() else {
        return Ok(None);
    };
    let key = key.as_bytes();
    let is_good = (1..=MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if !is_good || given.next().is_some() {
        return Err(idempotency_key_fault());
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}

/// What is said where a key is needed and there is none, or none that can be taken.
pub fn idempotency_key_fault() -> Problem {
    Problem::bad_request("A header is missing or cannot be read.").field(
        "Idempotency-Key",
        format!("must be 1 to {MAX} visible ASCII characters, new for each request that is not a repetition"),
    )
}

/// What is said of a key that came before with another body.
pub fn idempotency_key_reused(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The key stands for something else",
    )
    .detail(detail)
    .field("Idempotency-Key", "was used with another body")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(keys: &[&str]) -> Result<Option<String>, u16> {
        let given = |request: TestRequest, key: &&str| request.append_header(("idempotency-key", *key));
        let request = keys.iter().fold(TestRequest::default(), given);
        idempotency_key(&request.to_http_request()).map_err(|problem| problem.status)
    }

    #[test]
    fn a_key_is_one_short_word() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["k-1"]), Ok(Some("k-1".to_owned())));
        assert!(read(&[&"k".repeat(255)]).is_ok());
        for bad in [&[""][..], &["a b"], &[&"k".repeat(256)], &["a", "a"]] {
            assert_eq!(read(bad), Err(400), "{bad:?}");
        }
    }
}
