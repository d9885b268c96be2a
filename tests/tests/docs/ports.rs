//! Gives each run of a chapter ports of its own, so that chapters run side by side and beside a shop that is up already.
//!
//! A chapter speaks of the default ports, which is friendliest by hand. Before it runs, each `127.0.0.1:PORT` in it is
//! replaced, and the programs are told of the new defaults by their environment. The new ports have four digits like the
//! old, so that tables keep their widths.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::TcpListener;

/// What the programs listen at or call when nothing is said, and the variable that says otherwise.
const DEFAULTS: [(&str, &str, u16); 5] = [
    ("MONOLITH_LISTEN", "", 8100),
    ("CATALOG_LISTEN", "", 8101),
    ("PSP_LISTEN", "", 8109),
    ("MONOLITH_CATALOG__URL", "http://", 8101),
    ("MONOLITH_PSP__URL", "http://", 8109),
];

/// The ports of a chapter and what stands for them in this run.
#[derive(Debug)]
pub struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// Finds a free port for each that the chapter names, and for the defaults.
    pub fn of(text: &str) -> std::io::Result<Self> {
        let named = text.split("127.0.0.1:").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok().filter(|port| *port != 0)
        });
        let mut ports = BTreeMap::new();
        for port in named.chain(DEFAULTS.map(|(_, _, port)| port)) {
            if let Entry::Vacant(place) = ports.entry(port) {
                place.insert(free()?);
            }
        }
        Ok(Self(ports))
    }

    /// The text with this run's ports.
    pub fn apply(&self, text: &str) -> String {
        let mut parts = text.split("127.0.0.1:");
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let port = part[..end].parse().ok().and_then(|port: u16| self.0.get(&port));
            let port = port.map_or_else(|| part[..end].to_owned(), u16::to_string);
            replaced.push_str(&format!("127.0.0.1:{port}{}", &part[end..]));
        }
        replaced
    }

    /// The variables that tell the programs of this run's defaults.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let variable = |(name, scheme, port): (&'static str, &str, u16)| {
            (name, format!("{scheme}127.0.0.1:{}", self.0[&port]))
        };
        DEFAULTS.map(variable).to_vec()
    }
}

/// A port of four digits that nobody listens at. Drawn at random, so that two runs at once seldom meet.
fn free() -> std::io::Result<u16> {
    let mut last = None;
    for _ in 0..200 {
        let port = rand::random_range(2000..=9999);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("no free port")))
}
