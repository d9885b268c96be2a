//! Rows going by, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line for the step `what`, which says its message, the rows so far and how many a second; nothing if `quiet`.
pub(super) fn rows(what: &str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    let line = format!("  {what:<10} {{spinner}} {{msg}}: {{human_pos}} rows, {{per_sec}}");
    if let Ok(style) = ProgressStyle::with_template(&line) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
