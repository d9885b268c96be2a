//! Tables that fit the terminal: columns wrap to its width; in a pipe every row stays on one line.

use comfy_table::{ContentArrangement, Table, presets};

/// A table with these columns.
pub(super) fn table<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if let Some((width, _)) = terminal_size::terminal_size() {
        table.set_width(width.0);
    }
    table.set_header(columns);
    table
}

/// Its text, without blanks at the ends of lines.
pub(super) fn text(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
