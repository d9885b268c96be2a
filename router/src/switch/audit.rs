//! What the audit log says of a switch: who, when, why, what was before, what is after, and on which evidence.
//!
//! For [`super::perform`], which writes it, and for whoever shows it. [`Planned`] is a switch before it is made;
//! [`Planned::sentence`] is how it is told, in `banyan plan` before and in the log after, so the two cannot differ.
//! [`Entry`] is one that was made. [`ledger`] reads and writes them, [`chain`] makes tampering visible.
//!
//! A switch is two rows, because the file and the database cannot change in one transaction: an *intent* before the file
//! is replaced and an *outcome* after. What had happened before the log heard of it is one row, a *fact*. Readers see one
//! entry in either case; its outcome is absent only while the switch runs, or if its router died and has not come back.

pub mod chain;
pub mod ledger;
mod store;
#[cfg(test)]
mod tests;
pub mod whereabouts;

use std::fmt;

use chrono::NaiveDateTime;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

pub use ledger::{Error, Filter, Ledger};

/// What somebody did to routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Put routes where somebody wanted them.
    Set,
    /// Went a step further.
    Promote,
    /// Went back.
    Revert,
    /// Took a file that somebody had edited.
    Reload,
    /// Found an edited file wanting.
    RefusedReload,
    /// Went a step further because the module is on auto.
    AutoPromote,
    /// Went back because a limit was exceeded.
    AutoRevert,
    /// Made a step of a hand-over, which moves data and not the file.
    Handover,
}

/// One route that goes from one mode to another, in the words of the file (`canary 10 %`); `absent` is a word, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Move {
    /// The route's name.
    pub route: String,
    /// Its module's name.
    pub module: String,
    /// The mode before.
    pub before: String,
    /// The mode after.
    pub after: String,
}

/// A switch as it is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Who: `cli:USER@HOST`, `api`, `auto`, or `file` for an edit by hand.
    pub actor: String,
    /// What.
    pub action: Action,
    /// The routes concerned; in lists only the first [`MOVES_SHOWN`].
    pub moves: Vec<Move>,
    /// How many routes are concerned.
    pub moves_total: usize,
    /// Why; may be empty.
    pub reason: String,
    /// Whether the evidence was not to have a say: against it, or before anybody knew that it allows the step.
    pub forced: bool,
    /// The evidence.
    pub certificate: Option<Value>,
    /// SHA-256 of the file before, in hex.
    pub hash_before: String,
    /// SHA-256 of the file after, in hex; of a refused one, if it was refused.
    pub hash_after: String,
}

/// How a switch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The file is replaced.
    Done,
    /// The file is as it was.
    NotDone,
    /// The router died before it could say; the next start found the file replaced.
    RecoveredDone,
    /// The router died before it could say; the next start found the file as it was.
    RecoveredNotDone,
    /// The router died before it could say; the next start found a file that is neither.
    RecoveredUnclear,
}

/// How a switch ended, when that was written, and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conclusion {
    /// How.
    pub outcome: Outcome,
    /// When it was written, in UTC.
    pub at: NaiveDateTime,
    /// An error, or where the file was found.
    pub detail: String,
}

/// One switch in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its place in the log, from 1. Ids of outcomes are left out, so they are not consecutive.
    pub id: i64,
    /// When, in UTC.
    pub at: NaiveDateTime,
    /// Which router's which file: `HOST:PATH`.
    pub place: String,
    /// What was to happen.
    #[serde(flatten)]
    pub planned: Planned,
    /// What came of it.
    pub conclusion: Option<Conclusion>,
    /// The row's hash, which rests on that of every row before it.
    pub hash: String,
}

/// The most routes of one entry that a list shows.
pub const MOVES_SHOWN: usize = 100;
/// The most routes that a sentence names.
const MOVES_TOLD: usize = 3;
const ACTOR_CHARS: usize = 200;
const REASON_CHARS: usize = 1000;
const CERTIFICATE_BYTES: usize = 65_536;

impl Planned {
    /// The same within the bounds of the log: long texts cut, control characters made blanks. A certificate that is too
    /// long is replaced by its SHA-256.
    pub fn bounded(mut self) -> Self {
        self.actor = cut(&self.actor, ACTOR_CHARS);
        self.reason = cut(&self.reason, REASON_CHARS);
        self.hash_before = cut(&self.hash_before, 64);
        self.hash_after = cut(&self.hash_after, 64);
        self.moves_total = self.moves_total.max(self.moves.len());
        for each in &mut self.moves {
            for text in [
                &mut each.route,
                &mut each.module,
                &mut each.before,
                &mut each.after,
            ] {
                *text = cut(text, 64);
            }
        }
        let text = self.certificate.as_ref().map(Value::to_string);
        if let Some(text) = text.filter(|text| text.len() > CERTIFICATE_BYTES) {
            let sha256 = super::file::sha256(text.as_bytes());
            self.certificate = Some(json!({ "too_long": text.len(), "sha256": sha256 }));
        }
        self
    }

    /// How it is told, in one line, before and after.
    ///
    /// `FORCED: promote get-product: canary 10 % → service; by cli:ann@desk; against certificate 1f…; reason: the fair`
    pub fn sentence(&self) -> String {
        let forced = if self.forced { "FORCED: " } else { "" };
        let mut told = format!(
            "{forced}{}{}; by {}",
            self.action.verb(),
            self.told_moves(),
            cut(&self.actor, ACTOR_CHARS)
        );
        told += &self.told_evidence();
        if !self.reason.is_empty() {
            told += &format!("; reason: {}", cut(&self.reason, REASON_CHARS));
        }
        told
    }

    /// What it rests on, or goes against; of a step that was forced without need, that it was.
    fn told_evidence(&self) -> String {
        let Some(certificate) = &self.certificate else {
            let is_promotion = matches!(self.action, Action::Promote | Action::AutoPromote);
            return match (self.forced, is_promotion) {
                (true, _) => "; without need, for this step takes no certificate".to_owned(),
                (false, true) => "; without a certificate".to_owned(),
                (false, false) => String::new(),
            };
        };
        let part = |key: &str| certificate.get(key).and_then(Value::as_str).unwrap_or_default();
        let id = match part("id") {
            "" => String::new(),
            id => format!(" {}", cut(id, 64)),
        };
        match (self.forced, part("verdict")) {
            (false, _) => format!("; with certificate{id}"),
            (true, "pass") => format!("; without need, for certificate{id} passes"),
            (true, _) => format!("; against certificate{id}"),
        }
    }

    fn told_moves(&self) -> String {
        let told: Vec<String> = self
            .moves
            .iter()
            .take(MOVES_TOLD)
            .map(ToString::to_string)
            .collect();
        match self.moves_total.max(self.moves.len()) - told.len() {
            _ if told.is_empty() => String::new(),
            0 => format!(" {}", told.join(", ")),
            1 => format!(" {} and 1 more route", told.join(", ")),
            more => format!(" {} and {more} more routes", told.join(", ")),
        }
    }
}

impl Entry {
    /// How it is told: in the words of the plan.
    pub fn sentence(&self) -> String {
        self.planned.sentence()
    }
}

impl Action {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Set,
        Self::Promote,
        Self::Revert,
        Self::Reload,
        Self::RefusedReload,
        Self::AutoPromote,
        Self::AutoRevert,
        Self::Handover,
    ];

    /// The word that stands in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Promote => "promote",
            Self::Revert => "revert",
            Self::Reload => "reload",
            Self::RefusedReload => "refused-reload",
            Self::AutoPromote => "auto-promote",
            Self::AutoRevert => "auto-revert",
            Self::Handover => "handover",
        }
    }

    /// Whether it is made even if the log cannot be written: the way back must not hang on a database.
    pub fn is_way_back(self) -> bool {
        matches!(self, Self::Revert | Self::AutoRevert)
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Promote => "promote",
            Self::Revert => "revert",
            Self::Reload => "take the file as it was edited",
            Self::RefusedReload => "refuse the file as it was edited",
            Self::AutoPromote => "promote by itself",
            Self::AutoRevert => "revert by itself",
            Self::Handover => "hand over",
        }
    }

    fn of_word(word: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|action| action.word() == word).unwrap_or(Self::Set)
    }
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Done,
        Self::NotDone,
        Self::RecoveredDone,
        Self::RecoveredNotDone,
        Self::RecoveredUnclear,
    ];

    /// The words that stand in the log.
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not done",
            Self::RecoveredDone => "recovered: done",
            Self::RecoveredNotDone => "recovered: not done",
            Self::RecoveredUnclear => "recovered: unclear",
        }
    }

    fn of_words(words: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|outcome| outcome.words() == words)
            .unwrap_or(Self::RecoveredUnclear)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.route, self.before, self.after)
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// A text in one line of at most `chars` characters. Control characters could forge a line of the log or drive a
/// terminal, and PostgreSQL takes no NUL.
pub(super) fn cut(text: &str, chars: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().nth(chars).is_none() {
        return text.chars().map(clean).collect();
    }
    text.chars().take(chars - 1).map(clean).chain(['…']).collect()
}
