//! Where the admin port is, as people write it: for `serve`, which binds it, and for the commands that ask it.
//!
//! One environment variable, `BANYAN_ADMIN`, goes to both, so both take an address and a URL. Only `serve` needs an address
//! of this machine; a command may ask a router elsewhere, by name and through a proxy that speaks TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// Reads where to bind: `127.0.0.1:8081`, or `http://127.0.0.1:8081`. The error says how to write it.
pub(super) fn to_bind(given: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = given.parse() {
        return Ok(address);
    }
    let remedy = "write an IP address and a port, such as 127.0.0.1:8081 or http://127.0.0.1:8081";
    let url = match given.starts_with("http://") {
        true => Url::parse(given).map_err(|error| format!("{error}; {remedy}"))?,
        false => return Err(format!("it is neither an address nor an http:// URL; {remedy}")),
    };
    // Whatever more it says would be passed over in silence.
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || url.authority().contains('@')
    {
        return Err(format!("there is more in it than host and port; {remedy}"));
    }
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip),
        Some(Host::Domain("localhost")) => IpAddr::from(Ipv4Addr::LOCALHOST),
        Some(Host::Domain(_)) | None => {
            return Err(format!("a port is bound by address, not by name; {remedy}"));
        }
    };
    // A URL that leaves the port out means 80.
    Ok(SocketAddr::new(ip, url.port_or_known_default().unwrap_or(80)))
}

/// Reads where to ask: an address, `HOST:PORT`, or a URL with http or https. The error says how to write it.
pub(super) fn to_ask(given: &str) -> Result<Url, String> {
    let text = match given.contains("://") {
        true => given.to_owned(),
        false => format!("http://{given}"),
    };
    let url = Url::parse(&text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    url.map(reachable).ok_or_else(|| {
        format!("`{given}` is no address; write such as 127.0.0.1:8081 or http://127.0.0.1:8081")
    })
}

/// What is bound to every address is reached at the loopback.
fn reachable(mut url: Url) -> Url {
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        Some(Host::Ipv6(ip)) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        _ => return url,
    };
    // A URL with such a host takes another address; if not, it stays as it was given.
    let _as_given = url.set_ip_host(loopback);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_takes_an_address_as_people_write_it() {
        let read = |given: &str| to_ask(given).ok().map(|url| url.to_string());
        assert_eq!(read("127.0.0.1:8081"), Some("http://127.0.0.1:8081/".to_owned()));
        assert_eq!(read("0.0.0.0:8081"), Some("http://127.0.0.1:8081/".to_owned()));
        assert_eq!(
            read("http://0.0.0.0:8081"),
            Some("http://127.0.0.1:8081/".to_owned())
        );
        assert_eq!(read("[::]:8081"), Some("http://[::1]:8081/".to_owned()));
        assert_eq!(
            read("banyan.internal:81"),
            Some("http://banyan.internal:81/".to_owned())
        );
        assert_eq!(read("https://a/b"), Some("https://a/b".to_owned()));
        assert_eq!(read("ftp://a"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_port_is_bound_at_whatever_a_command_is_given_for_this_machine() {
        let read = |given: &str| to_bind(given).ok().map(|address| address.to_string());
        for (given, address) in [
            ("127.0.0.1:8081", "127.0.0.1:8081"),
            ("http://127.0.0.1:8081", "127.0.0.1:8081"),
            ("http://127.0.0.1:8081/", "127.0.0.1:8081"),
            ("http://0.0.0.0:0", "0.0.0.0:0"),
            ("http://[::1]:8081", "[::1]:8081"),
            ("http://localhost:8081", "127.0.0.1:8081"),
            ("http://10.0.0.1", "10.0.0.1:80"),
        ] {
            assert_eq!(read(given).as_deref(), Some(address), "{given}");
            assert!(to_ask(given).is_ok(), "{given}");
        }
        for given in [
            "",
            "8081",
            "127.0.0.1",
            "https://127.0.0.1:8081",
            "http://banyan.internal:81",
            "http://127.0.0.1:8081/status",
            "http://ann@127.0.0.1:8081",
            "http://127.0.0.1:80810",
        ] {
            let why = to_bind(given).unwrap_err();
            assert!(why.contains("such as 127.0.0.1:8081"), "{given}: {why}");
        }
    }
}
