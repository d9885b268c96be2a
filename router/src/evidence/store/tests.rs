//! What the store promises, on SQLite, and on PostgreSQL if `BANYAN_TEST_POSTGRES` names a server.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use chassis::db::PoolSettings;
use diesel::PgConnection;

use super::*;
use crate::evidence::latency::rounded;
use crate::evidence::{About, Builds, Comparison, Counts, Side};

/// A database for one test, gone with it.
struct Place {
    url: String,
    folder: tempfile::TempDir,
    server: Option<(String, String)>,
}

impl Place {
    fn open(&self) -> Db {
        let settings = PoolSettings {
            acquire_timeout_ms: 2_000,
            ..PoolSettings::default()
        };
        Db::open(&self.url, &settings).unwrap()
    }

    fn store(&self) -> Store {
        Store::new(self.open(), "test")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.server {
            let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
            let mut conn = PgConnection::establish(server).unwrap();
            diesel::sql_query(drop).execute(&mut conn).unwrap();
        }
    }
}

fn on_sqlite() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("router.db").display());
    let place = Place {
        url,
        folder,
        server: None,
    };
    place.open().migrate(&crate::records::MIGRATIONS).unwrap();
    place
}

fn on_postgres() -> Option<Place> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("BANYAN_TEST_POSTGRES").ok()?;
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("banyan_evidence_{}_{number}", std::process::id());
    let mut conn = PgConnection::establish(&server).unwrap();
    diesel::sql_query(format!("CREATE DATABASE \"{name}\""))
        .execute(&mut conn)
        .unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let place = Place {
        url: url.to_string(),
        folder: tempfile::tempdir().unwrap(),
        server: Some((server, name)),
    };
    place.open().migrate(&crate::records::MIGRATIONS).unwrap();
    Some(place)
}

fn places() -> Vec<Place> {
    std::iter::once(on_sqlite()).chain(on_postgres()).collect()
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second)
}

fn about(service: &str) -> About<'_> {
    About {
        route: "get-product",
        subject: "s",
        monolith: Some("m1"),
        service: Some(service),
    }
}

fn day() -> Evidence {
    Evidence::new(Duration::from_secs(24 * 3_600))
}

/// Notes ten answers of each side and one mismatch, at a second.
fn note(evidence: &Evidence, build: &str, second: u64) {
    let mut counts = Counts {
        classes: [0, 9, 0, 0, 0],
        failed: 1,
        ..Counts::default()
    };
    (1..10).for_each(|n| counts.latencies.add(rounded(Duration::from_millis(n)), 1));
    evidence.note_traffic(&about(build), Side::Monolith, &counts, at(second));
    evidence.note_traffic(&about(build), Side::Service, &counts, at(second));
    let groups = ["$.price".to_owned()];
    evidence.note_comparison(&about(build), 200, Comparison::Mismatch(&groups), at(second));
}

async fn window(store: &Store, evidence: &Evidence) -> WindowTotals {
    let about = ("get-product", "s");
    store.window(evidence, about, at(0), at(3_600)).await.unwrap()
}

#[tokio::test]
async fn a_router_that_is_killed_finds_everything_but_what_it_had_not_flushed() {
    for place in places() {
        let (store, evidence) = (place.store(), day());
        (0..10).for_each(|n| note(&evidence, "1", n * 60));
        let before = window(&store, &evidence).await;
        assert_eq!(store.flush(&evidence).await.unwrap(), 2);
        note(&evidence, "1", 599);
        drop((store, evidence));

        let (store, evidence) = (place.store(), day());
        let after = window(&store, &evidence).await;
        assert_eq!(after, before);
        assert_eq!(after.comparisons.groups.get("$.price"), Some(&10));
        note(&evidence, "1", 601);
        assert_eq!(store.flush(&evidence).await.unwrap(), 1);
        assert_eq!(window(&store, &evidence).await.service.total(), 110);
    }
}

#[tokio::test]
async fn flushing_again_changes_nothing_and_writes_only_what_changed() {
    for place in places() {
        let (store, evidence) = (place.store(), day());
        (0..10).for_each(|n| note(&evidence, "1", n * 60));
        assert_eq!(store.flush(&evidence).await.unwrap(), 2);
        assert_eq!(store.flush(&evidence).await.unwrap(), 0);
        note(&evidence, "1", 598);
        assert_eq!(store.flush(&evidence).await.unwrap(), 1);
        let reader = place.store();
        assert_eq!(window(&reader, &day()).await.service.total(), 110);
        assert_eq!(window(&store, &evidence).await.service.total(), 110);
    }
}

#[tokio::test]
async fn a_flush_that_comes_late_does_not_undo_a_newer_one() {
    for place in places() {
        let (store, evidence) = (place.store(), day());
        let late = |evidence: &Evidence| -> Vec<(String, Unsaved)> {
            let unsaved = evidence.unsaved("get-product").into_iter();
            unsaved.map(|bucket| ("get-product".to_owned(), bucket)).collect()
        };
        note(&evidence, "1", 0);
        let early = late(&evidence);
        note(&evidence, "1", 1);
        store.flush(&evidence).await.unwrap();
        store.write(&evidence, &early).await.unwrap();
        assert_eq!(window(&place.store(), &day()).await.service.total(), 20);
    }
}

#[tokio::test]
async fn two_routers_on_one_database_are_added_up_and_end_each_others_windows() {
    for place in places() {
        let (one, two) = (place.store(), place.store());
        let (here, there) = (day(), day());
        (0..5).for_each(|n| note(&here, "1", n * 60));
        (0..7).for_each(|n| note(&there, "1", n * 60 + 1));
        let (a, b) = tokio::join!(one.flush(&here), two.flush(&there));
        assert!(a.is_ok() && b.is_ok());
        for (store, evidence) in [(&one, &here), (&two, &there)] {
            let window = window(store, evidence).await;
            assert_eq!(
                (window.monolith.total(), window.comparisons.mismatches()),
                (120, 12)
            );
            assert_eq!(window.service.latencies.len(), 108);
        }
        note(&there, "2", 500);
        two.flush(&there).await.unwrap();
        let window = window(&one, &here).await;
        assert_eq!(
            (window.builds.service.as_deref(), window.service.total()),
            (Some("2"), 10)
        );
    }
}

#[tokio::test]
async fn old_rows_are_deleted_and_no_others() {
    for place in places() {
        let (store, evidence) = (place.store(), day());
        [0, 86_400, 2 * 86_400]
            .iter()
            .for_each(|second| note(&evidence, "1", *second));
        assert_eq!(store.flush(&evidence).await.unwrap(), 3);
        assert_eq!(store.forget(&evidence, at(2 * 86_400)).await.unwrap(), 1);
        assert_eq!(store.forget(&evidence, at(2 * 86_400)).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_row_that_is_damaged_is_told_with_its_remedy_and_certifies_nothing() {
    for place in places() {
        let (store, evidence) = (place.store(), day());
        note(&evidence, "1", 0);
        store.flush(&evidence).await.unwrap();
        let damage = diesel::update(evidence::table).set(evidence::counts.eq("{}"));
        damage.execute(&mut *place.open().connect().unwrap()).unwrap();
        let refused = place
            .store()
            .window(&day(), ("get-product", "s"), at(0), at(60))
            .await;
        let told = refused.unwrap_err().to_string();
        assert!(
            told.contains("get-product") && told.contains("DELETE FROM evidence"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn without_a_database_nothing_is_lost_from_memory_and_no_window_is_given() {
    let place = on_sqlite();
    let (store, evidence) = (place.store(), Arc::new(day()));
    note(&evidence, "1", 0);
    let file = place.folder.path().join("router.db");
    let hidden = place.folder.path().join("away.db");
    std::fs::rename(&file, &hidden).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(store.flush(&evidence).await.is_err());
    assert!(
        store
            .window(&evidence, ("get-product", "s"), at(0), at(60))
            .await
            .is_err()
    );
    note(&evidence, "1", 1);
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&hidden, &file).unwrap();
    assert_eq!(store.flush(&evidence).await.unwrap(), 1);
    assert_eq!(window(&place.store(), &day()).await.service.total(), 20);
}

#[tokio::test]
async fn the_keeper_writes_by_itself_and_goes_on_after_an_outage() {
    let place = on_sqlite();
    let (store, evidence) = (Arc::new(place.store()), Arc::new(day()));
    // The table is away at first, as if the database were.
    let away = |sql: &str| {
        diesel::sql_query(sql)
            .execute(&mut *place.open().connect().unwrap())
            .unwrap()
    };
    away("ALTER TABLE evidence RENAME TO away");
    let keeper = {
        let (store, evidence) = (Arc::clone(&store), Arc::clone(&evidence));
        tokio::spawn(async move { store.keep(&evidence, Duration::from_millis(20)).await })
    };
    let now = SystemTime::now();
    evidence.note_comparison(&about("1"), 200, Comparison::Equal, now);
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !store.out.load(Ordering::Relaxed) {
        assert!(tokio::time::Instant::now() < until, "the outage was not noticed");
        tokio::task::yield_now().await;
    }
    away("ALTER TABLE away RENAME TO evidence");
    let reader = place.store();
    loop {
        assert!(tokio::time::Instant::now() < until, "it did not go on");
        let window = reader
            .window(&day(), ("get-product", "s"), now - Duration::from_secs(9), now)
            .await;
        if window.is_ok_and(|window| window.comparisons.compared() == 1) {
            break;
        }
    }
    keeper.abort();
}

#[tokio::test]
async fn unknown_builds_stay_unknown() {
    for place in places() {
        let (store, evidence) = (place.store(), day());
        let nameless = About {
            monolith: None,
            service: Some(""),
            ..about("")
        };
        evidence.note_comparison(&nameless, 200, Comparison::Equal, at(0));
        store.flush(&evidence).await.unwrap();
        let window = window(&place.store(), &day()).await;
        assert_eq!(
            (window.builds, window.comparisons.compared()),
            (Builds::default(), 1)
        );
    }
}
