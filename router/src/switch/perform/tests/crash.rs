//! Routers that die in the middle: stopped at each point of the table in [`crate::switch::recover`], and killed for real.

use std::io::Write;
use std::process::{Child, Command};

use super::*;
use crate::switch::file::replace;
use crate::switch::plan::Plan;

/// A switch, worked out but not made.
fn worked_out(bench: &Bench, to: Mode) -> Plan {
    plan("f", bench.text().as_bytes(), &request(Action::Set, "get", to)).unwrap()
}

/// The next start of the router.
fn restarted(bench: Bench, database: &Database) -> Bench {
    let switcher = switcher(database.open(), &bench.path);
    Bench { switcher, ..bench }
}

fn put(bench: &Bench, made: &Plan) {
    replace(&bench.path, &made.planned.hash_before, &made.text).unwrap();
}

#[tokio::test]
async fn killed_after_the_intent_the_log_says_not_done() {
    for database in Database::each() {
        let bench = Bench::new(database.migrated());
        let made = worked_out(&bench, Mode::Service);
        bench.switcher.ledger().intend(&made.planned).await.unwrap();
        std::fs::write(bench.path.with_file_name(".banyan.toml.banyan-new"), "half").unwrap();
        let bench = restarted(bench, &database);
        bench.switcher.recover().await.unwrap();
        assert_eq!(bench.story().await, [("set", "recovered: not done")]);
        assert_eq!(bench.text(), FILE);
        assert_eq!(
            std::fs::read_dir(bench.path.parent().unwrap()).unwrap().count(),
            1
        );
        // A recovery that is itself run again adds nothing.
        let bench = restarted(bench, &database);
        bench.switcher.recover().await.unwrap();
        assert_eq!(bench.story().await, [("set", "recovered: not done")]);
    }
}

#[tokio::test]
async fn killed_after_the_rename_the_log_says_done() {
    for database in Database::each() {
        let bench = Bench::new(database.migrated());
        let made = worked_out(&bench, Mode::Service);
        bench.switcher.ledger().intend(&made.planned).await.unwrap();
        put(&bench, &made);
        let bench = restarted(bench, &database);
        // The first step forward does it, if nobody has asked before.
        bench
            .switcher
            .perform(request(Action::Set, "get", canary("1")))
            .await
            .unwrap();
        assert_eq!(bench.story().await, [("set", "recovered: done"), ("set", "done")]);
    }
}

#[tokio::test]
async fn killed_after_the_rename_and_then_edited_the_log_says_unclear() {
    for database in Database::each() {
        let bench = Bench::new(database.migrated());
        let made = worked_out(&bench, Mode::Service);
        bench.switcher.ledger().intend(&made.planned).await.unwrap();
        put(&bench, &made);
        std::fs::write(&bench.path, format!("{FILE}# by hand\n")).unwrap();
        let bench = restarted(bench, &database);
        bench.switcher.recover().await.unwrap();
        assert_eq!(bench.story().await, [("set", "recovered: unclear")]);
    }
}

#[tokio::test]
async fn killed_after_the_outcome_nothing_is_added_but_an_edit_while_nobody_looked_is_noted() {
    for database in Database::each() {
        let bench = Bench::new(database.migrated());
        bench
            .switcher
            .perform(request(Action::Set, "get", Mode::Service))
            .await
            .unwrap();
        let bench = restarted(bench, &database);
        bench.switcher.recover().await.unwrap();
        assert_eq!(bench.story().await, [("set", "done")]);
        std::fs::write(&bench.path, FILE).unwrap();
        let bench = restarted(bench, &database);
        bench.switcher.recover().await.unwrap();
        assert_eq!(bench.story().await, [("set", "done"), ("reload", "done")]);
        let bench = restarted(bench, &database);
        bench.switcher.recover().await.unwrap();
        assert_eq!(bench.story().await.len(), 2);
    }
}

/// How many open files of this process are this one.
fn opened(path: &Path) -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link == path).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_is_alive_is_not_taken_for_a_dead_one() {
    for database in Database::each() {
        let bench = Bench::new(database.migrated());
        let made = worked_out(&bench, Mode::Service);
        let mut turn = Turn::take(&bench.path).unwrap();
        let ledger = bench.switcher.ledger();
        let id = ledger.intend(&made.planned).await.unwrap();
        let next = switcher(database.open(), &bench.path);
        let recovery = tokio::spawn(async move { next.recover().await });
        // The recovery stands in line for the turn, and looks at nothing before.
        let temporary = std::fs::canonicalize(bench.path.with_file_name(".banyan.toml.banyan-new")).unwrap();
        while opened(&temporary) < 2 && !recovery.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(!recovery.is_finished());
        turn.put(&made.planned.hash_before, &made.text).unwrap();
        ledger.conclude(id, Outcome::Done, "").await.unwrap();
        assert!(!recovery.is_finished());
        drop(turn);
        recovery.await.unwrap().unwrap();
        assert_eq!(bench.story().await, [("set", "done")]);
    }
}

/// Names the URL of the log and the config file to the child of the test below.
const CHILD: &str = "BANYAN_TEST_SWITCH_CHILD";

/// Not a test by itself: what the child does, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test below, in a process of its own"]
async fn child_that_switches() {
    let Ok(given) = std::env::var(CHILD) else { return };
    let (url, path) = given.split_once('|').unwrap();
    let (db, path) = (
        Db::open(url, &chassis::db::PoolSettings::default()).unwrap(),
        Path::new(path),
    );
    let switcher = switcher(db, path);
    switcher.recover().await.unwrap();
    let mut progress = std::fs::File::create(path.with_extension("progress")).unwrap();
    for number in 0.. {
        let to = if number % 2 == 0 {
            canary("7")
        } else {
            Mode::Monolith
        };
        switcher.perform(request(Action::Set, "get", to)).await.unwrap();
        progress.write_all(b".").unwrap();
    }
}

fn start_child(database: &Database, path: &Path) -> Child {
    let name = concat!(module_path!(), "::child_that_switches");
    let name = name.split_once("::").unwrap().1;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--test-threads", "1"]);
    command.env(CHILD, format!("{}|{}", database.url, path.display()));
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command.spawn().unwrap()
}

#[tokio::test]
async fn killed_at_any_moment_the_log_is_whole_and_agrees_with_the_file() {
    for database in Database::each() {
        let mut bench = Bench::new(database.migrated());
        let variants = [FILE.to_owned(), worked_out(&bench, canary("7")).text];
        let progress = bench.path.with_extension("progress");
        for round in 0..6_u64 {
            let _ = std::fs::remove_file(&progress);
            let mut child = start_child(&database, &bench.path);
            let deadline = Instant::now() + Duration::from_secs(30);
            while std::fs::metadata(&progress).map_or(0, |progress| progress.len()) < 2 + round {
                assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Somewhere in the middle of the next switch.
            let moment = Instant::now() + Duration::from_micros(rand::random_range(0..9000));
            while Instant::now() < moment {}
            child.kill().unwrap();
            child.wait().unwrap();
            bench = restarted(bench, &database);
            bench.switcher.recover().await.unwrap();
            let story = bench.story().await;
            assert!(
                story
                    .iter()
                    .all(|(action, end)| *action == "set" && *end != "open"),
                "{story:?}"
            );
            assert!(!story.contains(&("set", "recovered: unclear")), "{story:?}");
            let known = bench.switcher.ledger().last_file().await.unwrap();
            assert_eq!(known, Some(sha256(bench.text().as_bytes())));
            assert!(variants.contains(&bench.text()), "{}", bench.text());
        }
    }
}
