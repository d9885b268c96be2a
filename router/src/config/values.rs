//! The small languages inside the values: shares, sticky keys, durations, addresses, networks.
//!
//! For [`super::document`]. Each parser takes the text and answers with the value or with the pair (reason, remedy) that
//! becomes a [`super::Fault`].

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::{Mode, Owner};

/// What is wrong and what to write instead.
pub(super) type Complaint = (String, String);

/// A share in hundredths of a percent, 0 to 10,000: also the first bucket that is not served by the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u16);

/// What ties a client to its side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// A request header, in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// The client's address.
    Client,
}

impl Percent {
    /// Nobody.
    pub(super) const ZERO: Self = Self(0);
    /// Everybody.
    pub(crate) const ALL: Self = Self(10_000);

    /// So many hundredths of a percent; above 10,000 it is everybody.
    pub(crate) fn of(hundredths: u16) -> Self {
        Self(hundredths.min(10_000))
    }

    /// The first bucket (of 10,000) that the monolith keeps.
    pub fn threshold(self) -> u16 {
        self.0
    }

    /// Reads a decimal of 0 to 100 with at most two places, exactly. The error is what is wrong, and what to write
    /// instead.
    pub fn parse(text: &str) -> Result<Self, Complaint> {
        let complain = |why: &str| {
            (
                format!("percent {text} {why}"),
                "give 0 to 100, such as 10 or 0.25".to_owned(),
            )
        };
        let (whole, places) = text
            .strip_prefix('+')
            .unwrap_or(text)
            .split_once('.')
            .unwrap_or((text, ""));
        if whole.starts_with('-') {
            return Err(complain("is below 0"));
        }
        let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(places) {
            return Err(complain("is not a plain decimal"));
        }
        if places.trim_end_matches('0').len() > 2 {
            return Err(complain("has more than two places"));
        }
        let places: u32 = format!("{places:0<2}")[..2].parse().unwrap_or(0);
        let hundredths = whole
            .parse::<u32>()
            .ok()
            .and_then(|w| w.checked_mul(100))
            .map(|w| w + places);
        match hundredths {
            Some(value @ 0..=10_000) => Ok(Self(value as u16)),
            _ => Err(complain("is above 100")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, places) = (self.0 / 100, self.0 % 100);
        match places {
            0 => write!(f, "{whole}"),
            p if p % 10 == 0 => write!(f, "{whole}.{}", p / 10),
            p => write!(f, "{whole}.{p:02}"),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 100.0)
    }
}

impl Sticky {
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let remedy = "write \"header:NAME\", \"cookie:NAME\" or \"client\"";
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "client" if name.is_empty() && !text.contains(':') => Ok(Self::Client),
            "header" | "cookie" if !is_token(name) => Err((
                format!("sticky \"{text}\" does not name a {kind}"),
                remedy.to_owned(),
            )),
            "header" => Ok(Self::Header(name.to_ascii_lowercase())),
            "cookie" => Ok(Self::Cookie(name.to_owned())),
            _ => Err((format!("sticky \"{text}\" is not understood"), remedy.to_owned())),
        }
    }
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Client => f.write_str("client"),
        }
    }
}

/// Reads a mode; `percent` has been read beside it.
pub(super) fn mode(word: &str) -> Result<super::document::ModeOf, Complaint> {
    match word {
        "monolith" => Ok(|_| Mode::Monolith),
        "service" => Ok(|_| Mode::Service),
        "shadow" => Ok(|_| Mode::Shadow),
        "canary" => Ok(Mode::Canary),
        "by-owner" => Ok(|_| Mode::ByOwner),
        _ => Err((
            format!("unknown mode \"{word}\""),
            "use monolith, shadow, canary, service or by-owner".to_owned(),
        )),
    }
}

/// Reads `250ms`, `2s`, `5m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    let complain = |why: &str| {
        (
            format!("\"{text}\" {why}"),
            "write a duration such as 500ms, 2s or 5m".to_owned(),
        )
    };
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| complain("is not a duration"))?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(complain("has no known unit")),
    };
    match number.checked_mul(millis) {
        Some(millis @ 1..=86_400_000) => Ok(Duration::from_millis(millis)),
        _ => Err(complain("is not between 1ms and 24h")),
    }
}

/// Reads `65536`, `64KiB`, `2MiB` or `1GiB` as bytes.
pub(super) fn size(text: &str) -> Result<usize, Complaint> {
    let complain = |why: &str| {
        (
            format!("\"{text}\" {why}"),
            "write a size such as 512KiB or 2MiB".to_owned(),
        )
    };
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: usize = number.parse().map_err(|_| complain("is not a size"))?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(complain("has no known unit")),
    };
    match number.checked_mul(factor) {
        Some(bytes @ 1..=0x10_0000_0000) => Ok(bytes),
        _ => Err(complain("is not between 1 byte and 64GiB")),
    }
}

/// Reads the name of a request header.
pub(super) fn header_name(text: &str) -> Result<String, Complaint> {
    if is_token(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err((
            format!("\"{text}\" cannot name a header"),
            "write such as \"x-banyan-side\"".to_owned(),
        ))
    }
}

/// Reads the name of a host, without a port.
pub(super) fn host_name(text: &str) -> Result<String, Complaint> {
    let is_label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(plain)
    };
    match text.len() <= 253 && text.split('.').all(is_label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err((
            format!("\"{text}\" is not the name of a host"),
            "write the name alone, without scheme and port, such as \"banyan.internal\"".to_owned(),
        )),
    }
}

/// Reads the URL of the state database.
pub(super) fn database(text: &str) -> Result<String, Complaint> {
    match chassis::db::Target::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err((
            error.to_string(),
            "write \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\"".to_owned(),
        )),
    }
}

/// Reads who accepts writes.
pub(super) fn owner(text: &str) -> Result<Owner, Complaint> {
    match text {
        "monolith" => Ok(Owner::Monolith),
        "service" => Ok(Owner::Service),
        _ => Err((
            format!("unknown owner \"{text}\""),
            "write \"monolith\" or \"service\"".to_owned(),
        )),
    }
}

/// Reads an address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, Complaint> {
    text.parse().map_err(|_| {
        (
            format!("\"{text}\" is not an address with a port"),
            "write such as 127.0.0.1:8080 or [::]:8080".to_owned(),
        )
    })
}

/// Reads a network such as `10.0.0.0/8`, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, Complaint> {
    let single = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| single()).map_err(|_| {
        (
            format!("\"{text}\" is not a network"),
            "write such as 10.0.0.0/8, or a single address".to_owned(),
        )
    })
}

/// Reads a whole number in a range.
pub(super) fn whole(text: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize, Complaint> {
    let number = text
        .replace('_', "")
        .parse::<usize>()
        .ok()
        .filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        (
            format!("{text} is out of range"),
            format!("give a whole number from {low} to {high}"),
        )
    })
}

/// Whether a name can stand in headers, logs and shell commands without quoting.
pub(super) fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

fn is_token(name: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(token)
}
