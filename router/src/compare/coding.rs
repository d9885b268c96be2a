//! Undoes the content codings of a body, within bounds.
//!
//! For [`super::body`]. The router passes `Accept-Encoding` on, so an upstream may send gzip, deflate or br (RFC 9110, section
//! 8.4.1, and RFC 7932), and the two sides need not choose alike: what counts is what a client reads. A body that says of
//! itself that it is 10 GiB when unpacked costs no more than the limit.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

use super::body::Cause;

/// Honest bodies are coded once. Every layer may cost another `limit` bytes.
const MOST_LAYERS: usize = 3;
const READ_AT_ONCE: usize = 8 << 10;

/// The body as it was before any coding, at most `limit` bytes of it.
pub(super) fn decode<'b>(headers: &HeaderMap, body: &'b [u8], limit: usize) -> Result<Cow<'b, [u8]>, Cause> {
    let mut decoded = Cow::Borrowed(body);
    // Answers to HEAD and 304 name the coding of a body that they do not have.
    if !body.is_empty() {
        let codings = codings(headers)?;
        if codings.len() > MOST_LAYERS {
            return Err(Cause::CodedTooOften);
        }
        // They are named in the order in which they were applied.
        for coding in codings.iter().rev() {
            decoded = Cow::Owned(undo(*coding, &decoded, limit)?);
        }
    }
    match decoded.len() > limit {
        true => Err(Cause::TooLarge),
        false => Ok(decoded),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Cause> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| Cause::UnknownCoding)?;
        for name in value.split(',').map(str::trim) {
            match name.to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "deflate" => codings.push(Coding::Deflate),
                "br" => codings.push(Coding::Brotli),
                _ => return Err(Cause::UnknownCoding),
            }
        }
    }
    Ok(codings)
}

fn undo(coding: Coding, body: &[u8], limit: usize) -> Result<Vec<u8>, Cause> {
    match coding {
        // A gzip body may be several members one after the other (RFC 1952, section 2.2).
        Coding::Gzip => drain(MultiGzDecoder::new(body), limit, |decoder| {
            decoder.get_ref().is_empty()
        }),
        // RFC 9110 means the zlib format; some servers send the bare stream, and clients read both.
        Coding::Deflate => match drain(ZlibDecoder::new(body), limit, |decoder| {
            decoder.get_ref().is_empty()
        }) {
            Err(Cause::BrokenCoding) => drain(DeflateDecoder::new(body), limit, |decoder| {
                decoder.get_ref().is_empty()
            }),
            other => other,
        },
        Coding::Brotli => drain(brotli::Decompressor::new(body, READ_AT_ONCE), limit, |decoder| {
            // What its own buffer still holds shows as an error of one more read.
            decoder.get_ref().is_empty() && matches!(decoder.read(&mut [0]), Ok(0))
        }),
    }
}

/// Reads to the end, or to one byte above the limit; `finished` says whether nothing stands behind the end.
fn drain<R: Read>(
    mut decoder: R,
    limit: usize,
    finished: impl FnOnce(&mut R) -> bool,
) -> Result<Vec<u8>, Cause> {
    let mut decoded = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .by_ref()
        .take(most)
        .read_to_end(&mut decoded)
        .map_err(|_| Cause::BrokenCoding)?;
    if decoded.len() > limit {
        Err(Cause::TooLarge)
    } else if finished(&mut decoder) {
        Ok(decoded)
    } else {
        Err(Cause::BrokenCoding)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const PLAIN: &[u8] = b"the same the same the same the same";

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(body: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
        encoder.write_all(body).unwrap();
        encoder.into_inner()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(codings: &[&'static str], body: &[u8], limit: usize) -> Result<Vec<u8>, Cause> {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(header::CONTENT_ENCODING, coding.parse().unwrap());
        }
        decode(&headers, body, limit).map(Cow::into_owned)
    }

    #[test]
    fn every_coding_is_undone_alone_twice_and_nested() {
        let two = [gzip(&PLAIN[..10]), gzip(&PLAIN[10..])].concat();
        for (codings, body) in [
            (vec![], PLAIN.to_vec()),
            (vec!["identity"], PLAIN.to_vec()),
            (vec!["gzip"], gzip(PLAIN)),
            (vec!["X-GZIP"], gzip(PLAIN)),
            (vec!["gzip"], two),
            (vec!["deflate"], zlib(PLAIN)),
            (vec!["deflate"], bare(PLAIN)),
            (vec!["br"], brotli(PLAIN)),
            (vec!["gzip, br"], brotli(&gzip(PLAIN))),
            (vec!["gzip", "br"], brotli(&gzip(PLAIN))),
        ] {
            assert_eq!(
                decoded(&codings, &body, 1000).as_deref(),
                Ok(PLAIN),
                "{codings:?}"
            );
        }
    }

    #[test]
    fn what_unpacks_to_more_than_the_limit_is_not_unpacked() {
        let large = vec![b'a'; 1 << 20];
        for (coding, body) in [
            ("gzip", gzip(&large)),
            ("deflate", zlib(&large)),
            ("br", brotli(&large)),
        ] {
            assert_eq!(
                decoded(&[coding], &body, (1 << 20) - 1),
                Err(Cause::TooLarge),
                "{coding}"
            );
            assert!(decoded(&[coding], &body, 1 << 20).is_ok(), "{coding}");
        }
        assert_eq!(decoded(&[], PLAIN, PLAIN.len() - 1), Err(Cause::TooLarge));
        assert_eq!(
            decoded(&["br, gzip"], &gzip(&brotli(&large)), 1000),
            Err(Cause::TooLarge)
        );
    }

    #[test]
    fn broken_and_unknown_codings_are_told_apart() {
        for (coding, body) in [
            ("gzip", gzip(PLAIN)),
            ("deflate", zlib(PLAIN)),
            ("br", brotli(PLAIN)),
        ] {
            let cut = &body[..body.len() - 1];
            assert_eq!(
                decoded(&[coding], cut, 1000),
                Err(Cause::BrokenCoding),
                "{coding} cut"
            );
            let longer = [&body[..], b"more"].concat();
            assert_eq!(
                decoded(&[coding], &longer, 1000),
                Err(Cause::BrokenCoding),
                "{coding} and more"
            );
            assert_eq!(
                decoded(&[coding], PLAIN, 1000),
                Err(Cause::BrokenCoding),
                "{coding} of none"
            );
        }
        assert_eq!(decoded(&["zstd"], PLAIN, 1000), Err(Cause::UnknownCoding));
        assert_eq!(
            decoded(&["gzip, gzip, gzip, gzip"], PLAIN, 1000),
            Err(Cause::CodedTooOften)
        );
    }

    #[test]
    fn an_empty_body_needs_no_decoding() {
        assert_eq!(decoded(&["gzip"], b"", 1000).as_deref(), Ok(&b""[..]));
        assert_eq!(decoded(&["zstd"], b"", 1000).as_deref(), Ok(&b""[..]));
    }
}
