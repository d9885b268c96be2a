//! Requests by HTTP/2 in actix's form, and answers for HTTP/2.
//!
//! For [`crate::http2`], so that one exchange serves both. What becomes HTTP/1.1 behind us must be unmistakable there.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_http::error::PayloadError;
use actix_http::header::HeaderMap as ActixHeaders;
use actix_http::{BoxedPayloadStream, Payload, Request};
use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use http02::header as old;
use hyper::body::Incoming;

use super::super::answer::{AnswerBody, Reply};

/// A request by HTTP/2 in actix's form, as if it had come by HTTP/1.1. `moved` is told of each piece of the body.
pub fn from_http2(
    request: http::Request<Incoming>,
    peer: SocketAddr,
    moved: impl Fn() + 'static,
) -> Result<Request, &'static str> {
    let (parts, body) = request.into_parts();
    let payload = match body.is_end_stream() {
        true => Payload::None,
        false => Payload::Stream {
            payload: Box::pin(Pieces { body, moved }) as BoxedPayloadStream,
        },
    };
    let mut request = Request::with_payload(payload);
    let head = request.head_mut();
    head.method =
        http02::Method::from_bytes(parts.method.as_str().as_bytes()).map_err(|_| "the method is none")?;
    head.uri = parts.uri.to_string().parse().map_err(|_| "the target is none")?;
    head.version = http02::Version::HTTP_2;
    head.peer_addr = Some(peer);
    http2_headers(&parts.headers, &mut head.headers)?;
    let host = head.headers.get(old::HOST).map(old::HeaderValue::as_bytes);
    let authority = head
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err("Host and :authority are not the same (RFC 9113, section 8.3.1)")
        }
        (None, None) => Err("there is neither :authority nor Host"),
        _ => Ok(request),
    }
}

/// What HTTP/1.1 would read in two ways is refused, and what it writes otherwise is put together.
fn http2_headers(from: &HeaderMap, to: &mut ActixHeaders) -> Result<(), &'static str> {
    let mut lengths = from.get_all(http::header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let is_number = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
        if !is_number || lengths.next().is_some() {
            return Err("the Content-Length is not one length");
        }
    }
    let mut cookies = Vec::new();
    for (name, value) in from {
        if name == http::header::COOKIE {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
            continue;
        }
        if let (Ok(name), Ok(value)) = (
            old::HeaderName::from_bytes(name.as_str().as_bytes()),
            old::HeaderValue::from_bytes(value.as_bytes()),
        ) {
            to.append(name, value);
        }
    }
    if let (false, Ok(cookies)) = (cookies.is_empty(), old::HeaderValue::from_bytes(&cookies)) {
        to.insert(old::COOKIE, cookies);
    }
    Ok(())
}

/// A body by HTTP/2 as actix has it. Trailers are dropped, as those by HTTP/1.1 are.
struct Pieces<M> {
    body: Incoming,
    moved: M,
}

// Nothing in it is ever pinned in place.
impl<M> Unpin for Pieces<M> {}

impl<M: Fn()> Stream for Pieces<M> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let polled = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
            (this.moved)();
            match polled {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(PayloadError::Io(std::io::Error::other(error)))));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

/// An answer for HTTP/2, which frames its messages by other means.
pub fn to_http2(reply: Reply) -> http::Response<AnswerBody> {
    let mut answer = http::Response::new(reply.body);
    *answer.status_mut() = StatusCode::from_u16(reply.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let size = answer.body().size();
    let headers = answer.headers_mut();
    for (name, value) in reply.fields.iter() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            headers.append(name, value);
        }
    }
    if let BodySize::Sized(length) = size {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_2_may_not_say_two_lengths_and_cookies_become_one() {
        let read = |fields: &[(&'static str, &str)]| {
            let (mut from, mut to) = (HeaderMap::new(), ActixHeaders::new());
            for (name, value) in fields {
                from.append(*name, HeaderValue::from_str(value).unwrap());
            }
            http2_headers(&from, &mut to).map(|()| to)
        };
        assert!(read(&[("content-length", "3"), ("content-length", "3")]).is_err());
        for bad in ["", "+3", "3, 3", "0x3", "3 "] {
            assert!(read(&[("content-length", bad)]).is_err(), "{bad}");
        }
        let headers = read(&[
            ("content-length", "3"),
            ("cookie", "a=1"),
            ("x", "y"),
            ("cookie", "b=2"),
        ])
        .unwrap();
        assert_eq!(headers.get_all("cookie").collect::<Vec<_>>(), ["a=1; b=2"]);
        assert_eq!(headers.get("content-length").unwrap(), "3");
    }
}
