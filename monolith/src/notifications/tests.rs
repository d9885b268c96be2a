//! What the notifications module promises, on SQLite. The behaviour suite holds it to the same over HTTP, on both databases.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use chassis::db::{PoolSettings, transact};
use chrono::Duration;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::model::{MOST_ATTEMPTS, Preferences};
use super::store::webhooks;
use super::*;
use crate::app::MIGRATIONS;

const MINUTE: Duration = Duration::minutes(1);
const SECRET: &str = "a secret of some length";

fn shop(dir: &tempfile::TempDir) -> Notifications {
    let url = format!("sqlite:{}", dir.path().join("shop.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    db.migrate(&MIGRATIONS).unwrap();
    Notifications::new(db)
}

fn write<T>(shop: &Notifications, work: impl Fn(&mut Conn) -> Result<T, Error>) -> T {
    transact(&mut shop.db.connect().unwrap(), work).unwrap()
}

fn notice(kind: Kind) -> Notice {
    Notice {
        customer_id: 1,
        email: "a@example.org".into(),
        kind,
        subject: "Subject".into(),
        body: "Body".into(),
    }
}

fn take(shop: &Notifications, claim: Duration) -> Option<model::Notification> {
    write(shop, |conn| Ok(store::take(conn, claim)?))
}

fn state(shop: &Notifications, id: i64) -> String {
    write(shop, |conn| Ok(store::find(conn, id)?)).unwrap().state
}

#[test]
fn what_is_told_stands_or_falls_with_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&dir);
    let fell: Result<(), Error> = transact(&mut shop.db.connect().unwrap(), |conn| {
        shop.enqueue(conn, &notice(Kind::OrderConfirmed))?;
        Err(Error::NotFound(0))
    });
    assert!(fell.is_err());
    assert!(take(&shop, MINUTE).is_none());
}

#[test]
fn who_wants_no_word_about_orders_still_hears_about_money() {
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&dir);
    let quiet = Preferences {
        order_updates: false,
        marketing: false,
    };
    write(&shop, |conn| Ok(store::set_preferences(conn, 1, quiet)?));
    for kind in [Kind::OrderConfirmed, Kind::OrderShipped, Kind::PaymentRefunded] {
        write(&shop, |conn| shop.enqueue(conn, &notice(kind)));
    }
    assert_eq!(take(&shop, MINUTE).unwrap().kind, "payment_refunded");
    assert!(take(&shop, MINUTE).is_none());
}

#[test]
fn a_message_is_taken_once_until_its_claim_has_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&dir);
    write(&shop, |conn| shop.enqueue(conn, &notice(Kind::OrderConfirmed)));
    let first = take(&shop, Duration::zero()).unwrap();
    let second = take(&shop, MINUTE).unwrap();
    assert_eq!((first.attempts, second.attempts, second.id), (1, 2, first.id));
    assert!(take(&shop, MINUTE).is_none());
    // The first had only been slow. That it failed says nothing about the second, that it sent ends the matter.
    write(&shop, |conn| {
        Ok(store::failed(conn, first.id, first.attempts, true)?)
    });
    assert_eq!(state(&shop, first.id), "queued");
    write(&shop, |conn| Ok(store::sent(conn, first.id)?));
    write(&shop, |conn| {
        Ok(store::failed(conn, second.id, second.attempts, true)?)
    });
    assert_eq!(state(&shop, first.id), "sent");
}

#[test]
fn a_message_is_given_up_after_the_last_attempt_or_when_there_is_no_hope() {
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&dir);
    for (for_good, expected) in [(true, 1), (false, MOST_ATTEMPTS)] {
        write(&shop, |conn| shop.enqueue(conn, &notice(Kind::OrderConfirmed)));
        let mut taken = take(&shop, Duration::zero()).unwrap();
        while taken.attempts < expected {
            assert_eq!(state(&shop, taken.id), "queued");
            taken = take(&shop, Duration::zero()).unwrap();
        }
        write(&shop, |conn| {
            Ok(store::failed(conn, taken.id, taken.attempts, for_good)?)
        });
        assert_eq!(state(&shop, taken.id), "failed");
        assert!(take(&shop, MINUTE).is_none());
    }
}

#[test]
fn nothing_is_left_of_a_customer_who_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&dir);
    write(&shop, |conn| shop.enqueue(conn, &notice(Kind::CustomerWelcome)));
    write(&shop, |conn| shop.forget(conn, 1));
    assert!(write(&shop, |conn| shop.history(conn, 1, None, 10)).is_empty());
    assert!(take(&shop, MINUTE).is_none());
}

/// Subscribes `url` to `order.shipped`.
fn subscribe(shop: &Notifications, url: &str) -> i64 {
    let events = ["order.shipped".to_owned()];
    write(shop, |conn| Ok(webhooks::insert(conn, url, &events, SECRET)?)).id
}

#[test]
fn an_event_is_queued_for_those_who_subscribed_to_it_and_are_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&dir);
    let (stays, leaves) = (
        subscribe(&shop, "http://127.0.0.1:1/a"),
        subscribe(&shop, "http://127.0.0.1:1/b"),
    );
    let data = json!({ "order_id": 7 });
    write(&shop, |conn| shop.announce(conn, "order.confirmed", &data));
    write(&shop, |conn| shop.announce(conn, "order.shipped", &data));
    write(&shop, |conn| Ok(webhooks::delete(conn, leaves)?));
    let delivery = write(&shop, |conn| Ok(webhooks::take(conn, MINUTE)?)).unwrap();
    assert_eq!(delivery.url, "http://127.0.0.1:1/a");
    assert!(write(&shop, |conn| Ok(webhooks::take(conn, MINUTE)?)).is_none());
    assert!(write(&shop, |conn| Ok(webhooks::find(conn, stays)?)).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_keeps_no_other_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&dir);
    // Connections to it are made by the kernel, and nobody ever reads.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let hears = TcpListener::bind("127.0.0.1:0").unwrap();
    subscribe(&shop, &format!("http://{}/", hangs.local_addr().unwrap()));
    subscribe(&shop, &format!("http://{}/hook", hears.local_addr().unwrap()));
    shop.start(Sink::File(dir.path().join("outbox.jsonl")));
    write(&shop, |conn| {
        shop.announce(conn, "order.shipped", &json!({ "order_id": 7 }))
    });
    let begun = Instant::now();
    let (signature, body) = tokio::task::spawn_blocking(move || hear(hears.accept().unwrap().0))
        .await
        .unwrap();
    // The other would have been given up after five seconds.
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["order_id"]),
        (&json!("order.shipped"), &json!(7))
    );
    assert!(event["id"].as_str().unwrap().starts_with("evt_"));
    let (at, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut expected = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    expected.update(format!("{at}.{body}").as_bytes());
    assert_eq!(mac, hex::encode(expected.finalize().into_bytes()));
}

/// Takes one delivery, and says thanks; gives its signature and body.
fn hear(mut stream: TcpStream) -> (String, String) {
    let (mut signature, mut length) = (String::new(), 0);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "banyan-signature" => value.clone_into(&mut signature),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    (signature, String::from_utf8(body).unwrap())
}
