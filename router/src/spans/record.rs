//! What is remembered of one traced request, until it is made into spans.
//!
//! For [`super::trace`], which writes it on the data path, and [`super::otlp`], which reads it elsewhere. Texts are copied
//! and cut, so that a record holds neither the config nor a client's long path: thousands may wait for a collector.

use std::time::{Duration, SystemTime};

use actix_http::RequestHead;
use http02::Version;
use http02::header::{HOST, HeaderValue};

use crate::evidence::Side;

/// The longest path that is kept, in bytes.
const LONGEST_PATH: usize = 1024;
/// The longest name of a host.
const LONGEST_HOST: usize = 255;
/// The longest `tracestate` (W3C Trace Context, section 3.3.1.5).
const LONGEST_STATE: usize = 512;
/// The longest name of a method; those that mean anything are shorter.
const LONGEST_METHOD: usize = 32;

/// One request, from its head to the last byte of its answer.
#[derive(Debug)]
pub struct Record {
    /// The trace.
    pub trace: u128,
    /// The request's own span.
    pub span: u64,
    /// The caller's span; absent if the trace begins here.
    pub parent: Option<u64>,
    /// The flags of the trace.
    pub flags: u8,
    /// What other systems have said of the trace, unread.
    pub state: String,
    /// When the request was taken up.
    pub began: SystemTime,
    /// How long it took to decide who serves it.
    pub decided: Duration,
    /// How long it took to the last byte of the answer, or until the client had left.
    pub took: Duration,
    /// What was asked.
    pub asked: Asked,
    /// The id that travels with the request.
    pub request_id: String,
    /// The route that it belongs to.
    pub route: Option<RouteNames>,
    /// Who has answered; absent if the router did without asking.
    pub side: Option<Side>,
    /// The value of `x-served-why`.
    pub why: Option<HeaderValue>,
    /// The status of the answer; absent if the client left before there was one.
    pub status: Option<u16>,
    /// What upstreams were asked.
    pub attempts: Vec<Attempt>,
}

/// What was asked, without query and headers.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host, with its port if one was named.
    pub host: Option<String>,
    /// The path.
    pub path: String,
    /// The version of HTTP.
    pub version: &'static str,
}

/// The names of a route.
#[derive(Debug)]
pub struct RouteNames {
    /// The route's.
    pub route: String,
    /// Its module's.
    pub module: String,
    /// The template that its path matches.
    pub template: String,
    /// The word for its mode.
    pub mode: &'static str,
}

/// One question to one upstream.
#[derive(Debug)]
pub struct Attempt {
    /// Its span, which the upstream sees as the parent of its own.
    pub span: u64,
    /// When it began, counted from the request's beginning.
    pub began: Duration,
    /// How long it took to the head of the answer; absent if nobody waited for it.
    pub took: Option<Duration>,
    /// The upstream's name.
    pub upstream: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The side.
    pub side: Side,
    /// It was asked because the service had failed.
    pub is_fallback: bool,
    /// The status of its answer.
    pub status: Option<u16>,
    /// Why there was none, in one word.
    pub error: Option<&'static str>,
}

impl Record {
    /// How many spans it becomes.
    pub fn spans(&self) -> u64 {
        1 + self.attempts.len() as u64
    }
}

impl Asked {
    /// What a head asks for.
    pub fn of(head: &RequestHead, scheme: &'static str) -> Self {
        let host = match head.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => head.headers.get(HOST).and_then(|host| host.to_str().ok()),
        };
        Self {
            method: cut(head.method.as_str(), LONGEST_METHOD),
            scheme,
            host: host
                .filter(|host| !host.is_empty())
                .map(|host| cut(host, LONGEST_HOST)),
            path: cut(head.uri.path(), LONGEST_PATH),
            version: match head.version {
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2",
                _ => "1.1",
            },
        }
    }
}

/// A `tracestate`, unless it is longer than one may be. A part of one would be another one.
pub(super) fn state(head: &RequestHead) -> String {
    let values = head.headers.get_all("tracestate");
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let all = values.join(",");
    if all.len() <= LONGEST_STATE {
        all
    } else {
        String::new()
    }
}

/// The first so many bytes of a text, without a part of a character.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
