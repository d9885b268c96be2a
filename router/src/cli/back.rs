//! A revert with no router running: the file is edited as the router would have edited it.
//!
//! For `banyan revert` alone. A router that runs after all, but does not answer, finds the edit by itself within 1.5 s. The
//! audit log has it as an edit of the file, since only a router writes the log.

use std::path::Path;

use serde_json::{Value, json};

use super::remote::Failure;
use crate::admin::wish::Back;
use crate::config::Config;
use crate::promotion::wish::{Which, ways_back};
use crate::switch::audit::Action;
use crate::switch::file::Turn;
use crate::switch::plan::{SwitchRequest, plan};

/// Edits the file, and says what was done as the router would.
pub(super) fn edit(file: &Path, back: &Back, actor: &str, reason: &str) -> Result<Value, Failure> {
    let other = |error: &dyn std::error::Error| Failure::Other(error.to_string());
    let name = file.display().to_string();
    let mut turn = Turn::take(file).map_err(|error| other(&error))?;
    let bytes = turn.read().map_err(|error| other(&error))?;
    let config = Config::parse(&name, &bytes).map_err(|refused| other(&refused))?;
    let which = match (&back.route, &back.module) {
        (Some(route), _) => Which::Route(route.clone()),
        (_, Some(module)) => Which::Module(module.clone()),
        _ => Which::All,
    };
    let changes = ways_back(&config, &which).map_err(|refusal| Failure::Usage(refusal.to_string()))?;
    let request = SwitchRequest {
        actor: actor.to_owned(),
        action: Action::Revert,
        changes,
        reason: reason.to_owned(),
        forced: false,
        certificate: None,
        expected: None,
    };
    let made = plan(&name, &bytes, &request).map_err(|error| other(&error))?;
    if !made.is_fulfilled() {
        turn.put(&made.planned.hash_before, &made.text)
            .map_err(|error| other(&error))?;
    }
    Ok(json!({
        "sentence": format!("{}; by editing {name}", made.planned.sentence()),
        "is_changed": !made.is_fulfilled(),
        "is_forced": false,
        "moves": made.planned.moves,
        "moves_total": made.planned.moves_total,
        "hash_before": made.planned.hash_before,
        "hash_after": made.planned.hash_after,
        "entry": null,
    }))
}
