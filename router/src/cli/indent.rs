//! Lays JSON out for people, and changes nothing else: keys keep their order and numbers their digits, which a reader who
//! compares two answers must be able to rely on.

use serde::de::IgnoredAny;

/// The text with line breaks and indents; nothing if it is no JSON.
pub(super) fn indent(json: &[u8]) -> Option<String> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let text = std::str::from_utf8(json).ok()?;
    let mut laid = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut rest = text.trim().chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            laid.push(c);
            in_string = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                laid.push(c);
            }
            '{' | '[' => {
                laid.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    laid.push(close);
                } else {
                    depth += 1;
                    line(&mut laid, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut laid, depth);
                laid.push(c);
            }
            ',' => {
                laid.push(c);
                line(&mut laid, depth);
            }
            ':' => laid.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => laid.push(c),
        }
    }
    Some(laid)
}

fn line(laid: &mut String, depth: usize) {
    laid.push('\n');
    laid.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_digits_and_strings_stay() {
        let laid = indent(br#"{"b":1.50,"a":[ ],"c":["x,{\"y\\"," "],"d":{"e":null}}"#).unwrap();
        let expected = "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"c\": [\n    \"x,{\\\"y\\\\\",\n    \" \"\n  ],\n  \"d\": {\n    \"e\": null\n  }\n}";
        assert_eq!(laid, expected);
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        assert_eq!(indent(b"hello"), None);
        assert_eq!(indent(b"{\"a\":1"), None);
    }
}
