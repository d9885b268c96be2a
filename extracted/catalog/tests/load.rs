//! `catalog load` as it is run: the real binary against a stand-in for the monolith's export.

#![allow(clippy::unwrap_used, reason = "a panic in a test is a report")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use actix_web::http::header::HeaderValue;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

/// Products per page of the stand-in: few, so that several pages are read.
const PAGE: usize = 2;

type Shelf = Arc<Mutex<Vec<Value>>>;

fn product(sku: &str, price: i64) -> Value {
    let at = "2026-01-02T03:04:05.678901Z";
    let price = json!({"amount": price, "currency": "GBP"});
    json!({
        "sku": sku, "name": format!("Thing {sku}"), "description": "", "category": "things", "price": price,
        "status": "active", "version": 3, "created_at": at, "updated_at": at, "deleted_at": null,
        "price_history": [{"price": price, "from": at}], "something_new": 1,
    })
}

async fn export(request: HttpRequest, shelf: web::Data<Mutex<Vec<Value>>>) -> HttpResponse {
    if request.headers().get("authorization").map(HeaderValue::as_bytes) != Some(b"Bearer good") {
        return HttpResponse::Unauthorized().finish();
    }
    let query = web::Query::<std::collections::HashMap<String, String>>::from_query(request.query_string());
    let after = query.unwrap().get("after").cloned().unwrap_or_default();
    let items: Vec<Value> = shelf.lock().unwrap().clone();
    let mut rest = items
        .into_iter()
        .filter(|item| item["sku"].as_str().unwrap() > after.as_str());
    let page: Vec<Value> = rest.by_ref().take(PAGE).collect();
    let more = rest.next().is_some();
    let next = page.last().filter(|_| more).map(|last| last["sku"].clone());
    HttpResponse::Ok().json(json!({"items": page, "next": next}))
}

/// Serves the shelf on a port of its own and gives the address.
fn serve(shelf: &Shelf) -> String {
    let data = web::Data::from(Arc::clone(shelf));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let app = move || {
            App::new()
                .app_data(data.clone())
                .route("/internal/catalog/products", web::get().to(export))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        actix_web::rt::System::new().block_on(server.listen(listener).unwrap().run())
    });
    format!("http://{address}")
}

fn load(dir: &Path, from: &str, token: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_catalog"))
        .current_dir(dir)
        .args(["load", "--migrate", "--from", from, "--token", token])
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_load_makes_the_catalog_equal_and_a_second_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let shelf: Shelf = Arc::new(Mutex::new(
        ["A", "B", "C", "D", "E"].map(|sku| product(sku, 1)).to_vec(),
    ));
    let from = serve(&shelf);
    let run = || told(&load(dir.path(), &from, "good"));
    assert_eq!(run(), "loaded 5 products: 5 new, 0 changed, 0 removed, 0 same");
    assert_eq!(run(), "loaded 5 products: 0 new, 0 changed, 0 removed, 5 same");
    {
        let mut shelf = shelf.lock().unwrap();
        shelf.remove(4);
        shelf.remove(1);
        shelf[0] = product("A", 2);
        shelf.insert(1, product("AB", 1));
    }
    assert_eq!(run(), "loaded 4 products: 1 new, 1 changed, 2 removed, 2 same");
    shelf.lock().unwrap().clear();
    assert_eq!(run(), "loaded 0 products: 0 new, 0 changed, 4 removed, 0 same");
}

#[test]
fn loads_side_by_side_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let skus = (0..40).map(|i| product(&format!("S{i:02}"), 1));
    let from = serve(&Arc::new(Mutex::new(skus.collect())));
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| told(&load(dir.path(), &from, "good"))))
            .collect();
        let mut told: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        told.sort();
        let (same, new) = (
            "loaded 40 products: 0 new, 0 changed, 0 removed, 40 same",
            "loaded 40 products: 40 new, 0 changed, 0 removed, 0 same",
        );
        assert_eq!(told, [same, same, new]);
    });
}

#[test]
fn a_source_that_cannot_be_used_is_told_apart_from_a_failure_here() {
    let dir = tempfile::tempdir().unwrap();
    let from = serve(&Arc::default());
    let refused = load(dir.path(), &from, "bad");
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("refuses the token"));
    assert_eq!(load(dir.path(), "nowhere", "good").status.code(), Some(3));
    let owner = Command::new(env!("CARGO_BIN_EXE_catalog"))
        .current_dir(dir.path())
        .env("CATALOG_WRITES", "accept")
        .args(["load", "--from", &from, "--token", "good"])
        .output()
        .unwrap();
    assert_eq!(owner.status.code(), Some(1));
}
