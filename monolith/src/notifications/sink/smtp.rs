//! Mails for a mail server.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::{Message, SmtpTransport, Transport};

use super::SinkError;
use crate::notifications::model::Notification;

/// Who mails are from.
const SENDER: &str = "Banyan shop <shop@banyan.invalid>";
/// How long the server may take for one step of the about eight of a conversation.
const STEP: Duration = Duration::from_secs(10);
/// Longer than a whole conversation takes, so that nobody else begins the same one.
pub(super) const CLAIM: chrono::Duration = chrono::Duration::seconds(120);

/// The server that `url` names.
pub(super) fn server(url: &str) -> Result<SmtpTransport, SinkError> {
    Ok(SmtpTransport::from_url(url)?.timeout(Some(STEP)).build())
}

/// Hands the mail over.
pub(super) fn send(server: &SmtpTransport, notification: &Notification) -> Result<(), SinkError> {
    server.send(&mail(notification)?)?;
    Ok(())
}

fn mail(notification: &Notification) -> Result<Message, SinkError> {
    let wrong = |error: &dyn std::fmt::Display| SinkError::Mail(error.to_string());
    let from = SENDER
        .parse()
        .map_err(|error: lettre::address::AddressError| wrong(&error))?;
    let to = notification
        .email
        .parse()
        .map_err(|error: lettre::address::AddressError| wrong(&error))?;
    Message::builder()
        .from(from)
        .to(to)
        .subject(&notification.subject)
        .message_id(Some(notification.message_id()))
        .header(ContentType::TEXT_PLAIN)
        .body(notification.body.clone())
        .map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::notifications::sink::Sink;

    fn notification(email: &str) -> Notification {
        let at = chassis::time::now();
        Notification {
            id: 7,
            customer_id: 1,
            kind: "order_confirmed".into(),
            email: email.into(),
            subject: "Über your order\r\nBcc: everybody@example.org".into(),
            body: "Thank you.\n".into(),
            state: "queued".into(),
            attempts: 1,
            resend_of: None,
            created_at: at,
            sent_at: None,
            claimed_until: at + CLAIM,
        }
    }

    /// A mail server for one conversation, which answers recipients with `recipient`; gives the mail that it got.
    fn catcher(recipient: &'static str) -> (Sink, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Sink::parse(&format!("smtp://{}", listener.local_addr().unwrap())).unwrap();
        let server = thread::spawn(move || converse(&listener.accept().unwrap().0, recipient));
        (sink, server)
    }

    fn converse(mut stream: &TcpStream, recipient: &str) -> String {
        let mut mail = String::new();
        let mut in_mail = false;
        stream.write_all(b"220 catcher\r\n").unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "." => "250 taken",
                _ if in_mail => {
                    mail += &line;
                    mail.push('\n');
                    continue;
                }
                "DATA" => "354 go on",
                "RCPT" => recipient,
                "QUIT" => "221 bye",
                _ => "250 well",
            };
            in_mail = answer.starts_with("354");
            stream.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
        }
        mail
    }

    #[test]
    fn a_mail_carries_the_id_that_tells_a_repetition_and_no_header_of_a_stranger() {
        let (sink, server) = catcher("250 well");
        sink.send(&notification("a@example.org")).unwrap();
        let mail = server.join().unwrap();
        assert!(mail.contains("Message-ID: <notification-7@banyan>"), "{mail}");
        assert!(mail.contains("To: a@example.org"), "{mail}");
        assert!(!mail.lines().any(|line| line.starts_with("Bcc:")), "{mail}");
    }

    #[test]
    fn a_recipient_who_is_refused_for_good_is_not_tried_again() {
        let (sink, server) = catcher("550 unknown");
        assert!(sink.send(&notification("a@example.org")).unwrap_err().is_final());
        drop(server.join());
        let (sink, server) = catcher("451 later");
        assert!(!sink.send(&notification("a@example.org")).unwrap_err().is_final());
        drop(server.join());
    }

    #[test]
    fn an_address_that_is_none_is_not_tried_again() {
        let sink = Sink::parse("smtp://127.0.0.1:1").unwrap();
        assert!(sink.send(&notification("nobody")).unwrap_err().is_final());
        assert!(!sink.send(&notification("a@example.org")).unwrap_err().is_final());
    }
}
