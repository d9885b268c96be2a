//! `[modules.NAME.handover]`: where the two sides of a module can be asked for the pen, and how long writes wait while it moves.
//!
//! For the router's [`crate::pen`] and for the commands that coordinate a pass.

use std::path::PathBuf;
use std::time::Duration;

use super::document::{judged, set};
use super::reader::{Reader, Section};
use super::upstreams;
use super::values;

/// How a module is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The monolith's end of the protocol, such as `http://127.0.0.1:8110`.
    pub monolith: String,
    /// The service's.
    pub service: String,
    /// The file with the token that both sides know; relative means beside the config file.
    pub token_file: PathBuf,
    /// How long a write may wait while nobody may write.
    pub hold: Duration,
    /// How many may wait.
    pub hold_requests: usize,
    /// How many bytes the bodies may take together that are kept for a second attempt, of writes that wait and of those on their way.
    pub hold_bytes: usize,
    /// The longest body that is kept so that a write can be sent to the holder after the other side refused it, in bytes.
    pub replay_bytes: usize,
}

/// Reads the section; `None` if it is not there, or has no addresses.
pub(super) fn read(reader: &Reader<'_>, section: Option<Section<'_>>) -> Option<Handover> {
    let section = section?;
    let remedy = "say where that side serves the protocol, such as \"http://127.0.0.1:8110\"";
    let address = |key| {
        let text = section.required(key, remedy)?;
        let given = text.value.trim_end_matches('/').to_owned();
        judged(reader, Some(text), upstreams::address).map(|_| given)
    };
    let (monolith, service) = (address("monolith"), address("service"));
    let mut handover = Handover {
        monolith: monolith.unwrap_or_default(),
        service: service.unwrap_or_default(),
        token_file: PathBuf::from("handover-token"),
        hold: Duration::from_secs(2),
        hold_requests: 1000,
        hold_bytes: 16 << 20,
        replay_bytes: 1 << 20,
    };
    if let Some(file) = section.text("token_file") {
        handover.token_file = file.value.into();
    }
    set(
        &mut handover.hold,
        judged(reader, section.text("hold"), values::duration).as_ref(),
    );
    let count = judged(reader, section.number("hold_requests"), |text| {
        values::whole(text, 1..=1_000_000)
    });
    set(&mut handover.hold_requests, count.as_ref());
    for (key, bytes) in [
        ("hold_bytes", &mut handover.hold_bytes),
        ("replay_bytes", &mut handover.replay_bytes),
    ] {
        set(bytes, judged(reader, section.text(key), values::size).as_ref());
    }
    section.finish();
    Some(handover)
}
