//! What `Plain` does with rows that do not simply fit: children, swapped values, sequences, rows that are none.

use std::collections::BTreeMap;

use handover::ddl::Backend;
use handover::row::Row;
use handover::store::Store;
use serde_json::json;

use crate::Work;
use crate::place::{GOODS, LABELS, MARKS, Place, ROWS, SHELVES, everything, number, run};
use crate::rows::{all, good, key, object, put_goods};

pub(crate) fn on_both() -> Vec<(&'static str, Work)> {
    crate::trials![
        what_hangs_on_a_row_goes_with_it,
        rows_of_one_page_may_swap_their_unique_values,
        a_unique_value_that_a_row_elsewhere_has_is_refused_and_nothing_is_left,
        a_row_that_is_none_is_refused,
        everything_is_removed_by_clear,
        sequences_go_on_behind_what_was_given_out,
        a_sequence_never_goes_back,
    ]
}

fn stocked(place: &Place) -> impl std::ops::DerefMut<Target = chassis::db::Conn> + use<> {
    place.stock();
    place.begin()
}

fn what_hangs_on_a_row_goes_with_it(place: &Place) {
    let mut conn = stocked(place);
    // The label hangs on the good, and the good on the shelf.
    ROWS.remove(&mut conn, &SHELVES, &[key(&["1"]), key(&["99"]), key(&["x"])])
        .unwrap();
    assert_eq!(all(&mut conn, &SHELVES).len(), 2);
    assert_eq!(
        all(&mut conn, &GOODS)
            .iter()
            .map(|row| row["id"].clone())
            .collect::<Vec<_>>(),
        [json!("2")]
    );
    assert!(all(&mut conn, &LABELS).is_empty());
    ROWS.remove(&mut conn, &MARKS, &[key(&["a", "b"])]).unwrap();
    assert!(all(&mut conn, &MARKS).is_empty());
    ROWS.remove(&mut conn, &MARKS, &[]).unwrap();
}

fn rows_of_one_page_may_swap_their_unique_values(place: &Place) {
    let mut conn = place.begin();
    put_goods(
        &mut conn,
        &[
            good(1, "A", &json!({})),
            good(2, "B", &json!({})),
            good(3, "C", &json!({})),
        ],
    );
    let turned: Vec<Row> = vec![
        good(1, "B", &json!({})),
        good(2, "C", &json!({})),
        good(3, "A", &json!({})),
        good(4, "D", &json!({})),
    ];
    ROWS.put(&mut conn, &GOODS, &turned).unwrap();
    assert_eq!(all(&mut conn, &GOODS), turned);
    run(&mut conn, "COMMIT").unwrap();
    assert_eq!(all(&mut conn, &GOODS), turned);
}

fn a_unique_value_that_a_row_elsewhere_has_is_refused_and_nothing_is_left(place: &Place) {
    let mut conn = stocked(place);
    let before = everything(&mut conn);
    let refused = ROWS.put(
        &mut conn,
        &GOODS,
        &[good(3, "NEW", &json!({})), good(2, "MUG", &json!({}))],
    );
    assert!(
        refused
            .as_ref()
            .is_err_and(chassis::db::Error::is_unique_violation),
        "{refused:?}"
    );
    // Within the same transaction, so that a caller can go on with something else.
    assert_eq!(everything(&mut conn), before);
}

fn a_row_that_is_none_is_refused(place: &Place) {
    let mut conn = place.begin();
    put_goods(&mut conn, &[]);
    let whole = good(1, "MUG", &json!({}));
    let mut lacking = whole.clone();
    lacking.remove("gone_at");
    for (row, column) in [
        (lacking, "gone_at"),
        (good(1, "MUG", &json!({"amount": "12abc"})), "amount"),
        (good(1, "MUG", &json!({"amount": "012"})), "amount"),
        (
            good(1, "MUG", &json!({"amount": "9223372036854775808"})),
            "amount",
        ),
        (good(1, "MUG", &json!({"amount": 12})), "amount"),
        (good(1, "MUG", &json!({"active": "true"})), "active"),
        (good(1, "MUG", &json!({"note": "a\u{0}b"})), "note"),
        (good(1, "MUG", &json!({"note": 7})), "note"),
        (
            good(1, "MUG", &json!({"made_at": "2026-11-25T06:17:51Z"})),
            "made_at",
        ),
        (
            good(1, "MUG", &json!({"made_at": "2026-02-30T06:17:51.000000Z"})),
            "made_at",
        ),
        (
            good(1, "MUG", &json!({"made_at": "2026-11-25T24:17:51.000000Z"})),
            "made_at",
        ),
        (
            good(1, "MUG", &json!({"made_at": "2026-11-25 06:17:51.000000Z"})),
            "made_at",
        ),
    ] {
        let told = format!(
            "{:?}",
            ROWS.put(&mut conn, &GOODS, std::slice::from_ref(&row))
                .unwrap_err()
        );
        assert!(told.contains("goods") && told.contains(column), "{row:?}: {told}");
    }
    assert!(all(&mut conn, &GOODS).is_empty());
}

fn everything_is_removed_by_clear(place: &Place) {
    place.pen("there", "held");
    let mut conn = stocked(place);
    assert!(ROWS.clear(&mut conn).is_err(), "the pen is elsewhere");
    run(&mut conn, &format!("ROLLBACK; BEGIN; {}", place.mark())).unwrap();
    ROWS.clear(&mut conn).unwrap();
    run(&mut conn, &format!("{}; COMMIT", place.unmark())).unwrap();
    for table in ROWS.tables {
        assert!(all(&mut conn, table).is_empty(), "{}", table.name);
    }
    assert!(place.noted().is_empty());
}

fn sequences_go_on_behind_what_was_given_out(place: &Place) {
    let mut conn = place.begin();
    let none = ["goods.id", "labels.id", "shelves.id"]
        .map(|name| (name.to_owned(), 0))
        .into();
    assert_eq!(ROWS.sequences(&mut conn).unwrap(), none);
    run(
        &mut conn,
        "INSERT INTO shelves (slug) VALUES ('one'), ('two'); DELETE FROM shelves WHERE slug = 'two'",
    )
    .unwrap();
    let last = ROWS.sequences(&mut conn).unwrap();
    assert_eq!(
        last["shelves.id"], 2,
        "a number whose row is gone was given out all the same"
    );
    put_goods(&mut conn, &[good(41, "S", &json!({}))]);
    let past: BTreeMap<String, i64> = [("shelves.id".to_owned(), 9), ("goods.id".to_owned(), 3)].into();
    ROWS.raise_sequences(&mut conn, &past).unwrap();
    run(
        &mut conn,
        "INSERT INTO shelves (slug) VALUES ('ten');
         INSERT INTO goods (sku, shelf_id, amount, active, words, made_at) VALUES ('x', 1, 1, true, '', '2026-11-25 06:17:51');
         INSERT INTO labels (goods_id) VALUES (41)",
    )
    .unwrap();
    assert_eq!(number(&mut conn, "SELECT max(id) AS n FROM shelves"), 10);
    assert_eq!(
        number(&mut conn, "SELECT max(id) AS n FROM goods"),
        42,
        "past the greatest that is there"
    );
    assert_eq!(
        number(&mut conn, "SELECT max(id) AS n FROM labels"),
        1,
        "one that was never used begins at its beginning"
    );
}

fn a_sequence_never_goes_back(place: &Place) {
    let mut conn = place.begin();
    let past = |n: i64| BTreeMap::from([("shelves.id".to_owned(), n)]);
    ROWS.raise_sequences(&mut conn, &past(50)).unwrap();
    for n in [7, 0, 50] {
        ROWS.raise_sequences(&mut conn, &past(n)).unwrap();
        assert_eq!(ROWS.sequences(&mut conn).unwrap()["shelves.id"], 50);
    }
    if place.backend == Backend::Sqlite {
        let row = object(json!({"id": "60", "slug": "sixty"}));
        ROWS.put(&mut conn, &SHELVES, &[row]).unwrap();
        assert_eq!(ROWS.sequences(&mut conn).unwrap()["shelves.id"], 60);
    }
}
