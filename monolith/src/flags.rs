//! Feature flags: which adapter of a port is in use. Read from the `[flags]` table of the shop's own settings and of
//! the router's file, so that one file can say both where a route goes and where the port behind it goes; followed
//! while running.
//!
//! A flag that nobody knows, or that the two files say differently, is an error that names the flag and the files. At
//! start that ends the process; while running the last good flags stay and the error is logged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

/// How often the file is looked at. Polling its content sees every kind of replacement, symlink swaps included.
const POLL: Duration = Duration::from_millis(500);
/// How long a content must stand before it is believed.
const SETTLING: Duration = Duration::from_millis(30);

/// Which adapter of a port answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adapter {
    /// The module in this process.
    #[default]
    Local,
    /// The extracted service.
    Remote,
}

/// The flags there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Where the other modules get products from.
    pub catalog: Adapter,
}

/// Why the flags were refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FlagError {
    /// A flag that nobody reads.
    #[error("unknown flag `{flag}` in {place}: known flags are `catalog`")]
    Unknown {
        /// The flag.
        flag: String,
        /// The file.
        place: String,
    },
    /// A value that the flag does not take.
    #[error("flag `{flag}` in {place} is {value}: it must be \"local\" or \"remote\"")]
    Value {
        /// The flag.
        flag: String,
        /// The file.
        place: String,
        /// What it says.
        value: String,
    },
    /// Two files that say different things.
    #[error(
        "flag `{flag}` is {first} in {first_place} but {second} in {second_place}: make them agree, or remove one"
    )]
    Disagreement {
        /// The flag.
        flag: String,
        /// What the first says.
        first: String,
        /// The first file.
        first_place: String,
        /// What the second says.
        second: String,
        /// The second file.
        second_place: String,
    },
    /// A file that cannot be read.
    #[error("flags file {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
}

/// The flags as they are now; cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveFlags(Arc<ArcSwap<Flags>>);

impl LiveFlags {
    /// The flags at this moment. Read once per operation, so that one operation sees one setting.
    pub fn now(&self) -> Flags {
        **self.0.load()
    }
}

/// Where flags come from.
#[derive(Clone, Debug)]
pub struct Sources {
    own: toml::Table,
    file: Option<PathBuf>,
}

impl Sources {
    /// The shop's own table, and the file that is followed.
    pub fn new(own: toml::Table, file: Option<PathBuf>) -> Self {
        Self { own, file }
    }

    /// Reads the flags once.
    pub fn read(&self) -> Result<Flags, FlagError> {
        let mut tables = vec![("the shop's settings".to_owned(), self.own.clone())];
        if let Some(path) = &self.file {
            tables.push((path.display().to_string(), flags_table(path)?));
        }
        merge(&tables)
    }

    /// Reads the flags twice, and gives them if both readings agree: an editor that empties the file before it writes it
    /// would otherwise switch a flag off for a moment.
    async fn read_settled(&self) -> Option<Result<Flags, FlagError>> {
        let found = self.read();
        tokio::time::sleep(SETTLING).await;
        (self.read() == found).then_some(found)
    }

    /// Reads the flags and goes on following the file until the process ends.
    pub fn follow(self) -> Result<LiveFlags, FlagError> {
        let live = LiveFlags(Arc::new(ArcSwap::from_pointee(self.read()?)));
        if self.file.is_some() {
            tokio::spawn(follow(self, live.clone()));
        }
        Ok(live)
    }
}

async fn follow(sources: Sources, live: LiveFlags) {
    let mut last_error = None;
    let mut ticks = tokio::time::interval(POLL);
    loop {
        ticks.tick().await;
        let Some(found) = sources.read_settled().await else {
            continue;
        };
        match found {
            Ok(flags) => {
                last_error = None;
                let before = live.now();
                if before != flags {
                    tracing::info!(?before, after = ?flags, "flags changed");
                    live.0.store(Arc::new(flags));
                }
            }
            // Said once, not twice a second.
            Err(error) if last_error.as_ref() != Some(&error) => {
                tracing::error!(%error, "flags refused; the last good ones stay");
                last_error = Some(error);
            }
            Err(_) => {}
        }
    }
}

fn flags_table(path: &Path) -> Result<toml::Table, FlagError> {
    let failed = |reason: String| FlagError::File {
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut file: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| failed(error.to_string()))?;
    match file.remove("flags") {
        None => Ok(toml::Table::new()),
        Some(toml::Value::Table(table)) => Ok(table),
        Some(_) => Err(failed("`flags` must be a table".to_owned())),
    }
}

fn merge(tables: &[(String, toml::Table)]) -> Result<Flags, FlagError> {
    let mut said: Option<(Adapter, &toml::Value, &String)> = None;
    for (place, table) in tables {
        for (flag, value) in table {
            let adapter = match (flag.as_str(), value.as_str()) {
                ("catalog", Some("local")) => Adapter::Local,
                ("catalog", Some("remote")) => Adapter::Remote,
                ("catalog", _) => {
                    let (flag, place) = (flag.clone(), place.clone());
                    return Err(FlagError::Value {
                        flag,
                        place,
                        value: value.to_string(),
                    });
                }
                _ => {
                    return Err(FlagError::Unknown {
                        flag: flag.clone(),
                        place: place.clone(),
                    });
                }
            };
            if let Some((before, first, first_place)) = said
                && before != adapter
            {
                return Err(FlagError::Disagreement {
                    flag: flag.clone(),
                    first: first.to_string(),
                    first_place: first_place.clone(),
                    second: value.to_string(),
                    second_place: place.clone(),
                });
            }
            said = Some((adapter, value, place));
        }
    }
    Ok(Flags {
        catalog: said.map_or_else(Adapter::default, |(adapter, _, _)| adapter),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(own: &str, file: &str) -> Result<Flags, FlagError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("banyan.toml");
        std::fs::write(&path, file).unwrap();
        Sources::new(own.parse().unwrap(), Some(path)).read()
    }

    #[test]
    fn either_file_may_say_it() {
        assert_eq!(read("", "").unwrap().catalog, Adapter::Local);
        assert_eq!(read("catalog = \"remote\"", "").unwrap().catalog, Adapter::Remote);
        assert_eq!(
            read("", "[flags]\ncatalog = \"remote\"").unwrap().catalog,
            Adapter::Remote
        );
    }

    #[test]
    fn an_unknown_flag_names_itself_and_its_file() {
        let error = read("", "[flags]\ncatalogue = \"remote\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`catalogue`") && error.contains("banyan.toml"),
            "{error}"
        );
    }

    #[test]
    fn disagreement_names_both_files() {
        let error = read("catalog = \"local\"", "[flags]\ncatalog = \"remote\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the shop's settings") && error.contains("banyan.toml"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_file_caught_half_written_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("banyan.toml");
        std::fs::write(&path, "").unwrap();
        let sources = Sources::new(toml::Table::new(), Some(path.clone()));
        let (seen, ()) = tokio::join!(sources.read_settled(), async {
            std::fs::write(&path, "[flags]\ncatalog = \"remote\"").unwrap();
        });
        assert_eq!(seen, None);
        let seen = sources.read_settled().await.unwrap().unwrap();
        assert_eq!(seen.catalog, Adapter::Remote);
    }
}
