//! How fast rows go through `Plain`. Only when asked for, and meant for a release build:
//! `cargo test --release -p handover --test databases -- --ignored --nocapture speed`.
#![allow(clippy::print_stderr, reason = "the figures are what this is for")]

use std::time::Instant;

use handover::row::{Key, Row};
use handover::store::{Range, Store};
use serde_json::json;

use crate::Work;
use crate::place::{GOODS, Place, ROWS, name, run};
use crate::rows::{good, put_goods};

pub(crate) fn on_both() -> Vec<(&'static str, Work)> {
    crate::trials![rows_are_written_and_read_at_the_rate_of_a_copy]
}

const ROWS_IN_ALL: i64 = 200_000;
const PAGE: usize = 1000;

fn rows_are_written_and_read_at_the_rate_of_a_copy(place: &Place) {
    let mut conn = place.connect();
    place.pen("there", "held");
    run(&mut conn, &format!("BEGIN; {}", place.mark())).unwrap();
    put_goods(&mut conn, &[]);
    let rows: Vec<Row> = (1..=ROWS_IN_ALL)
        .map(|id| {
            good(
                id,
                &format!("SKU-{id:08}"),
                &json!({"note": "A mug for tea, red, 0.3 litres ☕", "amount": (id * 7).to_string()}),
            )
        })
        .collect();
    let rate = |began: Instant| ROWS_IN_ALL as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    for page in rows.chunks(PAGE) {
        ROWS.put(&mut conn, &GOODS, page).unwrap();
    }
    run(&mut conn, &format!("{}; COMMIT", place.unmark())).unwrap();
    let written = rate(began);

    let began = Instant::now();
    let (mut range, mut read) = (Range::default(), 0);
    loop {
        let page = ROWS.page(&mut conn, &GOODS, &range, PAGE).unwrap();
        read += page.len();
        match page.last() {
            Some(last) => range.after = GOODS.key_of(last),
            None => break,
        }
    }
    assert_eq!(read, rows.len());
    let paged = rate(began);

    let keys: Vec<Key> = rows.iter().filter_map(|row| GOODS.key_of(row)).collect();
    let began = Instant::now();
    for keys in keys.chunks(PAGE) {
        assert_eq!(ROWS.find(&mut conn, &GOODS, keys).unwrap().len(), PAGE);
    }
    let found = rate(began);

    run(&mut conn, &format!("BEGIN; {}", place.mark())).unwrap();
    let began = Instant::now();
    for page in rows.chunks(PAGE) {
        ROWS.put(&mut conn, &GOODS, page).unwrap();
    }
    let again = rate(began);
    run(
        &mut conn,
        &format!("{}; COMMIT; BEGIN; {}", place.unmark(), place.mark()),
    )
    .unwrap();
    let began = Instant::now();
    ROWS.clear(&mut conn).unwrap();
    run(&mut conn, &format!("{}; COMMIT", place.unmark())).unwrap();
    eprintln!(
        "{}: {written:.0} rows/s written, {again:.0} written over, {paged:.0} read by page, {found:.0} found by key; cleared in {:?}",
        name(place.backend),
        began.elapsed()
    );
}
