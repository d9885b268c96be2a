//! What replacing a file promises: whole or not at all, one winner, nothing else touched.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A folder with a config file in it.
fn folder(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("banyan.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_file_is_replaced_with_its_permissions_and_nothing_is_left_beside_it() {
    let (folder, path) = folder("old");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    replace(&path, &sha256(b"old"), "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(names(folder.path()), ["banyan.toml"]);
}

#[test]
fn a_file_that_was_changed_meanwhile_is_left_alone_and_both_hashes_are_named() {
    let (folder, path) = folder("hand edit");
    let error = replace(&path, &sha256(b"old"), "new").unwrap_err().to_string();
    for bytes in [b"old".as_slice(), b"hand edit"] {
        assert!(error.contains(&format!("{}…", &sha256(bytes)[..12])), "{error}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "hand edit");
    assert_eq!(names(folder.path()), ["banyan.toml"]);
}

#[test]
fn a_save_between_taking_the_turn_and_the_rename_is_noticed() {
    let (_folder, path) = folder("old");
    let mut turn = Turn::take(&path).unwrap();
    let expected = sha256(&turn.read().unwrap());
    fs::write(&path, "hand edit").unwrap();
    assert!(matches!(
        turn.put(&expected, "new"),
        Err(FileError::Changed { .. })
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), "hand edit");
}

#[test]
fn of_writers_with_one_expectation_exactly_one_wins() {
    for _ in 0..20 {
        let (folder, path) = folder("old");
        let expected = sha256(b"old");
        let results: Vec<_> = std::thread::scope(|scope| {
            let write = |number: usize| {
                let (path, expected) = (&path, &expected);
                scope.spawn(move || replace(path, expected, &format!("new {number}")))
            };
            let threads: Vec<_> = (0..8).map(write).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..8).filter(|number| results[*number].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("new {}", winners[0]));
        let others = results
            .iter()
            .filter(|result| matches!(result, Err(FileError::Changed { .. })));
        assert_eq!(others.count(), 7, "{results:?}");
        assert_eq!(names(folder.path()), ["banyan.toml"]);
    }
}

#[test]
fn readers_see_whole_files_and_no_turn_is_lost_while_writers_take_turns() {
    // The file says one number over and over; each turn adds one to it.
    let text = |number: usize| format!("{number:05}").repeat(8_000);
    let number = |bytes: &[u8]| -> usize {
        assert_eq!(bytes.len(), 40_000);
        assert!(bytes.chunks(5).all(|chunk| *chunk == bytes[..5]));
        std::str::from_utf8(&bytes[..5]).unwrap().parse().unwrap()
    };
    let (folder, path) = folder(&text(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| while number(&fs::read(&path).unwrap()) < 100 {});
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let mut turn = Turn::take(&path).unwrap();
                    let bytes = turn.read().unwrap();
                    turn.put(&sha256(&bytes), &text(number(&bytes) + 1)).unwrap();
                }
            });
        }
        reader.join().unwrap();
    });
    assert_eq!(number(&fs::read(&path).unwrap()), 100);
    assert_eq!(names(folder.path()), ["banyan.toml"]);
}

#[test]
fn what_a_crash_left_beside_the_file_is_taken_over() {
    let (folder, path) = folder("old");
    // Longer than the new text, as a writer leaves it that dies in the middle.
    fs::write(
        folder.path().join(".banyan.toml.banyan-new"),
        "half of a much longer te",
    )
    .unwrap();
    replace(&path, &sha256(b"old"), "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(folder.path()), ["banyan.toml"]);
}

#[test]
fn a_turn_that_ends_without_a_text_leaves_nothing_and_lets_the_next_one_go() {
    let (folder, path) = folder("old");
    drop(Turn::take(&path).unwrap());
    assert_eq!(names(folder.path()), ["banyan.toml"]);
    let turn = Turn::take(&path).unwrap();
    let next = std::thread::spawn({
        let path = path.clone();
        move || Turn::take(&path).map(drop)
    });
    drop(turn);
    next.join().unwrap().unwrap();
    assert_eq!(names(folder.path()), ["banyan.toml"]);
}

#[test]
fn a_turn_goes_on_after_the_rename_until_it_is_dropped() {
    let (folder, path) = folder("old");
    let mut turn = Turn::take(&path).unwrap();
    turn.put(&sha256(b"old"), "new").unwrap();
    let put = File::open(&path).unwrap();
    assert!(!has_turn(&put, &path).unwrap());
    drop(turn);
    assert!(has_turn(&put, &path).unwrap());
    drop(put);
    // An editor that replaces the file takes nobody's turn away.
    fs::write(folder.path().join("saved"), "by hand").unwrap();
    fs::rename(folder.path().join("saved"), &path).unwrap();
    replace(&path, &sha256(b"by hand"), "new").unwrap();
    assert_eq!(names(folder.path()), ["banyan.toml"]);
}

#[test]
fn a_symlink_stays_and_what_it_points_to_is_replaced() {
    let (folder, path) = folder("old");
    fs::create_dir(folder.path().join("etc")).unwrap();
    let link = folder.path().join("etc/link.toml");
    symlink("../banyan.toml", &link).unwrap();
    replace(&link, &sha256(b"old"), "new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(&folder.path().join("etc")), ["link.toml"]);
}

#[test]
fn a_config_map_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("..2026_11_25_10_00");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("banyan.toml"), "old").unwrap();
    symlink("..2026_11_25_10_00", folder.path().join("..data")).unwrap();
    let path = folder.path().join("banyan.toml");
    symlink("..data/banyan.toml", &path).unwrap();
    let outer = folder.path().join("outer.toml");
    symlink("banyan.toml", &outer).unwrap();
    for path in [path, outer, folder.path().join("..data/banyan.toml")] {
        let error = replace(&path, &sha256(b"old"), "new").unwrap_err();
        assert!(matches!(error, FileError::ConfigMap { .. }), "{error}");
        assert!(error.to_string().contains("edit the ConfigMap"), "{error}");
    }
    assert_eq!(names(&data), ["banyan.toml"]);
}

#[test]
fn what_may_not_be_written_or_is_no_file_is_refused() {
    let (folder, path) = folder("old");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = replace(&path, &sha256(b"old"), "new").unwrap_err();
    assert!(
        matches!(error, FileError::ReadOnly { what: "the file", .. }),
        "{error}"
    );
    let error = replace(folder.path(), "", "new").unwrap_err();
    assert!(matches!(error, FileError::NotAFile { .. }), "{error}");
    let error = replace(&folder.path().join("none.toml"), "", "new").unwrap_err();
    assert!(error.to_string().contains("cannot find"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(folder.path().join(".banyan.toml.banyan-new")).unwrap();
    let error = replace(&path, &sha256(b"old"), "new").unwrap_err();
    assert!(error.to_string().contains("in the way"), "{error}");
}

#[test]
fn a_lock_on_what_was_renamed_or_removed_is_no_turn() {
    let (folder, path) = folder("old");
    let mut turn = Turn::take(&path).unwrap();
    let temporary = folder.path().join(".banyan.toml.banyan-new");
    // Opened, but not yet locked, when the one before ends its turn.
    let stale = File::open(&temporary).unwrap();
    assert!(!has_turn(&stale, &temporary).unwrap());
    turn.put(&sha256(b"old"), "new").unwrap();
    drop(turn);
    assert!(!has_turn(&stale, &temporary).unwrap());
    drop(stale);
    let stale = File::open(&path).unwrap();
    let _next = Turn::take(&path).unwrap();
    assert!(!has_turn(&stale, &temporary).unwrap());
}
