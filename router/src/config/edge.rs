//! The keys of `[router]` that say how much of a client the router takes: limits, TLS, the orderly end.
//!
//! For the edge: [`crate::limits`], [`crate::tls`], [`crate::handover`] and the server. No key has to be there; a limit that
//! is not set does not exist, and costs nothing.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::document::judged;
use super::reader::{Reader, Section};
use super::values::{self, Complaint};

/// How much of a client is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// The longest body of a request, in bytes.
    pub max_body_bytes: Option<u64>,
    /// How many requests a client may send.
    pub rate_limit: Option<Rate>,
    /// How many connections one peer may have; trusted proxies may have any number.
    pub max_connections_per_client: Option<usize>,
    /// How long an exchange may take, from the head of the request to the last byte of the answer.
    pub request_timeout: Option<Duration>,
    /// How long new connections are still taken after a stop signal, while `/health/ready` says no already.
    pub drain_delay: Duration,
    /// Where a successor asks for the ports; absent means beside the config file.
    pub handover_socket: Option<PathBuf>,
    /// A second port for clients, with TLS.
    pub tls: Option<Tls>,
}

/// So many requests in a time, on average, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How long one request takes to be forgotten.
    pub interval: Duration,
    /// How many may come at once.
    pub burst: NonZeroU32,
}

/// The port with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// A file with the certificate and those that lead to its root, in PEM.
    pub certificate: PathBuf,
    /// A file with the private key, in PEM.
    pub key: PathBuf,
}

/// Reads the keys; the caller's section must not be finished before.
pub(super) fn read_edge(reader: &Reader<'_>, section: &Section<'_>) -> Edge {
    let count = |key, range| {
        let number = judged(reader, section.number(key), |text| values::whole(text, range));
        number.map(|number| number.value)
    };
    let time = |key| judged(reader, section.text(key), values::duration).map(|time| time.value);
    let burst = count("rate_burst", 1..=1_000_000).and_then(|burst| NonZeroU32::new(burst as u32));
    let rate = judged(reader, section.text("rate_limit"), |text| rate(text, burst));
    Edge {
        max_body_bytes: count("max_body_bytes", 0..=usize::MAX >> 1).map(|bytes| bytes as u64),
        rate_limit: rate.map(|rate| rate.value),
        max_connections_per_client: count("max_connections_per_client", 1..=1_000_000),
        request_timeout: time("request_timeout"),
        drain_delay: judged(reader, section.text("drain_delay"), delay)
            .map_or(Duration::ZERO, |time| time.value),
        handover_socket: section.text("handover_socket").map(|path| path.value.into()),
        tls: section
            .section("tls")
            .and_then(|section| read_tls(reader, section)),
    }
}

fn read_tls(reader: &Reader<'_>, section: Section<'_>) -> Option<Tls> {
    let listen = section.required(
        "listen",
        "give it a port of its own, such as listen = \"0.0.0.0:8443\"",
    );
    let listen = judged(reader, listen, values::address);
    let certificate = section.required("certificate", "name the file with the certificate chain in PEM");
    let key = section.required("key", "name the file with the private key in PEM");
    let tls = (|| {
        Some(Tls {
            listen: listen?.value,
            certificate: certificate?.value.into(),
            key: key?.value.into(),
        })
    })();
    section.finish();
    tls
}

/// A duration that may be nothing.
fn delay(text: &str) -> Result<Duration, Complaint> {
    match text {
        "0s" | "0ms" => Ok(Duration::ZERO),
        _ => values::duration(text),
    }
}

/// Reads `100/s`, `30/m` or `1000/h`. Without a burst, as many may come at once as come in a second, and at least one.
fn rate(text: &str, burst: Option<NonZeroU32>) -> Result<Rate, Complaint> {
    let complain = || {
        (
            format!("\"{text}\" is not a rate"),
            "write a number of requests and a time, such as 100/s, 30/m or 1000/h".to_owned(),
        )
    };
    let (count, unit) = text.split_once('/').ok_or_else(complain)?;
    let count: u32 = count.parse().map_err(|_| complain())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(complain()),
    };
    if !(1..=1_000_000).contains(&count) {
        return Err(complain());
    }
    Ok(Rate {
        interval: Duration::from_secs(seconds) / count,
        burst: burst
            .or(NonZeroU32::new(count / seconds as u32))
            .unwrap_or(NonZeroU32::MIN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let read = |text: &str| {
            rate(text, None)
                .ok()
                .map(|rate| (rate.interval, rate.burst.get()))
        };
        assert_eq!(read("100/s"), Some((Duration::from_millis(10), 100)));
        assert_eq!(read("30/m"), Some((Duration::from_secs(2), 1)));
        assert_eq!(read("7200/h"), Some((Duration::from_millis(500), 2)));
        for bad in ["", "100", "0/s", "-1/s", "1/d", "1 / s", "1.5/s", "9999999/s"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let burst = NonZeroU32::new(7);
        assert_eq!(rate("1/s", burst).map(|rate| rate.burst.get()).ok(), Some(7));
    }
}
