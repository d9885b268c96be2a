//! What the audit log promises, on both databases: it says what was done, in order, and nobody rewrites it unseen.

use chassis::db::{Conn, Db};
use chassis::time::now;
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;

use super::*;
use crate::switch::databases::Database;

fn planned(route: &str, after: &str) -> Planned {
    Planned {
        actor: "cli:ann@desk".to_owned(),
        action: Action::Promote,
        moves: vec![Move {
            route: route.to_owned(),
            module: "catalog".to_owned(),
            before: "canary 10 %".to_owned(),
            after: after.to_owned(),
        }],
        moves_total: 1,
        reason: String::new(),
        forced: false,
        certificate: Some(json!({ "id": "c7" })),
        hash_before: "aa".to_owned(),
        hash_after: "bb".to_owned(),
    }
}

/// Statements as somebody with psql would give them; the error, if there is one.
fn by_hand(db: &Db, sql: &str) -> Result<(), String> {
    let mut conn = db.connect().unwrap();
    let done = match &mut *conn {
        Conn::Postgres(conn) => conn.batch_execute(sql),
        Conn::Sqlite(conn) => conn.batch_execute(sql),
    };
    done.map_err(|error| error.to_string())
}

#[test]
fn a_sentence_names_what_who_and_why_and_forced_ones_stand_out() {
    let mut one = planned("get-product", "service");
    assert_eq!(
        one.sentence(),
        "promote get-product: canary 10 % → service; by cli:ann@desk; with certificate c7"
    );
    one.forced = true;
    one.certificate = None;
    one.reason = "the fair\nFORCED: nothing".to_owned();
    assert_eq!(
        one.sentence(),
        "FORCED: promote get-product: canary 10 % → service; by cli:ann@desk; without need, for this step takes no certificate; \
         reason: the fair FORCED: nothing"
    );
    one.reason.clear();
    one.certificate = Some(json!({ "id": "c7", "verdict": "hold" }));
    assert!(
        one.sentence().ends_with("; against certificate c7"),
        "{}",
        one.sentence()
    );
    one.certificate = Some(json!({ "id": "c7", "verdict": "pass" }));
    assert_eq!(
        one.sentence(),
        "FORCED: promote get-product: canary 10 % → service; by cli:ann@desk; without need, for certificate c7 passes"
    );
    let many = Planned {
        moves: vec![one.moves[0].clone(); 5],
        action: Action::AutoRevert,
        ..planned("x", "y")
    };
    assert!(
        many.sentence().starts_with("revert by itself get-product: "),
        "{}",
        many.sentence()
    );
    assert!(
        many.sentence().contains(" and 2 more routes; by"),
        "{}",
        many.sentence()
    );
}

#[test]
fn texts_are_cut_and_a_certificate_that_is_too_long_is_named_by_its_hash() {
    let long = Planned {
        reason: "ä".repeat(5000),
        actor: "a\0\u{1b}[31m".to_owned(),
        certificate: Some(Value::String("x".repeat(70_000))),
        ..planned("get-product", "service")
    };
    let bounded = long.bounded();
    assert_eq!(bounded.reason.chars().count(), 1000);
    assert!(bounded.reason.ends_with("ä…"));
    assert_eq!(bounded.actor, "a  [31m");
    assert_eq!(bounded.certificate.as_ref().unwrap()["too_long"], 70_002);
    assert_eq!(bounded.clone().bounded(), bounded);
}

#[tokio::test]
async fn what_was_planned_is_read_back_with_its_end_in_the_same_words() {
    for database in Database::each() {
        let ledger = Ledger::new(database.migrated(), "host:/banyan.toml");
        assert_eq!(ledger.head().await.unwrap(), None);
        let plan = Planned {
            forced: true,
            reason: "é".repeat(1200),
            ..planned("get-product", "service")
        };
        let id = ledger.intend(&plan).await.unwrap();
        let begun = ledger.entry(id).await.unwrap();
        assert_eq!(begun.planned, plan.clone().bounded());
        assert_eq!((begun.sentence(), begun.conclusion), (plan.sentence(), None));
        ledger
            .conclude(id, Outcome::NotDone, "the disk is full")
            .await
            .unwrap();
        // A second outcome changes nothing.
        ledger.conclude(id, Outcome::Done, "").await.unwrap();
        let ended = ledger.entry(id).await.unwrap().conclusion.unwrap();
        assert_eq!(
            (ended.outcome, ended.detail.as_str()),
            (Outcome::NotDone, "the disk is full")
        );
        let at = now();
        let fact = ledger
            .note(&planned("b", "absent"), at, Outcome::Done, "by hand")
            .await
            .unwrap();
        let fact = ledger.entry(fact).await.unwrap();
        assert_eq!((fact.at, fact.conclusion.unwrap().outcome), (at, Outcome::Done));
        assert!(matches!(ledger.entry(2).await, Err(Error::NotFound(2))));
        let verified = ledger.verify_chain().await.unwrap();
        assert_eq!(
            (verified.rows, Some(verified.head)),
            (3, ledger.head().await.unwrap())
        );
    }
}

#[tokio::test]
async fn entries_are_listed_newest_first_by_page_and_filter() {
    for database in Database::each() {
        let db = database.migrated();
        let (ledger, other) = (Ledger::new(db.clone(), "a:/x"), Ledger::new(db, "b:/x"));
        for number in 0..7 {
            let mut plan = planned(["get", "list"][number % 2], &format!("canary {number} %"));
            plan.actor = ["api", "auto"][number / 4].to_owned();
            plan.moves[0].module = ["catalog", "stock"][number / 5].to_owned();
            let id = if number == 3 { &other } else { &ledger }
                .intend(&plan)
                .await
                .unwrap();
            ledger.conclude(id, Outcome::Done, "").await.unwrap();
        }
        let ids = async |filter: Filter, before, limit| -> Vec<i64> {
            let entries = ledger.list(filter, before, limit).await.unwrap();
            assert!(entries.iter().all(|entry| entry.conclusion.is_some()));
            entries.iter().map(|entry| entry.id).collect()
        };
        let all = Filter::default;
        assert_eq!(ids(all(), None, 3).await, [13, 11, 9]);
        assert_eq!(ids(all(), Some(9), 3).await, [7, 5, 3]);
        assert_eq!(ids(all(), Some(3), 0).await, [1]);
        let (route, module) = (Some("list".to_owned()), Some("stock".to_owned()));
        let filter = Filter { route, ..all() };
        assert_eq!(ids(filter.clone(), None, 9).await, [11, 7, 3]);
        assert_eq!(ids(Filter { module, ..filter }, None, 9).await, [11]);
        let actor = Some("auto".to_owned());
        assert_eq!(ids(Filter { actor, ..all() }, None, 9).await, [13, 11, 9]);
        let place = Some("b:/x".to_owned());
        assert_eq!(ids(Filter { place, ..all() }, None, 9).await, [7]);
        let since = Some(ledger.entry(11).await.unwrap().at);
        assert_eq!(ids(Filter { since, ..all() }, None, 9).await, [13, 11]);
        assert_eq!(
            ids(
                Filter {
                    since: Some(now()),
                    ..all()
                },
                None,
                9
            )
            .await,
            [0; 0]
        );
    }
}

#[tokio::test]
async fn an_entry_with_very_many_routes_is_whole_and_lists_show_its_first_ones() {
    for database in Database::each() {
        let ledger = Ledger::new(database.migrated(), "a:/x");
        let mut plan = planned("r", "service");
        let moves = (0..2500).map(|number| Move {
            route: format!("r{number}"),
            ..plan.moves[0].clone()
        });
        plan.moves = moves.collect();
        let id = ledger.intend(&plan).await.unwrap();
        let whole = ledger.entry(id).await.unwrap();
        assert_eq!(whole.planned.moves, plan.moves);
        let shown = ledger.list(Filter::default(), None, 1).await.unwrap().remove(0);
        assert_eq!(
            (shown.planned.moves.len(), shown.planned.moves_total),
            (MOVES_SHOWN, 2500)
        );
        assert_eq!(shown.sentence(), plan.sentence());
        assert_eq!(ledger.verify_chain().await.unwrap().rows, 1);
    }
}

#[tokio::test]
async fn the_database_refuses_to_change_remove_or_put_in_rows() {
    for database in Database::each() {
        let db = database.migrated();
        let ledger = Ledger::new(db.clone(), "a:/x");
        for route in ["a", "b"] {
            let id = ledger.intend(&planned(route, "service")).await.unwrap();
            ledger.conclude(id, Outcome::Done, "").await.unwrap();
        }
        let copy = "INTO audit SELECT ID, at, kind, NULL, place, 'me', action, reason, forced, certificate, hash_before, \
                    hash_after, moves, outcome, detail, PREVIOUS, 'HASH' FROM audit WHERE id = 1";
        let copy = |id: &str, previous: &str| {
            let hash = "f".repeat(64);
            copy.replace("ID", id)
                .replace("PREVIOUS", previous)
                .replace("HASH", &hash)
        };
        let mut forgeries = vec![
            "UPDATE audit SET actor = 'me' WHERE id = 1".to_owned(),
            "DELETE FROM audit WHERE id = 4".to_owned(),
            "UPDATE audit_moves SET after = 'x'".to_owned(),
            "DELETE FROM audit_moves".to_owned(),
            "INSERT INTO audit_moves VALUES (1, 1, 'c', 'm', 'x', 'y')".to_owned(),
            "INSERT INTO audit_moves VALUES (4, 0, 'c', 'm', 'x', 'y')".to_owned(),
            format!("INSERT {}", copy("1", "previous")),
            format!("INSERT {}", copy("9", "(SELECT hash FROM audit WHERE id = 4)")),
            format!("INSERT {}", copy("5", "(SELECT hash FROM audit WHERE id = 3)")),
        ];
        forgeries.extend(match db.target().kind() {
            "sqlite" => vec![
                format!("INSERT OR REPLACE {}", copy("1", "previous")),
                "INSERT OR REPLACE INTO audit_moves VALUES (3, 0, 'c', 'm', 'x', 'y')".to_owned(),
                "UPDATE OR REPLACE audit SET id = 9 WHERE id = 1".to_owned(),
            ],
            _ => vec!["TRUNCATE audit, audit_moves".to_owned()],
        });
        for forgery in forgeries {
            let refusal = by_hand(&db, &forgery).unwrap_err();
            assert!(refusal.contains("append-only"), "{forgery}: {refusal}");
        }
        assert_eq!(ledger.verify_chain().await.unwrap().rows, 4);
    }
}

#[tokio::test]
async fn whoever_gets_around_the_triggers_breaks_the_chain() {
    let off = |kind: &str| match kind {
        "sqlite" => {
            "DROP TRIGGER audit_is_never_updated; DROP TRIGGER audit_is_never_deleted; \
                     DROP TRIGGER audit_moves_are_never_updated; DROP TRIGGER audit_moves_are_never_deleted; \
                     PRAGMA foreign_keys = OFF"
        }
        _ => "ALTER TABLE audit DISABLE TRIGGER ALL; ALTER TABLE audit_moves DISABLE TRIGGER ALL",
    };
    let forgeries = [
        (
            "UPDATE audit SET actor = 'somebody' WHERE id = 3",
            3,
            "other contents",
        ),
        (
            "UPDATE audit SET forced = NOT forced WHERE id = 1",
            1,
            "other contents",
        ),
        (
            "UPDATE audit SET certificate = NULL WHERE id = 5",
            5,
            "other contents",
        ),
        (
            "UPDATE audit_moves SET before = 'service' WHERE entry = 3",
            3,
            "other contents",
        ),
        ("DELETE FROM audit_moves WHERE entry = 3", 3, "lost or gained"),
        ("DELETE FROM audit WHERE id = 4", 4, "is missing"),
        (
            "UPDATE audit SET previous = hash WHERE id = 6",
            6,
            "does not continue",
        ),
    ];
    for (forgery, row, why) in forgeries {
        for database in Database::each() {
            let db = database.migrated();
            let ledger = Ledger::new(db.clone(), "a:/x");
            for route in ["a", "b", "c"] {
                let id = ledger.intend(&planned(route, "service")).await.unwrap();
                ledger.conclude(id, Outcome::Done, "").await.unwrap();
            }
            by_hand(&db, off(db.target().kind())).unwrap();
            by_hand(&db, forgery).unwrap();
            let found = ledger.verify_chain().await;
            let is_found =
                matches!(&found, Err(Error::Broken(broken)) if broken.id == row && broken.why.contains(why));
            assert!(is_found, "{forgery}: {found:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_from_several_processes_make_one_chain() {
    for database in Database::each() {
        database.migrated();
        // A pool each, as processes have.
        let routers: Vec<Ledger> = (0..4)
            .map(|number| Ledger::new(database.open(), &format!("h{number}:/x")))
            .collect();
        let writers = routers.iter().flat_map(|ledger| {
            (0..10).map(|number| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    let id = ledger
                        .intend(&planned(&format!("r{number}"), "service"))
                        .await
                        .unwrap();
                    ledger.conclude(id, Outcome::Done, "").await.unwrap();
                })
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(routers[0].verify_chain().await.unwrap().rows, 80);
    }
}

#[tokio::test]
async fn only_what_was_left_open_at_the_same_place_is_open() {
    for database in Database::each() {
        let db = database.migrated();
        let (here, there) = (Ledger::new(db.clone(), "a:/x"), Ledger::new(db, "b:/x"));
        assert_eq!(here.last_file().await.unwrap(), None);
        let open = here.intend(&planned("a", "service")).await.unwrap();
        there.intend(&planned("a", "service")).await.unwrap();
        let next = Planned {
            hash_before: "cc".to_owned(),
            ..planned("b", "service")
        };
        let told = here.intend(&next).await.unwrap();
        here.conclude(told, Outcome::NotDone, "").await.unwrap();
        let found = here.open().await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, found[0].found_next.as_deref()), (open, Some("cc")));
        assert_eq!(here.last_file().await.unwrap().as_deref(), Some("cc"));
        assert_eq!(there.last_file().await.unwrap(), None);
    }
}

#[test]
fn the_schema_can_be_taken_back() {
    for database in Database::each() {
        let db = database.migrated();
        let kind = db.target().kind();
        let folder = format!("{}/../migrations/router/{kind}", env!("CARGO_MANIFEST_DIR"));
        let down = std::fs::read_to_string(format!("{folder}/2026-11-25-000100_audit/down.sql")).unwrap();
        by_hand(&db, &down).unwrap();
        let mut conn = db.connect().unwrap();
        assert!(
            diesel::sql_query("SELECT 1 FROM audit")
                .execute(&mut *conn)
                .is_err()
        );
    }
}
