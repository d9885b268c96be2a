//! Cuts a CSV file into records, each with the number of the line it begins on.
//!
//! A record is a line; only a quoted field may go on over the next ones (RFC 4180). A quote that is never closed would
//! swallow the rest of the file, so such a line counts as broken on its own, and reading goes on with the next.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// Columns of a record.
pub(super) const COLUMNS: usize = 8;
/// Lines that a quoted field may go over.
const MAX_SPAN: usize = 20;
/// What gzip begins with (RFC 1952, section 2.3.1), whatever the file is called.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What some programs put before UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Reads a file whole, unpacked if it is packed, without its byte order mark.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    if bytes.starts_with(&GZIP) {
        let mut unpacked = Vec::with_capacity(bytes.len() * 8);
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked)?;
        bytes = unpacked;
    }
    if bytes.starts_with(&BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// One record of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'f> {
    /// The line it begins on; the first of the file is 1.
    pub(super) line: u64,
    /// The record as it stands in the file, without the end of the line.
    pub(super) raw: &'f [u8],
    /// Its fields, unquoted; `None` if it is not UTF-8.
    pub(super) fields: Option<Vec<String>>,
}

/// The records of a file. Lines with nothing on them are passed over.
pub(super) struct Records<'f> {
    rest: &'f [u8],
    line: u64,
}

impl<'f> Records<'f> {
    pub(super) fn of(file: &'f [u8]) -> Self {
        Self { rest: file, line: 1 }
    }

    /// Goes on behind the first `length` bytes of the rest, which hold `lines` lines.
    fn pass(&mut self, length: usize, lines: u64) {
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.line += lines;
    }

    /// A record that goes on over several lines, if one begins here: its text, length and number of lines.
    fn spanning(&self) -> Option<(&'f [u8], usize, u64)> {
        let mut length = 0;
        for lines in 1..=MAX_SPAN {
            let (_, step) = first_line(&self.rest[length..]);
            length += step;
            let text = trim_end(&self.rest[..length]);
            let quotes = text.iter().filter(|byte| **byte == b'"').count();
            if lines > 1 && quotes % 2 == 0 {
                let whole = split(text).is_some_and(|fields| fields.len() == COLUMNS);
                return whole.then_some((text, length, lines as u64));
            }
            if length == self.rest.len() {
                break;
            }
        }
        None
    }
}

impl<'f> Iterator for Records<'f> {
    type Item = Record<'f>;

    fn next(&mut self) -> Option<Record<'f>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            let (mut raw, mut length) = first_line(self.rest);
            let mut lines = 1;
            if raw.trim_ascii().is_empty() {
                self.pass(length, 1);
                continue;
            }
            let mut fields = split(raw);
            let quotes = raw.iter().filter(|byte| **byte == b'"').count();
            if quotes % 2 == 1
                && fields.as_ref().is_some_and(|fields| fields.len() != COLUMNS)
                && let Some(span) = self.spanning()
            {
                (raw, length, lines) = span;
                fields = split(raw);
            }
            self.pass(length, lines);
            return Some(Record { line, raw, fields });
        }
    }
}

/// The first line without its end, and its length with it.
fn first_line(text: &[u8]) -> (&[u8], usize) {
    let length = text
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(text.len(), |end| end + 1);
    (trim_end(&text[..length]), length)
}

fn trim_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The fields of a record, if it is UTF-8.
fn split(record: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(record).ok()?;
    if !text.contains('"') {
        return Some(text.split(',').map(str::to_owned).collect());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record);
    let fields = reader.records().next()?.ok()?;
    Some(fields.iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(file: &str) -> Vec<(u64, Vec<String>)> {
        Records::of(file.as_bytes())
            .map(|record| (record.line, record.fields.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn quoted_fields_may_hold_commas_quotes_and_line_ends() {
        let file = "a,b,\"c, \"\"d\"\"\ne\",4,5,6,7,8\r\n\r\n1,2,3,4,5,6,7,8";
        let read = fields(file);
        assert_eq!((read[0].0, read[0].1[2].as_str()), (1, "c, \"d\"\ne"));
        assert_eq!((read[1].0, read[1].1.len(), read.len()), (4, 8, 2));
    }

    #[test]
    fn a_quote_that_is_never_closed_spoils_its_own_line_alone() {
        let read = fields("1,\"2,3,4,5,6,7,8\n1,2,3,4,5,6,7,8\n1,2,3\" PLATE,4,5,6,7,8\n");
        let lengths: Vec<usize> = read.iter().map(|(_, fields)| fields.len()).collect();
        assert_eq!(lengths, [2, 8, 8]);
        assert_eq!(read[2].1[2], "3\" PLATE");
    }

    #[test]
    fn packed_files_and_byte_order_marks_are_read_alike() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let (plain, packed) = (dir.path().join("a.gz"), dir.path().join("b.csv"));
        std::fs::write(&plain, "\u{feff}x").unwrap();
        let mut gzip =
            flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        gzip.write_all("\u{feff}x".as_bytes()).unwrap();
        gzip.finish().unwrap();
        assert_eq!(
            (read(&plain).unwrap(), read(&packed).unwrap()),
            (b"x".to_vec(), b"x".to_vec())
        );
    }
}
