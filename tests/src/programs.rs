//! The programs of this project, built.
//!
//! For everything that runs them from outside: the demo, the documentation's chapters, the behaviour suite. Cargo builds a
//! test or a demo, but not the programs of other packages that it starts; so they are built here, once per process, with the
//! profile that the caller was built with.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Every program: its package and its name.
pub const PROGRAMS: [(&str, &str); 4] = [
    ("monolith", "monolith"),
    ("catalog", "catalog"),
    ("router", "banyan"),
    ("banyan-tests", "psp-simulator"),
];

/// The folder that cargo puts programs of this build into: where this program, or the test, lies.
pub fn folder() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let folder = this.parent().unwrap_or(Path::new("."));
    // Tests lie one deeper.
    if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder).to_owned()
    } else {
        folder.to_owned()
    }
}

/// Where a program lies.
pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// The command that builds them all; it does nothing where nothing has changed.
pub fn build() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).arg("build");
    for (package, name) in PROGRAMS {
        cargo.args(["--package", package, "--bin", name]);
    }
    let folder = folder();
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    if let Some(target) = folder.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    cargo
}
