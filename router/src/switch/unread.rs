//! A way back while the config file cannot be read as one: somebody has edited it, and it has mistakes.
//!
//! For [`crate::promotion::operator`]. A revert must not wait until the file is mended. So what is served goes back, by
//! itself; and the text of the file is edited as far as it is TOML, so that the routes are still at the monolith once it is
//! mended. Its mistakes stay for whoever made them. If it cannot even be edited, the mended file has the last word, as it always has:
//! should it say `service`, the route goes there again, and the log says that it was back in between.

use super::edit::edit;
use super::file::{FileError, Turn, sha256};
use super::perform::{HASTE, Switched, Switcher, blocking, fact};
use super::plan::{Known, SwitchError, SwitchRequest};
use super::{Change, audit};
use crate::config::{Config, MONOLITH};

impl Switcher {
    /// Goes back from the config that is served. The config that comes of it has a hash of its own, so that whatever the
    /// file says when it is mended is news.
    pub async fn go_back(&self, request: SwitchRequest, served: &Config) -> Result<Switched, SwitchError> {
        let inner = self.inner();
        let mut course = inner.course.lock().await;
        let mut config = served.clone();
        for route in &mut config.routes {
            let change = request.changes.iter().find(|change| change.route == route.name);
            route.mode = change.map_or(route.mode, |change| change.to);
        }
        let (file, changes) = (inner.file.clone(), request.changes.clone());
        let edited = blocking(move || edit_text(&file, &changes)).await;
        let detail = match &edited {
            Ok(_) => format!("the file has mistakes; the routes are at the {MONOLITH} in its text as well"),
            Err(error) => format!("the file has mistakes and its text could not be edited: {error}"),
        };
        config.hash = edited.unwrap_or_else(|_| sha256(format!("{}, and back", served.hash).as_bytes()));
        let (before, after) = (Known::of(served), Known::of(&config));
        let planned = audit::Planned {
            moves: before.moves_to(&after),
            actor: request.actor,
            action: request.action,
            reason: request.reason,
            ..before.reload_to(&after, "")
        };
        let is_changed = !planned.moves.is_empty();
        if is_changed {
            tracing::warn!("{detail}");
            inner.late.push(fact(planned.clone(), detail));
            course.known = after;
        }
        Ok(Switched {
            entry: None,
            planned: planned.bounded(),
            config,
            is_changed,
            is_recorded: inner.late.written(HASTE).await,
        })
    }
}

/// Edits a text that is TOML but no config, and gives the hash of what it is then.
fn edit_text(file: &std::path::Path, changes: &[Change]) -> Result<String, SwitchError> {
    let mut turn = Turn::take(file)?;
    let bytes = turn.read()?;
    let no_text = |_| {
        let source = std::io::Error::other("it is not UTF-8 text");
        SwitchError::File(FileError::Io {
            path: file.display().to_string(),
            doing: "edit",
            source,
        })
    };
    let expected = sha256(&bytes);
    let text = edit(&String::from_utf8(bytes).map_err(no_text)?, changes)?;
    turn.put(&expected, &text)?;
    Ok(sha256(text.as_bytes()))
}
