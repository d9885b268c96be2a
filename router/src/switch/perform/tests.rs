//! What making a switch promises: file and log agree, whoever goes away and whatever is down.

use std::time::Instant;

use diesel::connection::SimpleConnection;

use super::*;
use crate::config::Mode;
use crate::config::Percent;
use crate::switch::Change;
use crate::switch::audit::{Entry, Filter};
use crate::switch::databases::Database;
use crate::switch::file::sha256;

mod crash;
mod log_down;

const FILE: &str = "\
[router]
[upstreams]
monolith = \"http://127.0.0.1:1\"
catalog  = \"http://127.0.0.1:2\"

[modules.catalog]
service = \"catalog\"
[[modules.catalog.routes]]
name  = \"get\"
match = \"GET /get\"
mode  = \"monolith\" # for now
[[modules.catalog.routes]]
name  = \"list\"
match = \"GET /list\"
mode  = \"service\"

[modules.carts]
[[modules.carts.routes]]
name  = \"cart\"
match = \"GET /cart\"
mode  = \"monolith\"
";

/// A config file and a router's switcher for it.
struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
    switcher: Switcher,
}

impl Bench {
    fn new(db: Db) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("banyan.toml");
        std::fs::write(&path, FILE).unwrap();
        Self {
            switcher: switcher(db, &path),
            path,
            _folder: folder,
        }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    async fn entries(&self) -> Vec<Entry> {
        assert!(self.switcher.written(Duration::from_secs(10)).await);
        let ledger = self.switcher.ledger();
        ledger.verify_chain().await.unwrap();
        ledger.list(Filter::default(), None, 100).await.unwrap()
    }

    /// Action and outcome of each entry, oldest first.
    async fn story(&self) -> Vec<(&'static str, &'static str)> {
        let entries = self.entries().await;
        let tell = |entry: &Entry| {
            let outcome = entry.conclusion.as_ref().map(|end| end.outcome.words());
            (entry.planned.action.word(), outcome.unwrap_or("open"))
        };
        entries.iter().rev().map(tell).collect()
    }
}

fn switcher(db: Db, path: &Path) -> Switcher {
    Switcher::new(db, path, &Config::load(path).unwrap())
}

fn request(action: Action, route: &str, to: Mode) -> SwitchRequest {
    SwitchRequest {
        actor: "cli:ann@desk".to_owned(),
        action,
        changes: vec![Change {
            route: route.to_owned(),
            to,
        }],
        reason: "the fair".to_owned(),
        forced: false,
        certificate: None,
        expected: None,
    }
}

fn canary(percent: &str) -> Mode {
    Mode::Canary(Percent::parse(percent).unwrap())
}

#[tokio::test]
async fn a_switch_changes_the_file_and_is_told_in_the_words_of_the_plan() {
    for database in Database::each() {
        let bench = Bench::new(database.migrated());
        let wish = request(Action::Promote, "get", canary("10"));
        let sentence = plan("f", FILE.as_bytes(), &wish).unwrap().planned.sentence();
        let switched = bench.switcher.perform(wish.clone()).await.unwrap();
        let expected = FILE.replace("\"monolith\" # for now", "\"canary\" # for now\npercent = 10");
        assert_eq!(bench.text(), expected);
        assert_eq!(switched.config.hash, sha256(expected.as_bytes()));
        assert!(switched.is_changed && switched.is_recorded);
        let entry = bench.entries().await.remove(0);
        assert_eq!((Some(entry.id), entry.sentence()), (switched.entry, sentence));
        assert_eq!(entry.planned.hash_before, sha256(FILE.as_bytes()));
        assert_eq!(entry.planned.hash_after, switched.config.hash);
        assert_eq!(entry.planned.moves[0].module, "catalog");
        assert_eq!(entry.conclusion.unwrap().outcome, Outcome::Done);
        // The same once more changes nothing and is no entry.
        let again = bench.switcher.perform(wish).await.unwrap();
        assert!(!again.is_changed && again.entry.is_none());
        assert_eq!(bench.story().await, [("promote", "done")]);
    }
}

#[tokio::test]
async fn a_switch_that_the_config_does_not_allow_changes_nothing_and_names_the_line() {
    let database = Database::sqlite();
    let bench = Bench::new(database.migrated());
    let refused = bench
        .switcher
        .perform(request(Action::Set, "cart", Mode::Service))
        .await;
    let is_cart = |refused: &Refused| refused.faults.len() == 1 && refused.faults[0].line == 21;
    assert!(
        matches!(&refused, Err(SwitchError::Refused(refused)) if is_cart(refused)),
        "{refused:?}"
    );
    let unknown = bench
        .switcher
        .perform(request(Action::Set, "crat", Mode::Service))
        .await;
    assert!(matches!(unknown, Err(SwitchError::Edit(_))));
    let mut stale = request(Action::Set, "get", Mode::Service);
    stale.expected = Some("0".repeat(64));
    let stale = bench.switcher.perform(stale).await.unwrap_err();
    assert!(stale.to_string().contains("000000000000…"), "{stale}");
    assert_eq!(bench.text(), FILE);
    assert_eq!(bench.story().await, []);
    assert_eq!(
        std::fs::read_dir(bench.path.parent().unwrap()).unwrap().count(),
        1
    );
}

#[tokio::test]
async fn a_file_with_mistakes_of_its_own_is_not_switched() {
    let database = Database::sqlite();
    let bench = Bench::new(database.migrated());
    let broken = FILE.replace("\"service\"", "\"servcie\"");
    std::fs::write(&bench.path, &broken).unwrap();
    let refused = bench
        .switcher
        .perform(request(Action::Revert, "get", Mode::Monolith))
        .await;
    assert!(matches!(refused, Err(SwitchError::Broken(refused)) if refused.faults[0].line == 15));
    let refused = Config::load(&bench.path).unwrap_err();
    bench
        .switcher
        .note_refused(&refused, &sha256(broken.as_bytes()))
        .await;
    let entry = bench.entries().await.remove(0);
    assert_eq!(entry.planned.hash_after, sha256(broken.as_bytes()));
    assert!(entry.conclusion.unwrap().detail.contains(":15:"));
    assert_eq!(entry.planned.action, Action::RefusedReload);
}

#[tokio::test]
async fn an_edit_by_hand_is_an_entry_before_the_switch_that_found_it_and_our_own_is_none() {
    for database in Database::each() {
        let bench = Bench::new(database.migrated());
        let by_hand = FILE.replace("\"service\"", "\"monolith\"");
        std::fs::write(&bench.path, &by_hand).unwrap();
        let switched = bench
            .switcher
            .perform(request(Action::Set, "get", Mode::Service))
            .await;
        // The reload comes by later and finds what the switch has written.
        bench.switcher.note_reload(&switched.unwrap().config).await;
        let entries = bench.entries().await;
        assert_eq!(bench.story().await, [("reload", "done"), ("set", "done")]);
        assert_eq!(
            entries[1].sentence(),
            "take the file as it was edited list: service → monolith; by file; reason: the file was edited"
        );
        assert_eq!(entries[0].planned.moves.len(), 1);
        // Back to a content that was ours is an edit by hand again.
        std::fs::write(&bench.path, FILE).unwrap();
        bench
            .switcher
            .note_reload(&Config::load(&bench.path).unwrap())
            .await;
        assert_eq!(bench.story().await.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn switches_from_two_processes_at_once_are_all_made_one_after_another() {
    for database in Database::each() {
        database.migrated();
        let mut bench = Bench::new(database.open());
        let routes: Vec<String> = (0..12).map(|number| format!("r{number}")).collect();
        let more = routes.iter().map(|route| {
            format!("[[modules.catalog.routes]]\nname = \"{route}\"\nmatch = \"GET /{route}\"\nmode = \"monolith\"\n")
        });
        std::fs::write(&bench.path, format!("{FILE}{}", more.collect::<String>())).unwrap();
        bench.switcher = switcher(database.open(), &bench.path);
        let other = switcher(database.open(), &bench.path);
        let switches = routes.iter().enumerate().map(|(number, route)| {
            let switcher = if number % 2 == 0 { &bench.switcher } else { &other }.clone();
            let wish = request(Action::Set, route, canary("5"));
            tokio::spawn(async move { switcher.perform(wish).await })
        });
        for switch in switches.collect::<Vec<_>>() {
            switch.await.unwrap().unwrap();
        }
        assert_eq!(bench.text().matches("percent = 5").count(), 12);
        assert!(other.written(Duration::from_secs(10)).await);
        // What the other process has written is no edit by hand.
        assert_eq!(bench.story().await, [("set", "done"); 12]);
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_changes_nothing_about_the_switch() {
    let database = Database::sqlite();
    let bench = Bench::new(database.migrated());
    bench.switcher.recover().await.unwrap();
    // Somebody holds the database, so the switch is in the middle when its caller goes.
    let lock = database.open();
    let mut lock = lock.connect().unwrap();
    lock.batch_execute("BEGIN IMMEDIATE").unwrap();
    {
        let mut switch = Box::pin(bench.switcher.perform(request(Action::Set, "get", Mode::Service)));
        let temporary = bench.path.with_file_name(".banyan.toml.banyan-new");
        while !temporary.exists() {
            assert!(timeout(Duration::from_millis(1), &mut switch).await.is_err());
        }
    }
    assert_eq!(bench.text(), FILE);
    lock.batch_execute("COMMIT").unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while bench.text() == FILE && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The course is free again once the switch has ended.
    bench
        .switcher
        .note_reload(&Config::load(&bench.path).unwrap())
        .await;
    assert_eq!(bench.story().await, [("set", "done")]);
}
