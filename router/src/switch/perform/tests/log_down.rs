//! A database that is away or hangs: no step forward, but every step back.

use super::*;

#[tokio::test]
async fn without_the_log_nothing_goes_forward_and_everything_goes_back() {
    for database in Database::each() {
        // Without its schema the database refuses every statement.
        let bench = Bench::new(database.open());
        let refused = bench
            .switcher
            .perform(request(Action::Set, "get", Mode::Service))
            .await;
        assert!(matches!(&refused, Err(SwitchError::Unrecorded(_))), "{refused:?}");
        assert_eq!(bench.text(), FILE);
        let switched = bench
            .switcher
            .perform(request(Action::Revert, "list", Mode::Monolith))
            .await;
        let switched = switched.unwrap();
        assert!(switched.is_changed && !switched.is_recorded && switched.entry.is_none());
        assert_eq!(bench.text(), FILE.replace("\"service\"", "\"monolith\""));
        // The log is not complete, so there is still no way forward.
        let refused = bench
            .switcher
            .perform(request(Action::Promote, "get", Mode::Service))
            .await;
        assert!(matches!(&refused, Err(SwitchError::Unrecorded(_))), "{refused:?}");
        database.migrated();
        let entry = bench.entries().await.remove(0);
        assert_eq!(entry.sentence(), switched.planned.sentence());
        bench
            .switcher
            .perform(request(Action::Set, "get", Mode::Service))
            .await
            .unwrap();
        assert_eq!(bench.story().await, [("revert", "done"), ("set", "done")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revert_overtakes_a_step_forward_that_waits_for_a_database_that_hangs() {
    let database = Database::sqlite();
    let bench = Bench::new(database.migrated());
    bench.switcher.recover().await.unwrap();
    let lock = database.open();
    let mut lock = lock.connect().unwrap();
    lock.batch_execute("BEGIN IMMEDIATE").unwrap();
    let (switcher, wish) = (bench.switcher.clone(), request(Action::Set, "get", Mode::Service));
    let forward = tokio::spawn(async move { switcher.perform(wish).await });
    let temporary = bench.path.with_file_name(".banyan.toml.banyan-new");
    while !temporary.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let asked = Instant::now();
    let back = bench
        .switcher
        .perform(request(Action::AutoRevert, "list", Mode::Monolith))
        .await;
    let took = asked.elapsed();
    assert!(!back.unwrap().is_recorded);
    assert!(took < PATIENCE, "{took:?}");
    let refused = forward.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("a revert went first"), "{refused}");
    assert_eq!(bench.text(), FILE.replace("\"service\"", "\"monolith\""));
    lock.batch_execute("COMMIT").unwrap();
    // The intent of the step forward has reached the log after all, and is told to have come to nothing.
    let mut story = bench.story().await;
    story.sort_unstable();
    assert_eq!(story, [("auto-revert", "done"), ("set", "not done")]);
}

#[tokio::test]
async fn what_finds_no_room_while_the_log_is_down_does_not_pile_up() {
    let database = Database::sqlite();
    let bench = Bench::new(database.open());
    for number in 0..3 * crate::switch::late::ROOM {
        let by_hand = format!("{FILE}# {number}\n");
        std::fs::write(&bench.path, &by_hand).unwrap();
        bench
            .switcher
            .note_reload(&Config::load(&bench.path).unwrap())
            .await;
    }
    assert!(bench.switcher.0.late.waiting() <= crate::switch::late::ROOM + 1);
    database.migrated();
    let count = bench.switcher.0.late.waiting();
    assert_eq!(bench.story().await.len(), count.min(100));
}
