//! What the triggers note: the keys of the rows that changed, those and no others.

use chassis::db::Conn;
use diesel::prelude::*;
use handover::row::Key;

use crate::Work;
use crate::place::{Place, run, texts};

pub(crate) fn on_both() -> Vec<(&'static str, Work)> {
    crate::trials![
        each_write_notes_the_keys_that_it_changed,
        a_write_that_is_taken_back_is_not_noted,
        a_key_reads_back_as_it_was,
        a_child_without_a_table_of_its_own_is_noted_as_its_parent,
    ]
}

pub(crate) fn on_sqlite() -> Vec<(&'static str, Work)> {
    crate::trials![
        rows_that_stood_in_the_way_of_a_replacement_are_noted,
        a_replacement_by_a_primary_key_notes_whom_the_old_row_belonged_to,
    ]
}

pub(crate) fn on_postgres() -> Vec<(&'static str, Work)> {
    crate::trials![
        whatever_comes_in_one_statement_is_noted_once,
        what_is_copied_in_is_noted
    ]
}

/// Runs a write and says what was noted since.
fn noted_by(place: &Place, write: &str) -> Vec<String> {
    let before = place.noted().len();
    run(&mut place.connect(), write).unwrap_or_else(|error| panic!("{write}: {error:?}"));
    // How the array is spaced is the database's own business.
    place
        .noted()
        .split_off(before)
        .iter()
        .map(|text| text.replace("\", \"", "\",\""))
        .collect()
}

fn each_write_notes_the_keys_that_it_changed(place: &Place) {
    place.stock();
    place.pen("here", "held");
    let expectations: [(&str, &[&str]); 10] = [
        (
            "INSERT INTO shelves (id, slug) VALUES (3, 'c'), (4, 'd')",
            &[r#"shelves ["3"]"#, r#"shelves ["4"]"#],
        ),
        (
            "UPDATE shelves SET slug = 'e' WHERE id = 4",
            &[r#"shelves ["4"]"#],
        ),
        (
            "UPDATE shelves SET id = 5 WHERE id = 4",
            &[r#"shelves ["4"]"#, r#"shelves ["5"]"#],
        ),
        ("UPDATE shelves SET slug = slug || '.' WHERE id > 100", &[]),
        (
            "DELETE FROM shelves WHERE id IN (3, 5)",
            &[r#"shelves ["3"]"#, r#"shelves ["5"]"#],
        ),
        (
            "INSERT INTO shelves (id, slug) VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET slug = excluded.slug",
            &[r#"shelves ["1"]"#],
        ),
        (
            "INSERT INTO marks (scope, key, body) VALUES ('x', 'y', '')",
            &[r#"marks ["x","y"]"#],
        ),
        (
            "UPDATE marks SET key = 'z' WHERE scope = 'x'",
            &[r#"marks ["x","y"]"#, r#"marks ["x","z"]"#],
        ),
        (
            "UPDATE marks SET body = 'b', scope = 'x' WHERE scope = 'x'",
            &[r#"marks ["x","z"]"#],
        ),
        ("DELETE FROM marks WHERE scope = 'x'", &[r#"marks ["x","z"]"#]),
    ];
    for (write, expected) in expectations {
        assert_eq!(noted_by(place, write), expected, "{write}");
    }
}

diesel::table! {
    shelves (id) {
        id -> BigInt,
        slug -> Text,
    }
}

fn what_is_copied_in_is_noted(place: &Place) {
    place.stock();
    place.pen("here", "held");
    let before = place.noted().len();
    let Conn::Postgres(conn) = &mut *place.connect() else {
        panic!("this is for PostgreSQL");
    };
    let rows = diesel::copy_from(shelves::table).from_raw_data(shelves::table, |to| {
        let written = to.write_all(b"21\tu\n22\tv\n");
        written.map_err(|error| diesel::result::Error::SerializationError(error.into()))
    });
    assert_eq!(rows.execute(conn).unwrap(), 2);
    assert_eq!(
        place.noted()[before..],
        [r#"shelves ["21"]"#, r#"shelves ["22"]"#]
    );
}

/// A statement may insert in more than one place, insert beside what it updates, and set off others that insert.
fn whatever_comes_in_one_statement_is_noted_once(place: &Place) {
    place.stock();
    place.pen("here", "held");
    let label = "CREATE FUNCTION label() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO marks (scope, key, body) VALUES ('of', NEW.slug, ''); RETURN NEW; END $$;
        CREATE TRIGGER labelled BEFORE INSERT ON shelves FOR EACH ROW EXECUTE FUNCTION label()";
    let expectations: [(&str, &[&str]); 6] = [
        (
            "WITH a AS (INSERT INTO shelves (id, slug) VALUES (11, 'k')) INSERT INTO shelves (id, slug) VALUES (12, 'l')",
            &[r#"shelves ["11"]"#, r#"shelves ["12"]"#],
        ),
        (
            "WITH a AS (UPDATE shelves SET slug = 'm' WHERE id = 12), b AS (DELETE FROM shelves WHERE id = 11) \
             INSERT INTO shelves (id, slug) VALUES (13, 'n')",
            &[r#"shelves ["11"]"#, r#"shelves ["12"]"#, r#"shelves ["13"]"#],
        ),
        (
            "INSERT INTO shelves (id, slug) VALUES (13, 'o'), (14, 'p') ON CONFLICT (id) DO UPDATE SET slug = excluded.slug",
            &[r#"shelves ["13"]"#, r#"shelves ["14"]"#],
        ),
        (
            "INSERT INTO shelves (id, slug) VALUES (14, 'p'), (15, 'q') ON CONFLICT DO NOTHING",
            &[r#"shelves ["15"]"#],
        ),
        (label, &[]),
        (
            "INSERT INTO shelves (id, slug) VALUES (16, 'r'), (17, 's')",
            &[
                r#"marks ["of","r"]"#,
                r#"marks ["of","s"]"#,
                r#"shelves ["16"]"#,
                r#"shelves ["17"]"#,
            ],
        ),
    ];
    for (write, expected) in expectations {
        let mut noted = noted_by(place, write);
        noted.sort();
        assert_eq!(noted, expected, "{write}");
    }
}

fn a_write_that_is_taken_back_is_not_noted(place: &Place) {
    place.stock();
    place.pen("here", "held");
    let noted = noted_by(
        place,
        "BEGIN; DELETE FROM marks; SAVEPOINT s; UPDATE goods SET amount = 1; ROLLBACK TO s; UPDATE goods SET amount = 2 WHERE id = 2; \
         COMMIT; BEGIN; DELETE FROM labels; ROLLBACK",
    );
    assert_eq!(noted, [r#"marks ["a","b"]"#, r#"goods ["2"]"#]);
}

fn a_key_reads_back_as_it_was(place: &Place) {
    place.pen("here", "held");
    let mut conn = place.connect();
    let awkward = [
        "",
        "a \"b\" \\ c",
        "tab\tline\n\u{1}\u{1f}\u{7f}",
        "\u{1d11e} \u{2028} é ☕",
        "'; DROP TABLE marks; --",
        "null",
        "1",
    ];
    for text in awkward {
        diesel::RunQueryDsl::execute(
            diesel::sql_query("INSERT INTO marks (scope, key, body) VALUES ($1, $2, '')")
                .bind::<diesel::sql_types::Text, _>(text)
                .bind::<diesel::sql_types::Text, _>(text),
            &mut *conn,
        )
        .unwrap();
    }
    let keys = texts(
        &mut conn,
        "SELECT key AS text FROM outbox_test_goods ORDER BY seq",
    );
    let keys: Vec<Key> = keys
        .iter()
        .map(|key| serde_json::from_str(key).unwrap())
        .collect();
    assert_eq!(
        keys,
        awkward.map(|text| Key(vec![text.to_owned(), text.to_owned()]))
    );
}

fn a_child_without_a_table_of_its_own_is_noted_as_its_parent(place: &Place) {
    place.stock();
    place.pen("here", "held");
    for (write, expected) in [
        (
            "INSERT INTO prices (goods_id, seq, amount) VALUES (1, 2, 9)",
            vec![r#"goods ["1"]"#],
        ),
        (
            "UPDATE prices SET amount = 3 WHERE seq = 2",
            vec![r#"goods ["1"]"#],
        ),
        (
            "UPDATE prices SET goods_id = 2 WHERE seq = 2",
            vec![r#"goods ["1"]"#, r#"goods ["2"]"#],
        ),
        ("DELETE FROM prices WHERE seq = 2", vec![r#"goods ["2"]"#]),
    ] {
        assert_eq!(noted_by(place, write), expected, "{write}");
    }
    // What the database deletes by itself is noted like any other: the parent, and its child as the parent.
    let noted = noted_by(place, "DELETE FROM goods WHERE id = 2");
    assert!(
        !noted.is_empty() && noted.iter().all(|text| text == r#"goods ["2"]"#),
        "{noted:?}"
    );
}

fn rows_that_stood_in_the_way_of_a_replacement_are_noted(place: &Place) {
    place.stock();
    place.pen("here", "held");
    let mut noted = noted_by(
        place,
        "REPLACE INTO shelves (id, slug) VALUES (3, 'free'), (4, 'free')",
    );
    noted.sort();
    assert_eq!(
        noted,
        [r#"shelves ["3"]"#, r#"shelves ["3"]"#, r#"shelves ["4"]"#]
    );
    let mut noted = noted_by(place, "UPDATE OR REPLACE goods SET sku = 'TEA' WHERE id = 1");
    noted.sort();
    noted.dedup();
    // TEA itself, and its price, which went with it.
    assert_eq!(noted, [r#"goods ["1"]"#, r#"goods ["2"]"#]);
    assert_eq!(
        noted_by(place, "UPDATE OR REPLACE goods SET amount = 8, sku = 'TEA'"),
        [r#"goods ["1"]"#]
    );
}

fn a_replacement_by_a_primary_key_notes_whom_the_old_row_belonged_to(place: &Place) {
    place.stock();
    place.pen("here", "held");
    run(
        &mut place.connect(),
        "INSERT INTO prices (goods_id, seq, amount) VALUES (1, 5, 1)",
    )
    .unwrap();
    assert_eq!(
        noted_by(
            place,
            "REPLACE INTO prices (goods_id, seq, amount) VALUES (1, 5, 2)"
        ),
        [r#"goods ["1"]"#]
    );
    let mut noted = noted_by(
        place,
        "UPDATE OR REPLACE prices SET goods_id = 2, seq = 1 WHERE seq = 5",
    );
    noted.sort();
    noted.dedup();
    assert_eq!(noted, [r#"goods ["1"]"#, r#"goods ["2"]"#]);
    // Any column of a unique key can bring a row into another one's way.
    let up = handover::ddl::up(&crate::place::PLAN, place.backend);
    assert!(up.contains("BEFORE UPDATE OF goods_id, seq ON prices"), "{up}");
}
