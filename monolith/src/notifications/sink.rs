//! Where mails end: a mail server, or a file that a developer can read.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use lettre::message::header::ContentType;
use lettre::{Message, SmtpTransport, Transport};
use serde_json::json;

use super::model::Notification;

/// Who mails are from.
const SENDER: &str = "Banyan shop <shop@banyan.invalid>";

/// Where mails go.
#[derive(Clone, Debug)]
pub enum Sink {
    /// One line of JSON each, appended.
    File(PathBuf),
    /// A mail server.
    Smtp(Box<SmtpTransport>),
}

/// Why a mail did not go out.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The settings name no sink.
    #[error("sink `{0}` is not known: use `file:PATH` or `smtp://host:port`")]
    Unknown(String),
    /// The file cannot be written.
    #[error("mail file")]
    File(#[from] io::Error),
    /// The mail cannot be put together.
    #[error("mail: {0}")]
    Mail(String),
    /// The mail server did not take it.
    #[error("mail server")]
    Server(#[from] lettre::transport::smtp::Error),
}

impl Sink {
    /// Reads `file:PATH` or `smtp://host:port`.
    pub fn parse(text: &str) -> Result<Self, SinkError> {
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(path.into()));
        }
        if text.starts_with("smtp://") || text.starts_with("smtps://") {
            return Ok(Self::Smtp(Box::new(SmtpTransport::from_url(text)?.build())));
        }
        Err(SinkError::Unknown(
            text.split(':').next().unwrap_or_default().to_owned(),
        ))
    }

    /// Sends a mail; blocks. A mail that an earlier attempt has put into the file is not put there again.
    pub(super) fn send(&self, notification: &Notification) -> Result<(), SinkError> {
        match self {
            Self::File(path) => {
                let repeated = notification.attempts > 1;
                if repeated && contains(path, &notification.message_id())? {
                    return Ok(());
                }
                append(path, notification)
            }
            Self::Smtp(server) => {
                server.send(&mail(notification)?)?;
                Ok(())
            }
        }
    }
}

fn append(path: &Path, notification: &Notification) -> Result<(), SinkError> {
    let mut line = json!({
        "message_id": notification.message_id(),
        "to": notification.email,
        "kind": notification.kind,
        "customer_id": notification.customer_id,
        "subject": notification.subject,
        "body": notification.body,
    })
    .to_string();
    line.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // One write, so that two processes never mix their lines.
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    Ok(())
}

fn contains(path: &Path, message_id: &str) -> Result<bool, SinkError> {
    if !path.exists() {
        return Ok(false);
    }
    let quoted = format!("\"message_id\":{}", json!(message_id));
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        if line?.contains(&quoted) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn mail(notification: &Notification) -> Result<Message, SinkError> {
    let wrong = |error: &dyn std::fmt::Display| SinkError::Mail(error.to_string());
    Message::builder()
        .from(
            SENDER
                .parse()
                .map_err(|error: lettre::address::AddressError| wrong(&error))?,
        )
        .to(notification
            .email
            .parse()
            .map_err(|error: lettre::address::AddressError| wrong(&error))?)
        .subject(&notification.subject)
        .message_id(Some(notification.message_id()))
        .header(ContentType::TEXT_PLAIN)
        .body(notification.body.clone())
        .map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(attempts: i64) -> Notification {
        Notification {
            id: 7,
            customer_id: 1,
            kind: "order_confirmed".into(),
            email: "a@example.org".into(),
            subject: "Your order".into(),
            body: "Thank you.".into(),
            state: "queued".into(),
            attempts,
            resend_of: None,
            created_at: chassis::time::now(),
            sent_at: None,
        }
    }

    #[test]
    fn a_mail_that_was_written_before_a_crash_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.jsonl");
        let sink = Sink::parse(&format!("file:{}", path.display())).unwrap();
        sink.send(&notification(1)).unwrap();
        sink.send(&notification(2)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn an_unknown_sink_is_refused_without_showing_what_may_be_secret() {
        let refusal = Sink::parse("ftp://me:secret@host").unwrap_err().to_string();
        assert!(
            refusal.contains("`ftp`") && !refusal.contains("secret"),
            "{refusal}"
        );
    }
}
