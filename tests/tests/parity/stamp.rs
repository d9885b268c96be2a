//! A proxy that writes into each JSON answer when it was given.
//!
//! For the trial of noise: both sides get one, so that they differ in a field in which each also differs from itself. The
//! shop and its service have no such field.

use std::net::SocketAddr;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The field.
pub(super) const FIELD: &str = "answered_at";

/// Headers that are about the connection, or about the body as it was.
const ITS_OWN: [&str; 4] = ["connection", "transfer-encoding", "content-length", "date"];

/// A running proxy. It stops when it is dropped.
#[derive(Debug)]
pub(super) struct Stamp {
    handle: ServerHandle,
    address: SocketAddr,
}

/// Whom the proxy asks, and with what.
struct Behind {
    client: reqwest::Client,
    url: String,
}

impl Stamp {
    /// Starts one before the server at `url`.
    pub(super) fn before(url: &str, runtime: &Runtime) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = url.to_owned();
        let behind = web::Data::new(Behind { client, url });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(behind.clone())
                .default_service(web::to(pass_on))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))?;
        let address = *server.addrs().first().context("a port is bound")?;
        let _entered = runtime.enter();
        let server = server.run();
        let handle = server.handle();
        runtime.spawn(server);
        Ok(Self { handle, address })
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Stamp {
    fn drop(&mut self) {
        // The command is sent at once; that it has been obeyed is of no interest here.
        drop(self.handle.stop(false));
    }
}

async fn pass_on(behind: web::Data<Behind>, request: HttpRequest) -> HttpResponse {
    match ask(&behind, &request).await {
        Ok(answer) => answer,
        Err(error) => HttpResponse::BadGateway().body(error.to_string()),
    }
}

async fn ask(behind: &Behind, request: &HttpRequest) -> anyhow::Result<HttpResponse> {
    let answer = behind
        .client
        .get(format!("{}{}", behind.url, request.uri()))
        .send()
        .await?;
    let mut stamped = HttpResponse::build(StatusCode::from_u16(answer.status().as_u16())?);
    // The two libraries do not share the type of a header, so it goes over by its bytes.
    for (name, value) in answer.headers() {
        if !ITS_OWN.contains(&name.as_str()) {
            let name = HeaderName::from_bytes(name.as_str().as_bytes())?;
            stamped.append_header((name, HeaderValue::from_bytes(value.as_bytes())?));
        }
    }
    let mut body: Value = answer.json().await?;
    if let Some(object) = body.as_object_mut() {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        object.insert(FIELD.to_owned(), json!(since.as_nanos().to_string()));
    }
    Ok(stamped.body(body.to_string()))
}
