//! The programs of this project, built.
//!
//! For everything that runs them from outside: the demo, the documentation's chapters, the behaviour suite. Cargo builds a
//! test or a demo, but not the programs of other packages that it starts; so they are built here, once per process, with the
//! profile that the caller was built with.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process_group};

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

/// Builds them all, with cargo's own progress on standard error. If the wait for it is given up, so is the build.
pub async fn build_all() -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    let mut cargo = build();
    // Cargo's compilers are its children: as a group they can be told to stop together.
    cargo.process_group(0);
    let mut child = tokio::process::Command::from(cargo).spawn()?;
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut group = Group(id);
    let status = child.wait().await?;
    group.0 = None;
    anyhow::ensure!(status.success(), "the programs cannot be built");
    Ok(())
}

/// A process group that is killed when this is dropped, unless it has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Not a gentler signal: cargo would go on to report each compiler that it lost.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Cargo, as a shell would start it in the folder of this workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // What the cargo that runs us says of this package is no affair of those that are built: build scripts look at these variables, and
    // would build ring, and all that stands on it, anew each time that they come or go.
    let of_this_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_this_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The command that builds them all; it does nothing where nothing has changed.
pub fn build() -> Command {
    let mut cargo = cargo();
    cargo.arg("build");
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
