//! Layered configuration: defaults in the binary, then a TOML file, then the environment, then the command line.
//!
//! A key that nobody knows is refused, wherever it comes from: a misspelt limit must not silently be no limit.
//! The settings type of each process carries `#[serde(deny_unknown_fields)]`.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use ::config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Why the configuration was refused. It says all by itself, so it names no source that would say it again.
#[derive(Debug, thiserror::Error)]
#[error("configuration refused: {0}")]
pub struct ConfigError(::config::ConfigError);

impl From<::config::ConfigError> for ConfigError {
    fn from(error: ::config::ConfigError) -> Self {
        Self(error)
    }
}

/// Reads the settings `T`. Later layers win: `defaults` (TOML text), `file`, variables `<PREFIX>_KEY` (with `__`
/// between table and key), and `overrides` from the command line.
pub fn load<T: DeserializeOwned>(
    defaults: &str,
    file: Option<&Path>,
    prefix: &str,
    overrides: &[(&str, Option<String>)],
) -> Result<T, ConfigError> {
    let mut layers = Config::builder().add_source(File::from_str(defaults, FileFormat::Toml));
    if let Some(path) = file {
        layers = layers.add_source(File::from(path).format(FileFormat::Toml));
    }
    let environment = Environment::with_prefix(prefix)
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .source(Some(variables(prefix)));
    layers = layers.add_source(environment);
    for (key, value) in overrides {
        layers = layers.set_override_option(*key, value.clone())?;
    }
    Ok(layers.build()?.try_deserialize()?)
}

/// The environment without `<PREFIX>_CONFIG`, which names the file and is no setting.
fn variables(prefix: &str) -> HashMap<String, String> {
    let file = format!("{prefix}_CONFIG");
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| *name != file)
        .collect()
}

/// A value that must not be shown: `Debug` and `Display` print stars.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        listen: String,
        depth: u32,
    }

    const DEFAULTS: &str = "listen = \"127.0.0.1:1\"\ndepth = 3";

    #[test]
    fn later_layers_win() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, "depth = 4").unwrap();
        let overrides = [("listen", Some("127.0.0.1:2".to_owned()))];
        let settings: Settings = load(DEFAULTS, Some(&file), "CHASSIS_TEST", &overrides).unwrap();
        assert_eq!((settings.listen.as_str(), settings.depth), ("127.0.0.1:2", 4));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, "dept = 4").unwrap();
        let refusal = load::<Settings>(DEFAULTS, Some(&file), "CHASSIS_TEST", &[]).unwrap_err();
        assert!(refusal.to_string().contains("dept"), "{refusal}");
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }
}
