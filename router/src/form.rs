//! What a head must look like before anybody asks where it goes.
//!
//! For [`crate::plan`]. The framing has been judged by then ([`crate::strict`]); this is what can be said of a head that has
//! been parsed, in whichever version of HTTP it came.

use actix_http::RequestHead;
use http02::Method;

/// Methods that a server may recognise in any case.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Each form of target has its use, and in another's place it may be read as something else (RFC 9112, section 3.2). Methods
/// are told apart by case, but not by every server.
pub fn check(head: &RequestHead) -> Result<(), &'static str> {
    let uri = &head.uri;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err("the scheme of the target is not http"),
        None if uri.authority().is_some() => return Err("the target is an authority, as CONNECT has it"),
        None if uri.path() == "*" && head.method != Method::OPTIONS => {
            return Err("the target is *, as OPTIONS has it");
        }
        None => {}
    }
    let method = head.method.as_str();
    let has_small_letter = method.bytes().any(|byte| byte.is_ascii_lowercase());
    if has_small_letter && METHODS.iter().any(|known| known.eq_ignore_ascii_case(method)) {
        return Err("the method is not in capitals");
    }
    Ok(())
}

/// How many bytes a head has, as HTTP/1.1 would write it.
pub fn length(head: &RequestHead) -> usize {
    let target = head
        .uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    head.method.as_str().len() + target + 12 + fields.sum::<usize>()
}
