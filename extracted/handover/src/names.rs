//! What the tables of a module's pen are called in the database.

/// The names of one module's tables, made from the module's: `pen_catalog`, `outbox_catalog`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The module, as the protocol calls it.
    pub module: &'static str,
    /// The pen's one row.
    pub pen: String,
    /// Which rows changed.
    pub outbox: String,
    /// What this side follows: one row, or none.
    pub follow: String,
    /// Who follows this side, and how far.
    pub followers: String,
    /// SQLite: the row that lets a follower's transaction write. On PostgreSQL a setting does that.
    pub mark: String,
}

impl Names {
    /// The names for `module`, which is `[a-z][a-z0-9-]{0,31}`; a hyphen becomes an underscore.
    pub fn of(module: &'static str) -> Self {
        let suffix = module.replace('-', "_");
        let name = |what: &str| format!("{what}_{suffix}");
        Self {
            module,
            pen: name("pen"),
            outbox: name("outbox"),
            follow: name("follow"),
            followers: name("followers"),
            mark: name("mark"),
        }
    }
}
