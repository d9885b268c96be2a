//! Where mails end: a mail server, or a file that a developer can read.

mod file;
mod smtp;

use std::io;
use std::path::PathBuf;

use chrono::Duration;
use lettre::SmtpTransport;

use super::model::Notification;

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
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("smtp" | "smtps", _)) => Ok(Self::Smtp(Box::new(smtp::server(text)?))),
            // Only the scheme is shown: the rest may hold a password.
            other => Err(SinkError::Unknown(
                other.map_or(text, |(scheme, _)| scheme).to_owned(),
            )),
        }
    }

    /// How long a message belongs to the process that took it: longer than sending can take, and no longer than that, for
    /// so long it lies when the process dies.
    pub(super) fn claim(&self) -> Duration {
        match self {
            Self::File(_) => Duration::seconds(10),
            Self::Smtp(_) => smtp::CLAIM,
        }
    }

    /// Sends a mail; blocks.
    pub(super) fn send(&self, notification: &Notification) -> Result<(), SinkError> {
        match self {
            Self::File(path) => Ok(file::append(path, notification)?),
            Self::Smtp(server) => smtp::send(server, notification),
        }
    }
}

impl SinkError {
    /// Whether another attempt would end the same way.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Mail(_) => true,
            Self::Server(error) => error.is_permanent(),
            Self::Unknown(_) | Self::File(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_sink_is_refused_without_showing_what_may_be_secret() {
        let refusal = Sink::parse("ftp://me:secret@host").unwrap_err().to_string();
        assert!(
            refusal.contains("`ftp`") && !refusal.contains("secret"),
            "{refusal}"
        );
        assert!(Sink::parse("file:").is_err());
        assert!(Sink::parse("outbox.jsonl").is_err());
    }
}
