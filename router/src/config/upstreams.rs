//! `[upstreams]` and `[ejection]`: where requests can go, and when an address of several is left alone.
//!
//! For [`crate::balance`] and [`crate::forward`]. An upstream has one address, or several that serve the same: then a
//! request goes to one of them, and one that fails is left out for a while.

use std::time::Duration;

use toml::de::{DeArray, DeValue};
use url::Url;

use super::document::{judged, plain, set};
use super::reader::{At, Reader, Section};
use super::values::{self, Complaint, Percent};

/// How many addresses an upstream may have: a set of them is a number of so many bits.
pub const MOST_ADDRESSES: usize = 64;

/// What requests can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its key in `[upstreams]`.
    pub name: String,
    /// Where it is; at least one, and each once.
    pub addresses: Vec<Address>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `host:port` as a `Host` header writes it.
    pub authority: String,
}

/// When an address of several is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row after which it is.
    pub failures: usize,
    /// For how long, the first time. It is as much longer each time as it was the first.
    pub pause: Duration,
    /// For how long at the most.
    pub max_pause: Duration,
    /// The share of an upstream's addresses that may be at the same time. One may be in any case unless this is nothing,
    /// and the last one never is.
    pub max_share: Percent,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 5,
            pause: Duration::from_secs(5),
            max_pause: Duration::from_mins(5),
            max_share: Percent::of(5_000),
        }
    }
}

impl Upstream {
    /// Whether there is a choice of addresses.
    pub fn has_several(&self) -> bool {
        self.addresses.len() > 1
    }

    /// All addresses in one text, for people.
    pub fn listed(&self) -> String {
        let authorities: Vec<&str> = self.authorities().collect();
        authorities.join(", ")
    }

    /// The addresses as `Host` headers write them.
    pub fn authorities(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().map(|address| address.authority.as_str())
    }

    /// Whether another one is at one of its addresses too.
    pub fn shares_with(&self, other: &Self) -> bool {
        self.addresses.iter().any(|own| other.addresses.contains(own))
    }
}

/// The section; a name whose URLs were refused stands there without an upstream.
pub(super) fn upstreams(reader: &Reader<'_>, section: &Section<'_>) -> Vec<(At<String>, Option<Upstream>)> {
    let entries = section.entries().into_iter().map(|(name, value)| {
        plain(reader, &name, "upstream");
        let at = |value| At {
            value,
            key: name.key.clone(),
            span: name.span.clone(),
        };
        let addresses = match value.get_ref() {
            DeValue::String(text) => {
                let text = At {
                    value: text.as_ref(),
                    key: name.key.clone(),
                    span: value.span(),
                };
                judged(reader, Some(text), address).map(|address| vec![address.value])
            }
            DeValue::Array(items) => several(reader, &at(()), items, value.span()),
            _ => {
                let reason = format!("the upstream `{}` is neither a text nor a list", name.value);
                reader.fault(&value.span(), &name.key, reason, "write its URL in quotes");
                None
            }
        };
        let upstream = addresses.map(|addresses| Upstream {
            name: name.value.clone(),
            addresses,
        });
        (name, upstream)
    });
    entries.collect()
}

/// A list of URLs, all of which must be good.
fn several(
    reader: &Reader<'_>,
    at: &At<()>,
    items: &DeArray<'_>,
    span: std::ops::Range<usize>,
) -> Option<Vec<Address>> {
    if items.is_empty() || items.len() > MOST_ADDRESSES {
        let reason = format!("the list has {} addresses", items.len());
        reader.fault(&span, &at.key, reason, format!("give 1 to {MOST_ADDRESSES}"));
        return None;
    }
    let mut addresses: Vec<Address> = Vec::new();
    let mut is_good = true;
    for item in items {
        let DeValue::String(text) = item.get_ref() else {
            reader.fault(
                &item.span(),
                &at.key,
                "an address is not a text".to_owned(),
                "write its URL in quotes",
            );
            is_good = false;
            continue;
        };
        let text = At {
            value: text.as_ref(),
            key: at.key.clone(),
            span: item.span(),
        };
        match judged(reader, Some(text), address) {
            Some(read) if addresses.contains(&read.value) => {
                reader.wrong(&read, "the address is there twice".to_owned(), "name it once");
                is_good = false;
            }
            Some(read) => addresses.push(read.value),
            None => is_good = false,
        }
    }
    is_good.then_some(addresses)
}

pub(super) fn ejection(reader: &Reader<'_>, section: Option<Section<'_>>) -> Ejection {
    let mut ejection = Ejection::default();
    let Some(section) = section else { return ejection };
    let time = |key| judged(reader, section.text(key), values::duration);
    let failures = judged(reader, section.number("failures"), |text| {
        values::whole(text, 1..=1_000_000)
    });
    set(&mut ejection.failures, failures.as_ref());
    set(&mut ejection.pause, time("pause").as_ref());
    set(&mut ejection.max_pause, time("max_pause").as_ref());
    set(
        &mut ejection.max_share,
        judged(reader, section.number("max_share"), Percent::parse).as_ref(),
    );
    section.finish();
    ejection
}

/// Reads the URL of a server.
pub(super) fn address(text: &str) -> Result<Address, Complaint> {
    let complain = |why: String| (why, "write such as \"http://127.0.0.1:8100\"".to_owned());
    let url = Url::parse(text).map_err(|error| complain(format!("\"{text}\" is not a URL: {error}")))?;
    if url.scheme() != "http" {
        return Err(complain(format!(
            "\"{text}\" is not http, the only scheme of this version"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(complain(
            "the URL holds credentials, which upstreams are not sent".to_owned(),
        ));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(complain(format!(
            "\"{text}\" has a path: requests keep their own, so it would be ignored"
        )));
    }
    let Some(host) = url.host_str() else {
        return Err(complain(format!("\"{text}\" names no host")));
    };
    let port = url.port().unwrap_or(80);
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Address {
        host,
        port,
        authority,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn read(upstreams: &str) -> Result<Config, String> {
        let text = format!("[router]\n[upstreams]\n{upstreams}\n");
        Config::parse("f", text.as_bytes()).map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_list_is_several_addresses_of_one_upstream() {
        let config = read("monolith = \"http://a\"\ncatalog = [\"http://b:1\", \"http://[::1]:2\"]").unwrap();
        let listed: Vec<String> = config.upstreams.iter().map(super::Upstream::listed).collect();
        assert_eq!(listed, ["a", "b:1, [::1]:2"]);
        assert_eq!(config.upstreams[1].addresses[1].host, "::1");
    }

    #[test]
    fn a_list_that_says_nothing_or_the_same_twice_is_refused_with_its_line() {
        for (list, reason) in [
            ("[]", "the list has 0 addresses"),
            ("[\"http://b\", \"http://b:80\"]", "twice"),
            ("[\"http://b\", 3]", "not a text"),
            ("[\"http://b\", \"https://c\"]", "not http"),
            ("3", "neither a text nor a list"),
        ] {
            let refused = read(&format!("monolith = {list}")).unwrap_err();
            assert!(
                refused.contains(reason) && refused.starts_with("f:3:"),
                "{refused}"
            );
        }
    }
}
