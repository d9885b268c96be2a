//! `monolith import online-retail` as it is run: the real binary on generated books, held against sums that are computed
//! here straight from the same lines.
#![allow(clippy::unwrap_used, reason = "a panic in a test is a report")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use chassis::db::{Db, PoolSettings};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
const COUNTRIES: [&str; 3] = ["United Kingdom", "EIRE", "Norway"];

/// Books with guests, cancellations, zero prices, missing descriptions, codes that differ in case alone, and, among 60 good
/// lines, three that cannot be taken.
fn books() -> Vec<String> {
    let mut lines = vec![HEADER.to_owned()];
    for i in 0..60_i64 {
        let invoice = 100 + i / 4;
        let cancelled = invoice % 5 == 0;
        let number = format!("{}{invoice}", if cancelled { "C" } else { "" });
        let code = ["85123A", "85123a", "POST", "D", "71053"][usize::try_from(i % 5).unwrap()];
        let description = if i % 7 == 0 { "" } else { "\"MUG, \"\"RED\"\"\"" };
        let quantity = if cancelled || i % 11 == 0 { -(i + 1) } else { i + 1 };
        let customer = if invoice % 3 == 0 {
            String::new()
        } else {
            (17_000 + invoice % 4).to_string()
        };
        let country = COUNTRIES[usize::try_from(invoice % 3).unwrap()];
        let price = format!("{}.{:02}", i % 13, i * 7 % 100);
        let price = if i % 9 == 0 { "0".to_owned() } else { price };
        lines.push(format!(
            "{number},{code},{description},{quantity},01/12/2010 08:{:02},{price},{customer},{country}",
            i % 60
        ));
    }
    lines.insert(5, "101,71053,x,1,01/12/2010 08:26,1.005,,EIRE".to_owned());
    lines.insert(9, "nothing".to_owned());
    lines.insert(20, "101,71053,x,many,01/12/2010 08:26,1.00,,EIRE".to_owned());
    lines
}

/// What the good lines come to in pence, by the column `key`.
fn sums(lines: &[String], key: usize) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for line in &lines[1..] {
        // The one quoted field of these books, out of the way.
        let line = line.replace("\"MUG, \"\"RED\"\"\"", "");
        let fields: Vec<&str> = line.split(',').collect();
        let (Some(quantity), Some(price)) = (fields.get(3), fields.get(5)) else {
            continue;
        };
        let (Ok(quantity), false) = (quantity.parse::<i64>(), price.len() > 5) else {
            continue;
        };
        let pence = match price.split_once('.') {
            Some((_, part)) if part.len() > 2 => continue,
            Some((whole, part)) => format!("{whole}{part}").parse::<i64>().unwrap(),
            None => price.parse::<i64>().unwrap() * 100,
        };
        *sums.entry(fields[key].to_owned()).or_insert(0) += pence * quantity;
    }
    sums
}

fn monolith(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_monolith"))
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap()
}

fn import(dir: &Path, file: &str, more: &[&str]) -> Output {
    monolith(dir, &[&["import", "online-retail", file], more].concat())
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = BigInt)]
    amount: i64,
}

fn stored(dir: &Path, key: &str) -> BTreeMap<String, i64> {
    let url = format!("sqlite:{}", dir.join("shop.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    let mut conn = db.connect().unwrap();
    let query = format!(
        "SELECT {key} AS key, SUM(l.quantity * l.unit_amount) AS amount \
         FROM order_lines l JOIN orders o ON o.id = l.order_id GROUP BY {key}"
    );
    let rows: Vec<Sum> = diesel::sql_query(query).load(&mut *conn).unwrap();
    rows.into_iter().map(|row| (row.key, row.amount)).collect()
}

/// The last id that the database has allocated to an order.
fn last_order_id(dir: &Path) -> i64 {
    #[derive(QueryableByName)]
    struct Sequence {
        #[diesel(sql_type = BigInt)]
        seq: i64,
    }
    let url = format!("sqlite:{}", dir.join("shop.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    let query = "SELECT seq FROM sqlite_sequence WHERE name = 'orders'";
    let row: Sequence = diesel::sql_query(query)
        .get_result(&mut *db.connect().unwrap())
        .unwrap();
    row.seq
}

#[test]
fn what_is_taken_adds_up_and_a_second_import_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lines = books();
    std::fs::write(dir.path().join("books.csv"), lines.join("\r\n")).unwrap();
    assert!(monolith(dir.path(), &["migrate"]).status.success());
    let run = || {
        let output = import(dir.path(), "books.csv", &["--json", "--rejects", "rejects.csv"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let first = run();
    assert_eq!(
        (first["lines"].as_i64(), first["taken"].as_i64()),
        (Some(63), Some(60))
    );
    assert_eq!(
        first["rejected"],
        serde_json::json!({"columns": 1, "price-decimals": 1, "quantity": 1})
    );
    assert_eq!(
        (first["invoices"].as_i64(), first["added"]["invoices"].as_i64()),
        (Some(15), Some(15))
    );
    assert_eq!(
        (first["cancellations"].as_i64(), first["products"].as_i64()),
        (Some(3), Some(5))
    );
    let rejects = std::fs::read_to_string(dir.path().join("rejects.csv")).unwrap();
    assert_eq!(rejects.lines().count(), 4, "{rejects}");
    let (codes, countries) = (stored(dir.path(), "l.sku"), stored(dir.path(), "o.country"));
    assert_eq!((&codes, &countries), (&sums(&lines, 1), &sums(&lines, 7)));
    let taken = last_order_id(dir.path());
    let total: i64 = codes.values().sum();
    assert_eq!(
        first["total"].as_str().unwrap().replace('.', ""),
        total.to_string()
    );
    let second = run();
    assert_eq!(second["added"], serde_json::json!({"invoices": 0, "products": 0}));
    assert_eq!(
        (second["taken"].as_i64(), second["total"].as_str()),
        (Some(60), first["total"].as_str())
    );
    assert_eq!(stored(dir.path(), "l.sku"), codes);
    assert_eq!(
        last_order_id(dir.path()),
        taken,
        "ids were taken for orders that were there"
    );
}

#[test]
fn an_invoice_that_is_there_with_something_else_on_it_is_told_of_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let book = |quantity: i64| format!("{HEADER}\n1,A,Mug,{quantity},01/12/2010 08:26,1.50,7,EIRE\n");
    std::fs::write(dir.path().join("a.csv"), book(2)).unwrap();
    std::fs::write(dir.path().join("b.csv"), book(3)).unwrap();
    assert!(monolith(dir.path(), &["migrate"]).status.success());
    assert!(import(dir.path(), "a.csv", &[]).status.success());
    let output = import(dir.path(), "b.csv", &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && told.contains("line 2: the shop has an invoice"),
        "{told}"
    );
    assert_eq!(
        stored(dir.path(), "l.sku"),
        BTreeMap::from([("A".to_owned(), 300)])
    );
}

#[test]
fn a_file_that_cannot_be_read_changes_nothing_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("other.csv"), "a,b\n1,2\n").unwrap();
    // A packed file that ends too early.
    std::fs::write(
        dir.path().join("torn.gz"),
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 75],
    )
    .unwrap();
    assert!(monolith(dir.path(), &["migrate"]).status.success());
    for (file, word) in [
        ("other.csv", "Online Retail format"),
        ("torn.gz", "cannot be read"),
        ("none.csv", "cannot be read"),
    ] {
        let output = import(dir.path(), file, &[]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && told.contains(word),
            "{file}: {told}"
        );
    }
    assert!(stored(dir.path(), "l.sku").is_empty());
}
