//! Which build this process is, told on every answer, so that whoever compares builds knows when one has changed.
//!
//! For the server. A router's evidence about one build must not be taken for evidence about the next one.

use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::DefaultHeaders;

/// The header that carries it.
pub const BUILD_ID: HeaderName = HeaderName::from_static("x-build-id");

/// What `BUILD_ID` says in the environment, as a release pipeline sets it. Without it, size and age of the program's own
/// file: the same for all processes that run the same file, another as soon as it is built anew.
static ID: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let said = std::env::var("BUILD_ID").ok().filter(|id| !id.is_empty());
    said.or_else(own_file)
        .and_then(|id| HeaderValue::from_str(&id).ok())
});

fn own_file() -> Option<String> {
    let file = std::env::current_exe().ok()?.metadata().ok()?;
    let age = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{:x}-{:x}", file.len(), age.as_millis()))
}

/// Adds the header to every answer.
pub(crate) fn header() -> DefaultHeaders {
    let headers = DefaultHeaders::new();
    match &*ID {
        Some(id) => headers.add((BUILD_ID, id.clone())),
        None => headers,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, web};

    use super::*;

    #[actix_web::test]
    async fn every_answer_of_a_build_names_the_same_build() {
        let app = App::new().route("/a", web::get().to(async || "a")).wrap(header());
        let app = init_service(app).await;
        let mut ids = Vec::new();
        for path in ["/a", "/nothing"] {
            let answer = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            ids.push(answer.headers().get(BUILD_ID).cloned().unwrap());
        }
        assert_eq!(ids[0], ids[1]);
        assert!(!ids[0].is_empty());
    }
}
