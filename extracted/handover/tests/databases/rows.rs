//! Rows through `Plain`: what was put is what is read, to the byte, and in the order of the keys.

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use handover::ddl::Backend;
use handover::row::{Key, Row, chunk_hash};
use handover::store::{Range, Store};
use handover::table::{Kind, Table};
use serde_json::{Value, json};

use crate::Work;
use crate::place::{GOODS, LABELS, MARKS, Place, ROWS, SHELVES, column, number, run, texts};

pub(crate) fn on_both() -> Vec<(&'static str, Work)> {
    crate::trials![
        awkward_rows_read_back_as_they_were_put,
        times_are_kept_as_diesel_writes_and_reads_them,
        pages_follow_the_order_of_the_keys,
        only_the_rows_that_are_asked_for_are_found,
        what_does_not_travel_is_computed,
        a_time_that_no_row_can_have_is_told_of,
    ]
}

pub(crate) fn on_sqlite() -> Vec<(&'static str, Work)> {
    crate::trials![text_that_is_no_unicode_is_told_of]
}

pub(crate) fn on_postgres() -> Vec<(&'static str, Work)> {
    crate::trials![values_of_other_types_travel_or_are_told_of]
}

/// A row of `goods` on the first shelf.
pub(crate) fn good(id: i64, sku: &str, more: &Value) -> Row {
    let mut row = json!({
        "id": id.to_string(), "sku": sku, "shelf_id": "1", "amount": "0", "active": true, "note": null,
        "made_at": "2026-11-25T06:17:51.000120Z", "gone_at": null,
    });
    for (name, value) in more.as_object().unwrap() {
        row[name] = value.clone();
    }
    object(row)
}

pub(crate) fn object(value: Value) -> Row {
    serde_json::from_value(value).unwrap()
}

/// Puts a shelf there, and these rows of `goods`.
pub(crate) fn put_goods(conn: &mut Conn, rows: &[Row]) {
    let shelf = object(json!({"id": "1", "slug": "low"}));
    ROWS.put(conn, &SHELVES, &[shelf]).unwrap();
    ROWS.put(conn, &GOODS, rows).unwrap();
}

pub(crate) fn all(conn: &mut Conn, table: &Table) -> Vec<Row> {
    ROWS.page(conn, table, &Range::default(), 1000).unwrap()
}

pub(crate) fn key(values: &[&str]) -> Key {
    Key(values.iter().map(|value| (*value).to_owned()).collect())
}

fn awkward_rows_read_back_as_they_were_put(place: &Place) {
    let mut conn = place.begin();
    let texts = [
        "",
        " ",
        "a \"b\" \\ c / 'd'",
        "tab\tline\r\n\u{1}\u{8}\u{c}\u{1f}\u{7f}\u{80}",
        "\u{1d11e}\u{2028}\u{feff}é☕",
        "null",
        "{\"a\":[1]}",
        "\\u0041",
        "%s %1$s $1 ?",
        "00012",
        "1e5",
        "true",
    ];
    let mut rows: Vec<Row> = (1..)
        .zip(texts)
        .map(|(id, text)| good(id, &format!("{id}{text}"), &json!({"note": text})))
        .collect();
    rows.insert(
        0,
        good(
            -7,
            "MINUS",
            &json!({"amount": i64::MIN.to_string(), "active": false}),
        ),
    );
    rows.push(good(i64::MAX, "MAX", &json!({"amount": i64::MAX.to_string()})));
    let times = [
        "0001-01-01T00:00:00.000000Z",
        "1969-12-31T23:59:59.999999Z",
        "2026-11-25T06:17:51.120000Z",
        "9999-12-31T23:59:59.100000Z",
    ];
    for (id, time) in (100..).zip(times) {
        rows.insert(
            rows.len() - 1,
            good(id, &id.to_string(), &json!({"made_at": time, "gone_at": time})),
        );
    }
    put_goods(&mut conn, &rows);
    assert_eq!(all(&mut conn, &GOODS), rows);
    put_goods(&mut conn, &rows);
    assert_eq!(
        chunk_hash(&all(&mut conn, &GOODS)),
        chunk_hash(&rows),
        "put twice"
    );
    let changed: Vec<Row> = rows
        .iter()
        .cloned()
        .map(|mut row| {
            row.insert("note".to_owned(), Value::Null);
            row.insert("active".to_owned(), Value::Bool(false));
            row
        })
        .collect();
    put_goods(&mut conn, &changed);
    assert_eq!(all(&mut conn, &GOODS), changed);
}

diesel::table! {
    goods (id) {
        id -> BigInt,
        made_at -> Timestamp,
    }
}

/// What diesel wrote must travel, and what has travelled must be found by an equality with what diesel would write.
fn times_are_kept_as_diesel_writes_and_reads_them(place: &Place) {
    let mut conn = place.begin();
    let fractions = [
        ("", "000000"),
        (".1", "100000"),
        (".120", "120000"),
        (".000120", "000120"),
        (".999999", "999999"),
    ];
    let shown = |fraction: &str| format!("2026-11-25T06:17:51.{fraction}Z");
    let rows: Vec<Row> = (1..)
        .zip(fractions)
        .map(|(id, (_, six))| good(id, &id.to_string(), &json!({"made_at": shown(six)})))
        .collect();
    put_goods(&mut conn, &rows);
    for (id, (fraction, six)) in (1_i64..).zip(fractions) {
        let time: NaiveDateTime = format!("2026-11-25T06:17:51{fraction}").parse().unwrap();
        let found = goods::table
            .filter(goods::made_at.eq(time))
            .select(goods::id)
            .load::<i64>(&mut *conn);
        assert_eq!(found.unwrap(), [id], "{fraction}");
        diesel::update(goods::table.filter(goods::id.eq(id)))
            .set(goods::made_at.eq(time))
            .execute(&mut *conn)
            .unwrap();
        let row = ROWS.find(&mut conn, &GOODS, &[key(&[&id.to_string()])]).unwrap();
        assert_eq!(row[0]["made_at"], json!(shown(six)), "{fraction}");
    }
    if place.backend == Backend::Sqlite {
        let stored = texts(
            &mut conn,
            "SELECT made_at AS text FROM goods WHERE id <= 4 ORDER BY id",
        );
        let expected =
            ["", ".100", ".120", ".000120"].map(|fraction| format!("2026-11-25 06:17:51{fraction}"));
        assert_eq!(stored, expected);
    }
}

fn pages_follow_the_order_of_the_keys(place: &Place) {
    let mut conn = place.begin();
    put_goods(
        &mut conn,
        &[2, 10, -3, 100, 9].map(|id| good(id, &format!("S{id}"), &json!({}))),
    );
    let mut ids = |after: Option<&str>, through: Option<&str>, limit| {
        let range = Range {
            after: after.map(|id| key(&[id])),
            through: through.map(|id| key(&[id])),
        };
        let rows = ROWS.page(&mut conn, &GOODS, &range, limit).unwrap();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None, 9), ["-3", "2", "9", "10", "100"]);
    assert_eq!(ids(None, None, 2), ["-3", "2"]);
    assert_eq!(ids(Some("2"), None, 2), ["9", "10"]);
    assert_eq!(ids(Some("2"), Some("10"), 9), ["9", "10"]);
    assert_eq!(ids(None, Some("2"), 9), ["-3", "2"]);
    assert_eq!(ids(Some("100"), None, 9), [""; 0]);
    // Texts by their bytes, column by column: capitals first, and the second column only where the first is equal.
    let mut pairs = [
        ("B", "a"),
        ("a", "é"),
        ("a", "z"),
        ("a", ""),
        ("é", "0"),
        ("ab", "0"),
        ("a", "Z"),
        ("☕", "\u{1d11e}"),
    ];
    let marks = pairs.map(|(scope, key)| object(json!({"scope": scope, "key": key, "body": ""})));
    ROWS.put(&mut conn, &MARKS, &marks).unwrap();
    pairs.sort_unstable();
    let mut range = Range::default();
    for pair in pairs {
        let rows = ROWS.page(&mut conn, &MARKS, &range, 1).unwrap();
        assert_eq!(
            (rows[0]["scope"].as_str(), rows[0]["key"].as_str()),
            (Some(pair.0), Some(pair.1))
        );
        range.after = MARKS.key_of(&rows[0]);
    }
    assert!(ROWS.page(&mut conn, &MARKS, &range, 1).unwrap().is_empty());
    let range = Range {
        after: Some(key(&["a", "Z"])),
        through: Some(key(&["ab", "0"])),
    };
    let between = ROWS.page(&mut conn, &MARKS, &range, 9).unwrap();
    assert_eq!(
        between
            .iter()
            .map(|row| row["key"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["z", "é", "0"]
    );
}

fn only_the_rows_that_are_asked_for_are_found(place: &Place) {
    let mut conn = place.begin();
    let rows: Vec<Row> = [0, 1, 2, 3]
        .map(|id| good(id, &format!("S{id}"), &json!({})))
        .to_vec();
    put_goods(&mut conn, &rows);
    let mut find = |table: &Table, keys: &[Key]| {
        let mut found = ROWS.find(&mut conn, table, keys).unwrap();
        found.sort_by_key(|row| row.iter().next().map(|(_, value)| value.to_string()));
        found
            .iter()
            .filter_map(|row| table.key_of(row))
            .collect::<Vec<_>>()
    };
    let mut found = find(&GOODS, &[key(&["3"]), key(&["77"]), key(&["1"]), key(&["1"])]);
    found.sort_by(|left, right| GOODS.compare(left, right));
    assert_eq!(found, [key(&["1"]), key(&["3"])]);
    assert!(find(&GOODS, &[]).is_empty());
    // What is no key is no row's key; it is not taken for a similar one.
    assert!(find(&GOODS, &[key(&["x"]), key(&["01"]), key(&["1", "2"]), key(&[])]).is_empty());
    assert!(find(&MARKS, &[key(&["a", "b"])]).is_empty());
    let keys: Vec<Key> = (0..1000).map(|id| key(&[&id.to_string()])).collect();
    assert_eq!(find(&GOODS, &keys).len(), 4);
    let marks = [("a", "b"), ("b", "a"), ("a", "a"), ("b", "b")]
        .map(|(s, k)| object(json!({"scope": s, "key": k, "body": ""})));
    ROWS.put(&mut conn, &MARKS, &marks).unwrap();
    let mut found = ROWS
        .find(&mut conn, &MARKS, &[key(&["a", "b"]), key(&["b", "a"])])
        .unwrap();
    found.sort_by_key(|row| row["key"].to_string());
    assert_eq!(found, [marks[1].clone(), marks[0].clone()]);
    assert!(all(&mut conn, &LABELS).is_empty());
}

fn what_does_not_travel_is_computed(place: &Place) {
    let mut conn = place.begin();
    put_goods(&mut conn, &[good(1, "MUG", &json!({}))]);
    put_goods(&mut conn, &[good(1, "TEA", &json!({}))]);
    assert_eq!(texts(&mut conn, "SELECT words AS text FROM goods"), ["tea"]);
    assert_eq!(all(&mut conn, &GOODS)[0].get("words"), None);
}

/// A form in which it would come out as another time, or as none, must not leave silently.
fn a_time_that_no_row_can_have_is_told_of(place: &Place) {
    let mut conn = place.begin();
    put_goods(&mut conn, &[good(1, "MUG", &json!({}))]);
    let times: &[&str] = match place.backend {
        Backend::Sqlite => &["yesterday", "2026-11-25", "2026-13-25 06:17:51", "12345"],
        Backend::Postgres => &["infinity", "0044-03-15 06:17:51 BC", "12026-11-25 06:17:51"],
    };
    for time in times {
        run(&mut conn, &format!("UPDATE goods SET gone_at = '{time}'")).unwrap();
        let told = ROWS
            .page(&mut conn, &GOODS, &Range::default(), 9)
            .map_err(|error| format!("{error:?}"));
        assert!(
            told.as_ref().is_err_and(|told| told.contains("gone_at")),
            "{time}: {told:?}"
        );
    }
    assert_eq!(number(&mut conn, "SELECT count(*) AS n FROM goods"), 1);
}

fn text_that_is_no_unicode_is_told_of(place: &Place) {
    let mut conn = place.begin();
    put_goods(&mut conn, &[good(1, "MUG", &json!({}))]);
    run(&mut conn, "UPDATE goods SET note = CAST(x'61ff62' AS TEXT)").unwrap();
    let told = ROWS.page(&mut conn, &GOODS, &Range::default(), 9);
    assert!(told.is_err(), "{told:?}");
}

/// What holds a number or a text may be of another type than the usual one; what would come out as something else is told of.
fn values_of_other_types_travel_or_are_told_of(place: &Place) {
    const TABLE: Table = Table {
        name: "others",
        key: &["id"],
        columns: &[
            column("id", Kind::Integer),
            column("small", Kind::Integer),
            column("name", Kind::Text),
            column("mark", Kind::Text),
            column("day", Kind::Text),
            column("at", Kind::Time),
        ],
    };
    let mut conn = place.begin();
    run(
        &mut conn,
        "CREATE TABLE others (id INTEGER PRIMARY KEY, small SMALLINT, name VARCHAR(9), mark UUID, day TEXT, at TIMESTAMPTZ);
         CREATE TYPE mood AS ENUM ('glad');
         SET LOCAL TIME ZONE 'Asia/Kathmandu'; SET LOCAL DateStyle = 'German';
         INSERT INTO others VALUES (7, -3, 'a''b', '6f1c2a34-0000-4000-8000-00000000abcd', NULL, '2026-11-25 06:17:51.00012Z');",
    )
    .unwrap();
    let mut row = object(json!({
        "id": "7", "small": "-3", "name": "a'b", "mark": "6f1c2a34-0000-4000-8000-00000000abcd", "day": null,
        "at": "2026-11-25T06:17:51.000120Z",
    }));
    assert_eq!(all(&mut conn, &TABLE), [row.clone()]);
    let mut altered = |to: &str| {
        let alter = format!("SAVEPOINT s; ALTER TABLE others ALTER at TYPE TIMESTAMP, ALTER {to}");
        run(&mut conn, &alter).unwrap();
        let read = ROWS.page(&mut conn, &TABLE, &Range::default(), 9);
        run(&mut conn, "ROLLBACK TO SAVEPOINT s").unwrap();
        read
    };
    // The server's own time zone is that of the session, and a time without a zone was made in it.
    row.insert("at", "2026-11-25T12:02:51.000120Z".into());
    for (to, column, value) in [
        ("small TYPE NUMERIC USING 5", "small", "5"),
        ("day TYPE DATE USING '03.02.2026'::date", "day", "2026-02-03"),
        ("day TYPE mood USING 'glad'", "day", "glad"),
        ("day TYPE CHAR(4) USING 'ab'", "day", "ab  "),
    ] {
        let mut expected = row.clone();
        expected.insert(column, value.into());
        assert_eq!(altered(to).unwrap(), [expected], "{to}");
    }
    for (to, column, value) in [
        ("small TYPE NUMERIC USING 0.5", "small", "0.5"),
        ("small TYPE TEXT USING '12abc'", "small", "12abc"),
        ("small TYPE BOOLEAN USING true", "small", "true"),
        ("day TYPE BOOLEAN USING true", "day", "true"),
        ("day TYPE NUMERIC USING 1.50", "day", "1.5"),
        ("day TYPE JSON USING '{}'", "day", "{}"),
    ] {
        let told = format!("{:?}", altered(to).unwrap_err());
        assert!(
            told.contains(column) && told.contains(value) && told.contains("[\\\"7\\\"]"),
            "{to}: {told}"
        );
    }
}
