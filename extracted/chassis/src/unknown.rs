//! Answers for requests that no operation takes: 404 for an unknown path, 405 with `Allow` for an unknown method.
//!
//! Which paths and methods there are is read from the OpenAPI document, so that it cannot drift from the routes.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use utoipa::openapi::{OpenApi, PathItem};

use crate::problem::Problem;

/// The paths of a process and the methods of each.
#[derive(Clone, Debug)]
pub struct KnownPaths(Vec<(Vec<String>, Vec<&'static str>)>);

impl KnownPaths {
    /// Reads them from the document.
    pub fn of(document: &OpenApi) -> Self {
        let segments = |path: &str| path.split('/').map(str::to_owned).collect();
        Self(
            document
                .paths
                .paths
                .iter()
                .map(|(path, item)| (segments(path), methods(item)))
                .collect(),
        )
    }

    fn allowed(&self, path: &str) -> Vec<&'static str> {
        let segments: Vec<&str> = path.split('/').collect();
        let same = |template: &[String]| {
            template.len() == segments.len()
                && template
                    .iter()
                    .zip(&segments)
                    .all(|(t, s)| t == s || (t.starts_with('{') && !s.is_empty()))
        };
        self.0
            .iter()
            .filter(|(template, _)| same(template))
            .flat_map(|(_, methods)| methods.clone())
            .collect()
    }
}

fn methods(item: &PathItem) -> Vec<&'static str> {
    let operations = [
        ("GET", item.get.is_some()),
        ("HEAD", item.get.is_some()),
        ("POST", item.post.is_some()),
        ("PUT", item.put.is_some()),
        ("PATCH", item.patch.is_some()),
        ("DELETE", item.delete.is_some()),
    ];
    operations
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| name)
        .collect()
}

/// The default service of every process.
pub async fn answer(request: HttpRequest, paths: web::Data<KnownPaths>) -> HttpResponse {
    refusal(&request, &paths).error_response()
}

fn refusal(request: &HttpRequest, paths: &KnownPaths) -> Problem {
    let mut allowed = paths.allowed(request.path());
    if allowed.is_empty() {
        return Problem::not_found(format!("Nothing is served at {}.", request.path()));
    }
    allowed.sort_unstable();
    allowed.dedup();
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The resource does not take this method",
    )
    .detail(format!("{} takes {}.", request.path(), allowed.join(", ")))
    .header(header::ALLOW, &allowed.join(", "))
}
