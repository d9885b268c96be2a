//! What the store promises, on SQLite; the behaviour suite holds it to the same on PostgreSQL.

use chassis::db::{Db, PoolSettings};
use chassis::time::now;

use super::bulk::{Effect, Whole};
use super::*;
use crate::model::{Precondition, PricePoint};
use crate::words::{Search, words};

fn database(dir: &tempfile::TempDir) -> Db {
    let url = format!("sqlite:{}", dir.path().join("t.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    db.migrate(&crate::MIGRATIONS).unwrap();
    db
}

/// Runs `work` in a write transaction of a fresh database.
fn on_a_shelf(work: impl Fn(&mut Conn)) {
    let dir = tempfile::tempdir().unwrap();
    let db = database(&dir);
    let mut conn = db.connect().unwrap();
    chassis::db::transact(&mut conn, |conn| {
        work(conn);
        Ok::<_, Error>(())
    })
    .unwrap();
}

fn pounds(amount: i64) -> Money {
    Money {
        amount,
        currency: "GBP".to_owned(),
    }
}

fn mug(price: i64) -> Details {
    Details {
        name: "Red mug".to_owned(),
        description: String::new(),
        category: "kitchen".to_owned(),
        price: pounds(price),
        status: Status::Active,
    }
}

fn amounts(conn: &mut Conn) -> Vec<i64> {
    price_history::table
        .select(price_history::amount)
        .order((price_history::product_id, price_history::seq))
        .load(conn)
        .unwrap()
}

fn found(conn: &mut Conn, question: &str) -> Vec<String> {
    let filter = Filter {
        search: Search::of(question),
        ..Filter::default()
    };
    let page = list(conn, &filter, None, 3).unwrap();
    let mut skus: Vec<String> = page.into_iter().map(|product| product.sku).collect();
    while let Some(last) = skus.last().cloned() {
        let page = list(conn, &filter, Some(last), 3).unwrap();
        if page.is_empty() {
            break;
        }
        skus.extend(page.into_iter().map(|product| product.sku));
    }
    skus
}

#[test]
fn each_price_is_an_entry_of_the_history_and_the_same_one_again_is_not() {
    on_a_shelf(|conn| {
        create(conn, "A", &mug(100)).unwrap();
        let dearer = set_price(conn, "A", &pounds(120), &Precondition::None).unwrap();
        assert_eq!((dearer.details.price.amount, dearer.version), (120, 2));
        let same = set_price(conn, "A", &pounds(120), &Precondition::None).unwrap();
        assert_eq!(same.version, 2);
        let renamed = Details {
            name: "Blue mug".to_owned(),
            ..mug(120)
        };
        assert_eq!(
            replace(conn, "A", &renamed, &Precondition::None).unwrap().version,
            3
        );
        assert_eq!(amounts(conn), [100, 120]);
        assert_eq!(found(conn, "red"), [""; 0]);
        assert_eq!(found(conn, "blue mu"), ["A"]);
    });
}

#[test]
fn the_database_refuses_to_change_an_entry_of_the_history() {
    on_a_shelf(|conn| {
        create(conn, "A", &mug(100)).unwrap();
        let forged = diesel::update(price_history::table).set(price_history::amount.eq(1));
        let refusal = forged.execute(conn).unwrap_err().to_string();
        assert!(refusal.contains("append-only"), "{refusal}");
    });
}

#[test]
fn versions_go_on_after_a_deletion_so_that_no_old_tag_ever_matches() {
    on_a_shelf(|conn| {
        create(conn, "A", &mug(100)).unwrap();
        delete(conn, "A", &Precondition::Tags(vec!["\"v1\"".to_owned()])).unwrap();
        assert!(matches!(find(conn, "A"), Err(Error::NotFound(_))));
        assert!(found(conn, "mug").is_empty() && categories(conn, None, 9).unwrap().is_empty());
        assert_eq!(create(conn, "A", &mug(100)).unwrap().version, 3);
        assert_eq!(found(conn, "mug"), ["A"]);
        let stale = delete(conn, "A", &Precondition::Tags(vec!["\"v1\"".to_owned()]));
        assert!(matches!(stale, Err(Error::Changed { current: 3 })));
        assert!(matches!(create(conn, "A", &mug(1)), Err(Error::SkuTaken(_))));
    });
}

/// Names that tokenisers have ideas about.
const NAMES: [&str; 11] = [
    "Red T-Light",
    "running RUN runs",
    "café Cafe\u{301}",
    "ΟΔΟΣ",
    "ΟΔΟΣΑ",
    "İstanbul STRASSE straße",
    "x² ½ ٣٤",
    "日本 日本語",
    "(a OR b) NEAR \"c\" *",
    "the of and",
    "- …",
];

/// Questions to ask of [`NAMES`], and words that are asked for in vain.
const QUESTIONS: &str = "red|t li|LIGHT re|run|running|cafe|café|caf|οδος|οδοσ|i\u{307}|strasse|straße|x²|½|٣|日本|日|\
                         a or b|near c|the|of and the|…|sku 0|mug";

#[test]
fn search_answers_as_the_words_say_whatever_the_tokeniser_thinks() {
    let long = "é".repeat(230);
    let names = NAMES
        .into_iter()
        .chain([long.as_str(), &long[..400]])
        .collect::<Vec<_>>();
    let mut questions: Vec<&str> = QUESTIONS.split('|').collect();
    questions.extend([&long, &long[..400], &long[..402], &long[..2]]);
    on_a_shelf(|conn| {
        let sku = |i: usize| format!("sku {i:02}");
        for (i, name) in names.iter().enumerate() {
            let product = Details {
                name: (*name).to_owned(),
                ..mug(1)
            };
            create(conn, &sku(i), &product).unwrap();
        }
        for question in &questions {
            let mut asked: Vec<String> = words(question).collect();
            let last = asked.pop().unwrap_or_default();
            let answers = |i: &usize| {
                let there: Vec<String> = words(&format!("{} {}", sku(*i), names[*i])).collect();
                asked.iter().all(|word| there.contains(word))
                    && (last.is_empty() || there.iter().any(|word| word.starts_with(&last)))
            };
            let expected: Vec<String> = (0..names.len()).filter(answers).map(sku).collect();
            assert_eq!(found(conn, question), expected, "{question}");
        }
    });
}

fn whole(sku: &str, prices: &[i64]) -> Whole {
    let at = chrono::DateTime::UNIX_EPOCH.naive_utc();
    let point = |amount: &i64| PricePoint {
        price: pounds(*amount),
        from: at,
    };
    Whole {
        sku: sku.to_owned(),
        name: format!("Thing {sku}"),
        description: String::new(),
        category: "things".to_owned(),
        status: Status::Active,
        version: 4,
        created_at: at,
        updated_at: at,
        deleted_at: None,
        prices: prices.iter().map(point).collect(),
    }
}

#[test]
fn a_bulk_write_makes_rows_equal_and_leaves_equal_ones_alone() {
    on_a_shelf(|conn| {
        let all = [whole("A", &[1]), whole("B", &[1, 2]), whole("C", &[5])];
        let effect = |new, changed, same| Effect { new, changed, same };
        assert_eq!(bulk::upsert(conn, &all).unwrap(), effect(3, 0, 0));
        assert_eq!(bulk::upsert(conn, &all).unwrap(), effect(0, 0, 3));
        let gone = Whole {
            deleted_at: Some(now()),
            ..whole("C", &[5])
        };
        let next = [whole("A", &[1, 7]), whole("B", &[3]), gone];
        assert_eq!(bulk::upsert(conn, &next).unwrap(), effect(0, 3, 0));
        assert_eq!(amounts(conn), [1, 7, 3, 5]);
        assert_eq!(find(conn, "A").unwrap().details.price.amount, 7);
        assert_eq!(found(conn, "thing"), ["A", "B"]);
        // What is created again goes on from the version that came.
        assert_eq!(create(conn, "C", &mug(9)).unwrap().version, 5);
    });
}

#[test]
fn what_is_not_to_be_kept_is_found_within_its_stretch_and_removed_with_all_it_has() {
    on_a_shelf(|conn| {
        let all = ["A", "B", "C", "D"].map(|sku| whole(sku, &[1]));
        bulk::upsert(conn, &all).unwrap();
        let strangers = bulk::strangers(conn, Some("A"), Some("C"), &all[2..3]).unwrap();
        assert_eq!(bulk::remove(conn, &strangers).unwrap(), 1);
        assert_eq!(found(conn, "thing"), ["A", "C", "D"]);
        assert_eq!(amounts(conn).len(), 3);
    });
}
