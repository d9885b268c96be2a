//! Mails as lines of a file, each there once.
//!
//! A process may die between writing a line and marking the message as sent, or sleep past its claim and wake up while
//! another has taken over. So whoever writes holds a lock on the file, and looks for the line first when somebody may have
//! been there before: at a later attempt, or after the claim has run out.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use chassis::time::{now, utc};
use serde_json::json;

use crate::notifications::model::Notification;

/// Appends the mail and waits until it is on the disk.
pub(super) fn append(path: &Path, notification: &Notification) -> io::Result<()> {
    let line = line(notification);
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)?;
    // Freed when the file is closed, even by a crash.
    file.lock()?;
    let maybe_there = notification.attempts > 1 || now() >= notification.claimed_until;
    if !(maybe_there && holds(&file, &line)?) {
        write(&mut file, &line)?;
    }
    file.sync_data()
}

/// The same at every attempt. The time tells a repetition from a message of another database with the same id.
fn line(notification: &Notification) -> String {
    json!({
        "message_id": notification.message_id(),
        "to": notification.email,
        "kind": notification.kind,
        "customer_id": notification.customer_id,
        "subject": notification.subject,
        "body": notification.body,
        "created_at": utc(notification.created_at),
    })
    .to_string()
}

fn holds(mut file: &File, line: &str) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    for known in BufReader::new(file).split(b'\n') {
        if known? == line.as_bytes() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the whole line or nothing.
fn write(file: &mut File, line: &str) -> io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    // After half a line that a crash left, begin a new one.
    let start = if ends_in_newline(file, end)? { "" } else { "\n" };
    let written = file.write_all(format!("{start}{line}\n").as_bytes());
    if written.is_err() {
        file.set_len(end)?;
    }
    written
}

fn ends_in_newline(file: &mut File, end: u64) -> io::Result<bool> {
    if end == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(end - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    fn notification(attempts: i64) -> Notification {
        let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Notification {
            id: 7,
            customer_id: 1,
            kind: "order_confirmed".into(),
            email: "a@example.org".into(),
            subject: "Your order".into(),
            body: "Thank you.\n".into(),
            state: "queued".into(),
            attempts,
            resend_of: None,
            created_at: at.naive_utc(),
            sent_at: None,
            claimed_until: now() + Duration::minutes(1),
        }
    }

    fn lines(path: &Path) -> usize {
        std::fs::read_to_string(path).unwrap().lines().count()
    }

    #[test]
    fn a_mail_that_was_written_before_a_crash_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        append(&path, &notification(1)).unwrap();
        append(&path, &notification(2)).unwrap();
        assert_eq!(lines(&path), 1);
    }

    #[test]
    fn who_wakes_up_after_its_claim_finds_that_another_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        append(&path, &notification(2)).unwrap();
        let mut late = notification(1);
        late.claimed_until = now() - Duration::seconds(1);
        append(&path, &late).unwrap();
        assert_eq!(lines(&path), 1);
    }

    #[test]
    fn a_message_of_another_database_with_the_same_id_is_not_mistaken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        append(&path, &notification(1)).unwrap();
        let mut other = notification(2);
        other.created_at += Duration::days(1);
        append(&path, &other).unwrap();
        assert_eq!(lines(&path), 2);
    }

    #[test]
    fn half_a_line_is_no_mail_and_swallows_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        let whole = line(&notification(1));
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        append(&path, &notification(2)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().nth(1), Some(whole.as_str()));
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn many_at_once_keep_their_lines_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                // All of them a second attempt at the same message: one gets to write it.
                scope.spawn(|| append(&path, &notification(2)).unwrap());
            }
        });
        assert_eq!(lines(&path), 1);
    }
}
