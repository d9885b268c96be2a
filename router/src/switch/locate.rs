//! Finds, in the text of a config file, the bytes that say who serves a route.
//!
//! For [`super::edit`]. The parser understands every way to write the same thing (`[[modules.x.routes]]`, an array of
//! inline tables, dotted and quoted keys) and says on which bytes keys and values stand, so that the edit can leave all
//! other bytes as they are.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

/// One route's entry.
pub(super) struct Entry {
    pub(super) name: String,
    /// Where its name stands.
    pub(super) at: usize,
    /// Absent when there is no such key, or when it is not a text.
    pub(super) mode: Option<Pair>,
    pub(super) mode_word: String,
    pub(super) percent: Option<Pair>,
    /// The entry is written in braces, so pairs are separated by commas.
    pub(super) is_inline: bool,
    /// Where the pair before `percent` ends, if `percent` is not the first.
    pub(super) before_percent: Option<usize>,
}

/// The bytes of a key, and those of its value.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Every route entry that has a name, in no particular order.
pub(super) fn entries(document: &Document<&str>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let modules = document.as_table().get("modules").and_then(Item::as_table_like);
    for (_, module) in modules.iter().flat_map(|modules| modules.iter()) {
        match module.as_table_like().and_then(|module| module.get("routes")) {
            Some(Item::ArrayOfTables(routes)) => {
                entries.extend(routes.iter().filter_map(|route| entry(route, false)));
            }
            Some(Item::Value(Value::Array(routes))) => {
                let routes = routes.iter().filter_map(Value::as_inline_table);
                entries.extend(routes.filter_map(|route| entry(route, true)));
            }
            _ => {}
        }
    }
    entries
}

fn entry(route: &dyn TableLike, is_inline: bool) -> Option<Entry> {
    let name = route.get("name")?;
    let mode_word = route.get("mode").and_then(Item::as_str);
    let percent = pair(route, "percent");
    let before_percent = percent.as_ref().and_then(|percent| {
        // The leaves, because a dotted key's table has no place of its own.
        let values = route.get_values().into_iter();
        let ends = values.filter_map(|(_, value)| value.span()).map(|span| span.end);
        ends.filter(|end| *end <= percent.key.start).max()
    });
    Some(Entry {
        name: name.as_str()?.to_owned(),
        at: name.span()?.start,
        mode: mode_word.and_then(|_| pair(route, "mode")),
        mode_word: mode_word.unwrap_or_default().to_owned(),
        percent,
        is_inline,
        before_percent,
    })
}

fn pair(route: &dyn TableLike, key: &str) -> Option<Pair> {
    let (key, item) = route.get_key_value(key)?;
    Some(Pair {
        key: key.span()?,
        value: item.span()?,
    })
}
