//! What filling the shop promises, on SQLite.

use super::*;
use crate::app::App;
use crate::config::{DEFAULTS, PREFIX, Settings};

fn order(products: usize, stock: Option<i64>) -> Order {
    Order {
        products,
        stock,
        currency: "GBP".to_owned(),
    }
}

fn shop(dir: &tempfile::TempDir) -> App {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let overrides = [
        ("database", Some(format!("sqlite:{}", path("shop.db")))),
        ("auth.key_file", Some(path("key.pem"))),
    ];
    let settings: Settings = chassis::config::load(DEFAULTS, None, PREFIX, &overrides).unwrap();
    let db = Db::open(settings.database.reveal(), &settings.pool).unwrap();
    db.migrate(&crate::app::MIGRATIONS).unwrap();
    App::assemble(&settings).unwrap()
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_larger_one_adds_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let app = shop(&dir);
    let report = |added, stocked| Report { added, stocked };
    assert_eq!(app.seed(&order(700, Some(0))).unwrap(), report(700, 0));
    assert_eq!(app.seed(&order(700, Some(9))).unwrap(), report(0, 700));
    assert_eq!(app.seed(&order(700, None)).unwrap(), report(0, 0));
    assert_eq!(app.seed(&order(1200, None)).unwrap(), report(500, 500));
}
