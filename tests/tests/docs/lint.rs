//! What every page must be, so that none of them silently shows what was never run.
//!
//! trycmd skips a program it does not know, runs nothing where there is no command, and passes. These rules close that.

use std::collections::BTreeSet;
use std::path::Path;

use super::chapter::{Chapter, Command, Step, fences};

/// The programs that a chapter may call.
pub const PROGRAMS: [&str; 4] = ["monolith", "catalog", "psp-simulator", "banyan"];

/// What is wrong with a chapter, each with its line.
pub fn chapter(name: &str, text: &str, summary: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !linked(summary).contains(&format!("chapters/{name}.md")) {
        faults.push(format!("{name}: not in SUMMARY.md, so no reader finds it"));
    }
    match Chapter::parse(name, text) {
        Err(unreadable) => faults.extend(unreadable.iter().map(|fault| format!("{name}: {fault}"))),
        Ok(chapter) => faults.extend(steps(&chapter)),
    }
    faults
}

/// What is wrong with the steps of a chapter.
fn steps(chapter: &Chapter) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut runs, mut serving) = (0, Vec::new());
    let name = &chapter.name;
    for piece in &chapter.pieces {
        let mut fault = |line: usize, reason: String| faults.push(format!("{name}: line {line}: {reason}"));
        let commands = match &piece.step {
            Step::Run(commands) | Step::Until(commands) | Step::Serve(commands) => commands.as_slice(),
            Step::Stop { program } => {
                match serving.iter().position(|running| running == program) {
                    Some(at) => drop(serving.remove(at)),
                    None => fault(
                        piece.line,
                        format!("`{program}` is stopped but does not run here"),
                    ),
                }
                &[]
            }
            Step::Write { .. } | Step::Show => &[],
        };
        for command in commands {
            if !PROGRAMS.contains(&command.program()) {
                let known = PROGRAMS.join("`, `");
                let reason = format!(
                    "`{}` is not registered: chapters call `{known}`",
                    command.program()
                );
                fault(command.line, reason);
            }
        }
        match &piece.step {
            Step::Run(commands) | Step::Until(commands) => {
                runs += commands.len();
                commands
                    .iter()
                    .filter_map(|command| Some((command.line, alone(command, commands.len(), &piece.step)?)))
                    .for_each(|(line, reason)| fault(line, reason));
            }
            Step::Serve(commands) => {
                if commands.len() > 1 || commands[0].into.is_some() {
                    fault(
                        piece.line,
                        "a server has its terminal for itself: one command, no `>`".to_owned(),
                    );
                }
                serving.push(commands[0].program().to_owned());
            }
            _ => {}
        }
    }
    if runs == 0 {
        faults.push(format!("{name}: nothing in it is run"));
    }
    faults
}

/// A redirection stands alone: its fence shows no output that anyone could compare.
fn alone(command: &Command, of: usize, step: &Step) -> Option<String> {
    command.into.as_ref()?;
    (of > 1 || !command.shown.is_empty() || matches!(step, Step::Until(_)))
        .then(|| "a command with `>` needs a `console` fence of its own, without output".to_owned())
}

/// What is wrong with any other page: its fences must be tagged and closed. `summary` is checked for files that are missing.
pub fn page(name: &str, text: &str, folder: &Path) -> Vec<String> {
    let tags = fences(text).into_iter().filter_map(|fence| {
        let reason = match (fence.info, fence.closed) {
            ("", _) => "the fence has no tag",
            (_, false) => "the fence is not closed",
            _ => return None,
        };
        Some(format!("{name}: line {}: {reason}", fence.line))
    });
    let links = linked(text)
        .into_iter()
        .filter(|target| !folder.join(target).exists())
        .map(|target| format!("{name}: links to {target}, which is not there"));
    tags.chain(links).collect()
}

/// The files that a page links to.
fn linked(text: &str) -> BTreeSet<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap_or_default().to_owned())
        .collect()
}
