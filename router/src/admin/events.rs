//! `/events`: what happens, as it happens, as server-sent events (the HTML standard, section 9.2).
//!
//! For people who watch a switch and for a dashboard. Each event is JSON with a number; who comes back with the last one in
//! `Last-Event-ID` gets what it has missed, or an event `gap` first if that is not kept any more. Readers are few and none
//! is waited for: one that does not keep up is cut off, and comes back the same way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::problem::Problem;
use super::read::Query;
use crate::events::Event;
use crate::state::State;

/// Readers at the same time.
const READERS: usize = 32;
/// How often a silent stream says that it lives, so that a reader who is gone is noticed.
const BEAT: Duration = Duration::from_secs(15);

/// What to do when all that is kept has been sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    follow: Option<bool>,
}

/// What happens, as it happens. Each message has the event's kind, its number, and the event as JSON.
#[utoipa::path(tag = "looking", params(
    ("follow" = Option<bool>, Query, description = "false ends the stream after what is kept"),
    ("Last-Event-ID" = Option<u64>, Header, description = "The last event that was seen; without it, from now on. 0 gives all that are kept"),
), responses(
    (status = 200, description = "Server-sent events; `data` is an Event, or `{}` for the event `gap`: older ones are no longer kept", body = Event, content_type = "text/event-stream"), super::Refusals,
    (status = 400, description = "The query could not be read", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Too many follow already", body = Problem, content_type = "application/problem+json"),
))]
#[get("/events")]
pub(super) async fn events(
    state: web::Data<State>,
    request: HttpRequest,
    Query(wanted): Query<Wanted>,
) -> Result<HttpResponse, Problem> {
    let events = state.events();
    if events.followers() >= READERS {
        let detail = format!("{READERS} follow already; end one of them");
        return Err(Problem::unavailable("too-many-readers", detail));
    }
    let seen = request.headers().get("last-event-id");
    let seen = seen.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let following = events.follow(seen);
    // Sent at once, so that a reader knows that it follows.
    let mut first = VecDeque::from([Bytes::from_static(b": following\n\n")]);
    if following.has_gap && seen != Some(0) {
        first.push_back(Bytes::from_static(b"event: gap\ndata: {}\n\n"));
    }
    first.extend(following.missed.iter().map(message));
    let live = (wanted.follow != Some(false)).then_some(following.live);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(stream(first, live)))
}

fn stream(
    first: VecDeque<Bytes>,
    live: Option<Receiver<Arc<Event>>>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    unfold((first, live), |(mut first, mut live)| async move {
        if let Some(next) = first.pop_front() {
            return Some((Ok(next), (first, live)));
        }
        let next = match tokio::time::timeout(BEAT, live.as_mut()?.recv()).await {
            Ok(Ok(event)) => message(&event),
            Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
            Err(_) => Bytes::from_static(b": still here\n\n"),
        };
        Some((Ok(next), (first, live)))
    })
}

fn message(event: &Arc<Event>) -> Bytes {
    // An event always serialises, and JSON has no line breaks of its own.
    let data = serde_json::to_string(&**event).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind.word()).into()
}
