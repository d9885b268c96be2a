//! Which database a URL names. The scheme alone decides; anything else is refused.
//!
//! Left to itself, an SQLite client takes any string for a file name: `postgre://…` would quietly become a file.

use std::path::PathBuf;

use super::Error;
use crate::config::Secret;

/// A database, by its kind and place.
#[derive(Clone, Debug)]
pub enum Target {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL URL; secret, for it may hold a password.
    Postgres(Secret),
}

impl Target {
    /// Reads `sqlite:PATH`, `sqlite://PATH` or `postgres://…`.
    pub fn parse(url: &str) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" {
                return Err(Error::Url(
                    "`sqlite:` needs the path of a file: several connections share it".to_owned(),
                ));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(Secret::new(url)));
        }
        // The scheme alone is shown: behind it there may be a password.
        let scheme = url.split(':').next().unwrap_or_default();
        Err(Error::Url(format!(
            "database `{scheme}:…` is not known: use `sqlite:PATH` or `postgres://user@host/name`"
        )))
    }

    /// The name of the kind, as in logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_decides() {
        assert!(matches!(Target::parse("sqlite:a.db"), Ok(Target::Sqlite(path)) if path == *"a.db"));
        assert!(
            matches!(Target::parse("sqlite:///tmp/a.db"), Ok(Target::Sqlite(path)) if path == *"/tmp/a.db")
        );
        assert!(matches!(
            Target::parse("postgresql://h/d"),
            Ok(Target::Postgres(_))
        ));
    }

    #[test]
    fn a_misspelt_scheme_is_no_file_and_shows_no_password() {
        let refusal = Target::parse("postgre://me:secret@h/d").unwrap_err().to_string();
        assert!(
            refusal.contains("`postgre:…`") && !refusal.contains("secret"),
            "{refusal}"
        );
        assert!(Target::parse("shop.db").is_err());
        assert!(Target::parse("sqlite::memory:").is_err());
    }
}
