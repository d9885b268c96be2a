//! What a route's comparison looks at, and how much it may cost.
//!
//! For the config, which fills [`Rules`] per route and [`Limits`] once, and for everything in [`super`], which obeys them.

use http::HeaderName;
use http::header;
use serde::{Deserialize, Serialize};

use super::{Place, Tolerance};

/// How two answers of one route are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Places of the body that are not compared, with all that is below them.
    pub ignore: Vec<Place>,
    /// Places whose numbers may be this far apart. If several match, the first counts.
    pub tolerance: Vec<(Place, Tolerance)>,
    /// Places whose arrays are compared without regard to order, counting how often an element occurs.
    pub unordered: Vec<Place>,
    /// Whether a member that is `null` counts as absent. Elements of arrays are not touched by it.
    pub null_is_absent: bool,
    /// The fields that are compared; [`Rules::default`] says which they are if the config names none.
    pub headers: Vec<HeaderName>,
    /// Places whose values are never shown, beside those whose names look secret by themselves.
    pub redact: Vec<Place>,
}

impl Default for Rules {
    /// Compares all of the body, and the fields on which a client's behaviour depends: what the body is (`content-type`,
    /// `content-language`, `content-disposition`), where to go (`location`, `link`), what may be kept or must be asked
    /// again (`etag`, `cache-control`, `vary`), what is allowed (`allow`, `www-authenticate`) and when (`retry-after`).
    ///
    /// Left out: what differs between any two servers (`date`, `server`, `via`), what describes the transfer rather than
    /// the answer (`content-length`, `content-encoding`, `transfer-encoding`, `connection`), and `set-cookie` and
    /// `last-modified`, which hold a random number or a moment more often than not. The config can name them.
    fn default() -> Self {
        Self {
            ignore: Vec::new(),
            tolerance: Vec::new(),
            unordered: Vec::new(),
            null_is_absent: false,
            headers: vec![
                header::CONTENT_TYPE,
                header::CONTENT_LANGUAGE,
                header::CONTENT_DISPOSITION,
                header::LOCATION,
                header::LINK,
                header::ETAG,
                header::CACHE_CONTROL,
                header::VARY,
                header::ALLOW,
                header::WWW_AUTHENTICATE,
                header::RETRY_AFTER,
            ],
            redact: Vec::new(),
        }
    }
}

/// What one comparison may cost.
///
/// A comparison of JSON holds both trees at a time. A value takes 24 bytes and a member 48, and a side may have one value
/// for every 4 bytes of `body`, so the worst that two hostile bodies can do is about 25 × `body`; honest ones take 5 ×.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body after its codings have been undone, per side.
    pub body: usize,
    /// How deep JSON may be nested; what is above 120 counts as 120, which is near what serde_json reads at all.
    /// Unordered arrays may stand in each other four deep.
    pub depth: usize,
    /// How many groups of differences are listed.
    pub differences: usize,
    /// Bytes of a value in a listed difference. A body that is no JSON is described instead, in at most 170.
    pub value: usize,
}

impl Default for Limits {
    /// 8 MiB, 64 levels, 50 groups, 200 bytes.
    fn default() -> Self {
        Self {
            body: 8 << 20,
            depth: 64,
            differences: 50,
            value: 200,
        }
    }
}

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The left one.
    Monolith,
    /// The right one.
    Service,
}

impl Side {
    /// The word for it in logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Monolith => "monolith",
            Self::Service => "service",
        }
    }
}
