//! Heads as bytes in one piece, until the shadow's thread makes of them what the HTTP client and the comparer have.
//!
//! For the worker, on whose time a copy is made: writing a name and a value behind those before it costs next to nothing, a
//! map of them costs allocations and a hash for each, and what the worker has allocated another thread would give back.

use std::iter;

use bytes::{BufMut, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Bytes before a name: its length, and that of its value.
const LENGTHS: usize = 8;

/// Writes a field behind what is there. A length beyond 4 GiB has been refused long before.
pub fn put(to: &mut BytesMut, name: &str, value: &[u8]) {
    to.reserve(LENGTHS + name.len() + value.len());
    to.put_u32(name.len() as u32);
    to.put_u32(value.len() as u32);
    to.put_slice(name.as_bytes());
    to.put_slice(value);
}

/// How many bytes [`put`] writes.
pub fn length(name: &str, value: &[u8]) -> usize {
    LENGTHS + name.len() + value.len()
}

/// The fields in the order in which they were written. What `http` does not take is left out.
pub fn fields(mut from: &[u8]) -> HeaderMap {
    let pairs = iter::from_fn(|| {
        let (lengths, rest) = from.split_first_chunk::<LENGTHS>()?;
        let [a, b, c, d, e, f, g, h] = *lengths;
        let (name, rest) = rest.split_at_checked(u32::from_be_bytes([a, b, c, d]) as usize)?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes([e, f, g, h]) as usize)?;
        from = rest;
        Some((HeaderName::from_bytes(name), HeaderValue::from_bytes(value)))
    });
    let mut fields = HeaderMap::new();
    for pair in pairs {
        if let (Ok(name), Ok(value)) = pair {
            fields.append(name, value);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_out_as_they_went_in() {
        let written: [(&str, &[u8]); 5] = [
            ("host", b"a.example"),
            ("set-cookie", b"a=1"),
            ("x-empty", b""),
            ("set-cookie", b"b=2; name=\xe4"),
            ("no name", b"left out"),
        ];
        let mut text = BytesMut::new();
        let mut expected = 0;
        for (name, value) in written {
            put(&mut text, name, value);
            expected += length(name, value);
        }
        assert_eq!(text.len(), expected);
        let read = fields(&text);
        let read: Vec<(&str, &[u8])> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        // The map puts repeated fields together, in their order.
        assert_eq!(read, [written[0], written[1], written[3], written[2]]);
        assert!(fields(&text[..5]).is_empty());
    }
}
