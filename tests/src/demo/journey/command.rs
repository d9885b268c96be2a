//! The router's commands, run as an operator runs them, with every step told as it happens.

use std::process::Stdio;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::view::View;
use crate::demo::shop::Shop;

/// Runs `banyan` with these arguments to its end, which must be a good one.
pub(super) async fn run(shop: &Shop, view: &View, arguments: &[&str]) -> anyhow::Result<()> {
    let typed = format!("banyan {}", arguments.join(" "));
    view.tell(&format!("  $ {typed}"));
    let mut command = tokio::process::Command::from(shop.command("banyan"));
    let mut child = command
        .args(arguments)
        .args(["--config", "banyan.toml"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| typed.clone())?;
    // Steps come on standard error as they are taken; the result, on standard output, is shown after the last of them.
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let (result, steps) = tokio::join!(read(out), pass_on(errors, view));
    steps?;
    for line in result?.lines() {
        view.tell(&format!("  {line}"));
    }
    let status = child.wait().await?;
    anyhow::ensure!(status.success(), "`{typed}` ended with {status}; it has said why");
    Ok(())
}

/// All of it.
async fn read(from: Option<impl AsyncRead + Unpin>) -> anyhow::Result<String> {
    let mut text = String::new();
    if let Some(mut from) = from {
        from.read_to_string(&mut text).await?;
    }
    Ok(text)
}

/// Shows each line. A step begins with its name: `  fence      monolith lets nobody write, at 1-4711`.
async fn pass_on(from: Option<impl AsyncRead + Unpin>, view: &View) -> anyhow::Result<()> {
    let Some(from) = from else { return Ok(()) };
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(step) = line
            .strip_prefix("  ")
            .and_then(|line| line.split_whitespace().next())
        {
            view.step(step);
        }
        view.tell(&format!("  {line}"));
    }
    Ok(())
}
