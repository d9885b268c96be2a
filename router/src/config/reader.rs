//! Walks a TOML document key by key and collects every mistake with its place.
//!
//! For [`super::document`]. Deriving serde would stop at the first unknown key or wrong type; this walk goes on, so that
//! one run of `check` shows all there is to mend. A section knows which keys it was asked for: those are the known ones, and
//! [`Section::finish`] refuses the rest, so the list of keys exists only once.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Refused};

/// A value and the bytes of the file that it stands on.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) span: Range<usize>,
}

/// The text of a file and the mistakes found in it so far.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    /// Where each line begins. Every route asks for its line, so counting them anew each time would take long.
    lines: Vec<usize>,
    faults: RefCell<Vec<(usize, Fault)>>,
}

/// One table of the document.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    table: &'a DeTable<'a>,
    path: String,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            text,
            lines: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect(),
            faults: RefCell::new(Vec::new()),
        }
    }

    /// Reads the TOML itself. Mistakes of syntax are all reported; what they left of the document is then not
    /// interpreted, since a misread file produces misleading complaints.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let span = error.span().unwrap_or_default();
            self.fault(
                &span,
                "",
                format!("not valid TOML: {}", error.message()),
                "mend the syntax",
            );
        }
        errors.is_empty().then_some(table)
    }

    /// Notes a mistake.
    pub(super) fn fault(&self, span: &Range<usize>, key: &str, reason: String, remedy: impl Into<String>) {
        let (line, column) = self.place(span.start);
        let fault = Fault {
            line,
            column,
            key: key.to_owned(),
            reason,
            remedy: remedy.into(),
        };
        self.faults.borrow_mut().push((span.start, fault));
    }

    /// Notes a mistake about a value that was read.
    pub(super) fn wrong<T>(&self, at: &At<T>, reason: String, remedy: impl Into<String>) {
        self.fault(&at.span, &at.key, reason, remedy);
    }

    /// Line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// The config if there was no mistake, else all of them in the order of the file.
    pub(super) fn finish<T>(self, file: &str, config: Option<T>) -> Result<T, Refused> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|(offset, _)| *offset);
        let faults: Vec<Fault> = faults.into_iter().map(|(_, fault)| fault).collect();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(Refused {
                file: file.to_owned(),
                faults,
            }),
        }
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

impl<'a> Section<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        path: String,
        table: &'a DeTable<'a>,
        span: Range<usize>,
    ) -> Self {
        Self {
            reader,
            table,
            path,
            span,
            asked: RefCell::new(Vec::new()),
        }
    }

    /// Where the section starts.
    pub(super) fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// The dotted path of one of its keys.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// A sub-section, if it is there.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.reader, self.key(key), table, value.span())),
            other => self.mistyped(key, value, other, "a table"),
        }
    }

    /// Every entry of a table whose keys are names that the user chose.
    pub(super) fn entries(&self) -> Vec<(At<String>, &'a Spanned<DeValue<'a>>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(name, value)| {
                let text = name.get_ref().to_string();
                (
                    At {
                        key: self.key(&text),
                        value: text,
                        span: name.span(),
                    },
                    value,
                )
            })
            .collect();
        entries.sort_by_key(|(name, _)| name.span.start);
        entries
    }

    /// The tables of an array, such as `[[modules.x.routes]]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.mistyped::<()>(key, value, value.get_ref(), "an array of tables");
            return Vec::new();
        };
        let tables = array.iter().enumerate().filter_map(|(number, item)| {
            let path = format!("{}[{number}]", self.key(key));
            match item.get_ref() {
                DeValue::Table(table) => Some(Section::new(self.reader, path, table, item.span())),
                other => {
                    let reason = format!("expected a table, found {}", kind(other));
                    self.reader
                        .fault(&item.span(), &path, reason, "write it as a table");
                    None
                }
            }
        });
        tables.collect()
    }

    /// A text value.
    pub(super) fn text(&self, key: &'static str) -> Option<At<&'a str>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(self.at(key, value, text.as_ref())),
            other => self.mistyped(key, value, other, "a text in quotes"),
        }
    }

    /// A text value that must be there.
    pub(super) fn required(&self, key: &'static str, remedy: &str) -> Option<At<&'a str>> {
        if !self.table.contains_key(key) {
            self.asked.borrow_mut().push(key);
            self.reader.fault(
                &self.span,
                &self.key(key),
                "the key is missing".to_owned(),
                remedy,
            );
            return None;
        }
        self.text(key)
    }

    /// A number as the file writes it, so that decimals stay exact.
    pub(super) fn number(&self, key: &'static str) -> Option<At<&'a str>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => Some(self.at(key, value, number.as_str())),
            DeValue::Float(number) => Some(self.at(key, value, number.as_str())),
            other => self.mistyped(key, value, other, "a decimal number"),
        }
    }

    /// A list of numbers as the file writes them.
    pub(super) fn numbers(&self, key: &'static str) -> Option<At<Vec<At<&'a str>>>> {
        let value = self.value(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            return self.mistyped(key, value, value.get_ref(), "a list of numbers");
        };
        let numbers = array.iter().filter_map(|item| match item.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => Some(self.at(key, item, number.as_str())),
            DeValue::Float(number) => Some(self.at(key, item, number.as_str())),
            other => self.mistyped(key, item, other, "a decimal number"),
        });
        let numbers = numbers.collect();
        Some(self.at(key, value, numbers))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str) -> Option<At<bool>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(self.at(key, value, *flag)),
            other => self.mistyped(key, value, other, "true or false"),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Vec<At<&'a str>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.mistyped::<()>(key, value, value.get_ref(), "a list of texts");
            return Vec::new();
        };
        let texts = array.iter().filter_map(|item| match item.get_ref() {
            DeValue::String(text) => Some(self.at(key, item, text.as_ref())),
            other => self.mistyped(key, item, other, "a text in quotes"),
        });
        texts.collect()
    }

    /// Takes note of a key that is accepted whatever it holds.
    pub(super) fn accept(&self, key: &'static str) {
        self.asked.borrow_mut().push(key);
    }

    /// Refuses every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for (name, _) in self.entries() {
            if !asked.contains(&name.value.as_str()) {
                let remedy = match closest(&name.value, &asked) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("known here: {}", asked.join(", ")),
                };
                self.reader
                    .wrong(&name, format!("unknown key `{}`", name.value), remedy);
            }
        }
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn at<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, read: T) -> At<T> {
        At {
            value: read,
            key: self.key(key),
            span: value.span(),
        }
    }

    fn mistyped<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        found: &DeValue<'_>,
        want: &str,
    ) -> Option<T> {
        let reason = format!("expected {want}, found {}", kind(found));
        self.reader
            .fault(&value.span(), &self.key(key), reason, format!("write {want}"));
        None
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The candidate that a typing mistake most likely meant.
pub(super) fn closest<'n>(typed: &str, candidates: &[&'n str]) -> Option<&'n str> {
    let best = candidates
        .iter()
        .map(|candidate| (distance(typed, candidate), *candidate))
        .min()?;
    (best.0 <= 2 && best.0 < typed.chars().count()).then_some(best.1)
}

/// How many letters to change, add or leave out to make one word of the other.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
