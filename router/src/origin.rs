//! Where a request comes from and what it asks for: the peer and the host, in the forms in which upstreams are told.
//!
//! For the plan and the outbound head. A connection's requests nearly always name the same host, so each connection keeps
//! its last origin ([`crate::watch::Connection::origin`]) and the texts are made once, not per request.

use std::net::IpAddr;

use http::header::HeaderValue;

/// How the client has reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As URLs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Peer and host.
#[derive(Debug)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The host as the client named it, with its port.
    pub host: Option<String>,
    /// The host as a header value.
    pub host_value: Option<HeaderValue>,
    /// The scheme as `X-Forwarded-Proto` has it.
    pub forwarded_proto: HeaderValue,
    /// The peer as `X-Forwarded-For` has it.
    pub forwarded_for: HeaderValue,
    /// Peer, protocol and host as `Forwarded` has them (RFC 7239).
    pub forwarded: HeaderValue,
    /// [`Origin::fields`] as HTTP/1.1 writes them.
    pub lines: Vec<u8>,
}

impl Origin {
    /// Puts the texts together; refuses what is no host.
    pub fn new(peer: IpAddr, host: Option<&str>, scheme: Scheme) -> Result<Self, &'static str> {
        let host = host.filter(|host| !host.is_empty());
        if host.is_some_and(|host| !is_host(host)) {
            return Err("the Host is not one");
        }
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "the Host is not one");
        let address = peer.to_string();
        let named = host.map(|host| format!(";host=\"{host}\"")).unwrap_or_default();
        let mut origin = Self {
            peer,
            host: host.map(str::to_owned),
            host_value: host.map(value).transpose()?,
            forwarded_proto: HeaderValue::from_static(scheme.name()),
            forwarded_for: value(&address)?,
            forwarded: value(&format!("for={};proto={}{named}", node(&address), scheme.name()))?,
            lines: Vec::new(),
        };
        let lines = origin
            .fields()
            .flat_map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"]);
        origin.lines = lines.collect::<Vec<_>>().concat();
        Ok(origin)
    }

    /// What upstreams are told of a client that is no trusted proxy.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let host = self.host_value.as_ref();
        [
            ("x-forwarded-for", Some(&self.forwarded_for)),
            ("x-forwarded-proto", Some(&self.forwarded_proto)),
            ("x-forwarded-host", host),
            ("forwarded", Some(&self.forwarded)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.as_bytes())))
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2). Without the comma that RFC 3986 would allow in a name: no name has one,
/// and some servers read a list.
fn is_host(text: &str) -> bool {
    let (is_name, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return false,
        Some(Some((address, rest))) => {
            let is_address = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
            (!address.is_empty() && address.bytes().all(is_address), rest)
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
            (!name.is_empty() && name.bytes().all(is_plain), port)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    is_name && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// RFC 7239 wants IPv6 addresses in brackets and quotes.
pub fn node(address: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("\"[{address}]\""),
        _ if address.bytes().all(plain) => address.to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_the_fields() {
        let origin = |host| Origin::new(IpAddr::from([127, 0, 0, 1]), host, Scheme::Http).unwrap();
        let lines = "x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\
                     x-forwarded-host: shop:80\r\nforwarded: for=127.0.0.1;proto=http;host=\"shop:80\"\r\n";
        assert_eq!(origin(Some("shop:80")).lines, lines.as_bytes());
        let lines = "x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nforwarded: for=127.0.0.1;proto=http\r\n";
        assert_eq!(origin(None).lines, lines.as_bytes());
    }
}
