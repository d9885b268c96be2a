//! How a process takes part in hand-overs, as its configuration says it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The `[handover]` section. Without it a process serves no protocol and follows nobody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to serve the protocol at: not the clients' one, and loopback unless there is a reason.
    pub listen: String,
    /// This side's name; the monolith's is `monolith`, a service's the module's.
    pub side: String,
    /// The file with the token that both sides and the coordinator show; made, with 0600, if it is not there.
    pub token_file: PathBuf,
    /// Each module that is handed over, and who is at the other end.
    pub modules: BTreeMap<String, PeerSettings>,
    /// Days that the feed keeps for a follower that does not come.
    #[serde(default = "keep_days")]
    pub keep_days: u32,
    /// Changes that the feed keeps for a follower that does not come.
    #[serde(default = "keep_changes")]
    pub keep_changes: u64,
    /// Rows a second that a copy reads at the most; 0 for no limit.
    #[serde(default)]
    pub copy_rows_per_s: u32,
}

/// The other end of one module's hand-over.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSettings {
    /// Its name.
    pub peer: String,
    /// Where it serves the protocol: `http://127.0.0.1:8111`.
    pub url: String,
}

fn keep_days() -> u32 {
    7
}

fn keep_changes() -> u64 {
    10_000_000
}
