//! The documentation as a test: every chapter does, command by command, what it shows.
//!
//! For whoever writes a chapter: `cargo test -p banyan-tests --test docs` runs them all, `… --test docs chapter::1` one.
//! How a chapter is written stands in `docs/src/STYLE.md`; what a fence means, in `chapter.rs`.

mod chapter;
mod lint;
mod ports;
mod proofs;
mod run;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use banyan_tests::programs;
use libtest_mimic::{Arguments, Trial};

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::from_args();
    if !arguments.list {
        build()?;
    }
    let mut trials = proofs::trials();
    trials.extend(proofs::of_runs());
    trials.extend(pages());
    trials.extend(chapters());
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// The programs that chapters call must be those of this source.
fn build() -> anyhow::Result<()> {
    let built = programs::build().arg("--quiet").status()?;
    anyhow::ensure!(
        built.success(),
        "the programs that the chapters call cannot be built"
    );
    Ok(())
}

/// The source of the book.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src")
}

/// One trial for each page that is not a chapter: its fences are tagged, its links lead somewhere.
fn pages() -> Vec<Trial> {
    let source = source();
    let readme = source.join("../../README.md");
    [source.clone(), source.join("decisions")]
        .iter()
        .flat_map(|folder| markdown(folder))
        .chain([readme])
        .map(|path| {
            let name = path.strip_prefix(&source).unwrap_or(&path).display().to_string();
            Trial::test(format!("page::{name}"), move || {
                let text = fs::read_to_string(&path)?;
                let folder = path.parent().unwrap_or(&path);
                none(&lint::page(&name, &text, folder))
            })
        })
        .collect()
}

/// Two trials for each chapter: its lint, and its run.
fn chapters() -> Vec<Trial> {
    let mut trials = Vec::new();
    for path in markdown(&source().join("chapters")) {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (linted, run) = (path.clone(), path);
        trials.push(Trial::test(format!("lint::{name}"), {
            let name = name.clone();
            move || {
                let summary = fs::read_to_string(source().join("SUMMARY.md"))?;
                let text = fs::read_to_string(&linted)?;
                let folder = linted.parent().unwrap_or(&linted);
                let mut faults = lint::chapter(&name, &text, &summary);
                faults.extend(lint::page(&name, &text, folder));
                none(&faults)
            }
        }));
        trials.push(Trial::test(format!("chapter::{name}"), move || {
            let text = fs::read_to_string(&run)?;
            run::chapter(&name, &text, &programs::folder()).map_err(|error| error.to_string().into())
        }));
    }
    trials
}

fn markdown(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    found
}

fn none(faults: &[String]) -> Result<(), libtest_mimic::Failed> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n").into())
    }
}
