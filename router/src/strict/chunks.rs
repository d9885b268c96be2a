//! A chunked body: its size lines, the ends of its data, its trailers.
//!
//! For [`super::Follower`]. By RFC 9112, section 7.1, to the letter: a size is hexadecimal digits and nothing else, white
//! space stands only before an extension, and every line ends in CRLF. What stands around the data is bounded, as whoever
//! sends a byte per chunk with a long extension makes us read much for nothing.

use super::Refusal;
use super::head::is_token;

/// A size line with its extension.
const LONGEST_LINE: usize = 4096;
/// All trailers together.
const LONGEST_TRAILERS: usize = 16 * 1024;
/// What may stand around the data beyond [`ALLOWANCE`] per chunk and twice the data.
const MOST_EXCESS: u64 = 16 * 1024;
const ALLOWANCE: u64 = 16;

/// Where in a chunked body the connection stands.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    part: Part,
    excess: u64,
}

#[derive(Debug, Default)]
enum Part {
    /// Before a size line.
    #[default]
    Size,
    /// In data of which so much is to come.
    Data(u64),
    /// Behind the data, before CR.
    Cr,
    /// Behind the CR.
    Lf,
    /// In the trailers, of which there were so many bytes.
    Trailers(usize),
}

impl Chunks {
    /// Steps over data and its end. Says no where a line is due.
    pub(super) fn skip(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Refusal> {
        let unended = Refusal::bad("the data of a chunk is longer or shorter than its size says");
        let next = match self.part {
            Part::Data(left) => {
                let taken = left.min((bytes.len() - *at) as u64);
                *at += taken as usize;
                match left - taken {
                    0 => Part::Cr,
                    left => Part::Data(left),
                }
            }
            Part::Cr if bytes[*at] == b'\r' => {
                *at += 1;
                Part::Lf
            }
            Part::Lf if bytes[*at] == b'\n' => {
                *at += 1;
                Part::Size
            }
            Part::Cr | Part::Lf => return Err(unended),
            Part::Size | Part::Trailers(_) => return Ok(false),
        };
        self.part = next;
        Ok(true)
    }

    /// Takes a line, given without its end; says whether it was the body's last.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        match self.part {
            Part::Trailers(_) if line.is_empty() => return Ok(true),
            Part::Trailers(length) => {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                if name.len() == line.len() || !is_token(name) || line.iter().any(is_control) {
                    return Err(Refusal::bad("a trailer is not a field"));
                }
                self.part = Part::Trailers(length + line.len() + 2);
            }
            _ => {
                let size = size(line)?;
                let around = line.len() as u64 + 2;
                let free = size.saturating_mul(2).saturating_add(ALLOWANCE);
                self.excess = (self.excess + around).saturating_sub(free);
                if self.excess > MOST_EXCESS {
                    return Err(Refusal::bad("there is more around the chunks than in them"));
                }
                self.part = match size {
                    0 => Part::Trailers(0),
                    size => Part::Data(size),
                };
            }
        }
        Ok(false)
    }

    /// Whether a line may begin so. The parser behind us does not wait for its end either.
    pub(super) fn check_beginning(&self, line: &[u8]) -> Result<(), Refusal> {
        match self.part {
            Part::Size if line == b"\r" => Err(NO_SIZE),
            Part::Size => beginning(line.strip_suffix(b"\r").unwrap_or(line)).map(drop),
            _ => Ok(()),
        }
    }

    /// Whether a line may have so many bytes.
    pub(super) fn check_length(&self, line: usize) -> Result<(), Refusal> {
        match self.part {
            Part::Trailers(length) if length + line > LONGEST_TRAILERS => {
                Err(Refusal::bad("the trailers are longer than the router takes"))
            }
            Part::Size if line > LONGEST_LINE => Err(Refusal::bad(
                "the extension of a chunk is longer than the router takes",
            )),
            _ => Ok(()),
        }
    }
}

fn is_control(byte: &u8) -> bool {
    byte.is_ascii_control() && *byte != b'\t'
}

/// Reads `1*HEXDIG [ BWS ";" ... ]`.
fn size(line: &[u8]) -> Result<u64, Refusal> {
    let (digits, rest) = beginning(line)?;
    let has_gap_only = !rest.is_empty() && rest.iter().all(|byte| matches!(byte, b' ' | b'\t'));
    // Sixteen digits are 64 bits; a body of 2^63 bytes will not end before its connection does.
    let text = std::str::from_utf8(digits).unwrap_or_default();
    let size = u64::from_str_radix(text, 16).ok().filter(|_| !has_gap_only);
    size.ok_or(NO_SIZE)
}

const NO_SIZE: Refusal = Refusal::bad("the size of a chunk is not a size");

/// Digits and what stands behind them, if a size line may begin so.
fn beginning(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    let gap = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let is_followed = rest.get(gap).is_none_or(|byte| *byte == b';');
    if digits.len() > 16 || (digits.is_empty() && !rest.is_empty()) || !is_followed {
        return Err(NO_SIZE);
    }
    if rest.iter().any(is_control) {
        return Err(Refusal::bad("a chunk extension contains a control character"));
    }
    Ok((digits, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_hexadecimal_digits() {
        for (line, expected) in [
            ("0", Some(0)),
            ("1aF", Some(0x1af)),
            ("005", Some(5)),
            ("5;a", Some(5)),
            ("5 ;a=\"b c\"", Some(5)),
            ("", None),
            (" 5", None),
            ("5 ", None),
            ("5 5", None),
            ("+5", None),
            ("-5", None),
            ("0x5", None),
            ("5g", None),
            (";a", None),
            ("10000000000000000", None),
            ("00000000000000005", None),
            ("5;a\rb", None),
            ("5;\0", None),
        ] {
            assert_eq!(size(line.as_bytes()).ok(), expected, "{line:?}");
        }
    }

    #[test]
    fn bytes_around_the_data_are_bounded_and_honest_chunks_are_not() {
        let mut chunks = Chunks::default();
        for _ in 0..100_000 {
            chunks.line(b"1").unwrap();
            chunks.part = Part::Size;
        }
        let long = format!("1;{}", "x".repeat(1000));
        let refused = (0..100).find(|_| {
            chunks.part = Part::Size;
            chunks.line(long.as_bytes()).is_err()
        });
        assert!(refused.is_some_and(|count| count < 20), "{refused:?}");
    }
}
