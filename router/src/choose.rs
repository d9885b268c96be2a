//! Who serves a request, and why: a function of the snapshot and the request, and of how far a follower's data has come.
//!
//! For [`crate::exchange`], which acts on it, and for `banyan why`, which prints it; both call [`choose`], so the command
//! tells what the server does.
//!
//! A canary keeps each client on one side. The client's sticky key and the module's name are hashed to a bucket of 0 to
//! 9,999, and the service serves the buckets below 100 × percent. So raising the percentage only ever moves clients towards
//! the service, and a client has one side in all routes of a module that share a sticky rule, but is sorted anew in each
//! module, or the same clients would try out everything first.

use std::fmt;
use std::net::IpAddr;

use actix_http::header::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use crate::config::{Mode, Owner, Route, Sticky};
use crate::path::{self, Reading};
use crate::position::Position;
use crate::snapshot::Snapshot;
use crate::table::is_safe;

/// What the choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'r> {
    /// As sent: methods are case-sensitive.
    pub method: &'r str,
    /// Without query.
    pub path: &'r str,
    /// The `Host`, or the authority of an absolute target.
    pub host: Option<&'r str>,
    /// All headers.
    pub headers: &'r HeaderMap,
    /// The client's address, after trusted proxies have been looked through.
    pub client: IpAddr,
}

/// A request that goes somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Index of the upstream that serves it.
    pub upstream: usize,
    /// Index of the route that it belongs to; absent if no route matches.
    pub route: Option<usize>,
    /// What decided.
    pub rule: Rule,
    /// Present if the path is unusual but all its readings agree.
    pub unusual: Option<&'static str>,
    /// Present if the route's mode did not have the last word.
    pub overruled: Option<Overruled>,
}

/// What overruled a route's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overruled {
    /// A tester asked for this side.
    Tester(&'static str),
    /// The client has written something that the chosen side is not known to have yet.
    Behind(Position),
    /// The client has written in an epoch that this router does not know yet, at this side.
    Ahead(Position),
    /// It is a write, and the pen says who may do it.
    Holder(u64),
    /// The chosen side does not follow the holder of the data closely enough to answer.
    NotFollowing,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No route matches.
    Unmatched,
    /// The route's mode leaves no choice.
    Fixed,
    /// The client's bucket was below the threshold, or not.
    Canary {
        /// The client's bucket.
        bucket: u16,
        /// The first bucket that is the monolith's.
        threshold: u16,
        /// What the route sticks to, if the request had no such thing and its address was taken instead.
        missing: Option<Sticky>,
    },
}

/// A request that goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Different readings of the path belong to different routes.
    Ambiguous(&'static str),
    /// The path is none.
    Broken(&'static str),
    /// It is the hand-over's, which clients have no business with.
    Reserved,
}

/// What the hand-over's paths begin with.
const RESERVED: &[u8] = b"handover";

/// Chooses.
pub fn choose(snapshot: &Snapshot, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let host = asked
        .host
        .filter(|_| snapshot.table.asks_for_host())
        .map(plain_host);
    let find =
        |pieces: &[crate::table::Piece<'_>]| snapshot.table.find(host.as_deref(), asked.method, pieces);
    let (route, unusual) = match path::read(asked.path) {
        Reading::Usual(pieces) if is_reserved(&pieces) => return Err(Refusal::Reserved),
        Reading::Usual(pieces) => (find(&pieces), None),
        Reading::Unusual { readings, because } => {
            if readings.iter().any(|pieces| is_reserved(pieces)) {
                return Err(Refusal::Reserved);
            }
            let mut routes = readings.iter().map(|pieces| find(pieces));
            let first = routes.next().flatten();
            if routes.any(|route| route != first) {
                return Err(Refusal::Ambiguous(because));
            }
            (first, Some(because))
        }
        Reading::Broken(why) => return Err(Refusal::Broken(why)),
    };
    let (mut upstream, rule) = match route {
        None => (snapshot.monolith, Rule::Unmatched),
        Some(index) => serve(snapshot, &snapshot.config.routes[index], asked),
    };
    let overruling =
        route.and_then(|index| overrule(snapshot, &snapshot.config.routes[index], asked, upstream));
    let overruled = overruling.map(|(side, because)| {
        upstream = side;
        because
    });
    Ok(Decision {
        upstream,
        route,
        rule,
        unusual,
        overruled,
    })
}

/// Whether a path is one that the two sides of a hand-over talk to each other by. They should do so at an address of their own;
/// whether they do, the router does not know.
fn is_reserved(pieces: &[crate::table::Piece<'_>]) -> bool {
    matches!(pieces, [first, _, ..] if **first == *RESERVED)
}

/// What has more say than the mode.
///
/// About a write of a module that is handed over: the pen alone. The file is read by each router at a time of its own, and an edit of
/// it cannot be seen by all of them at one moment; the pen is in one row of one database, and whoever does not hold it refuses
/// writes, whatever a router believes. So the file says where to begin, until a side has said who holds the pen.
///
/// About a safe request: a tester who asks for a side, a client's own last write, and whether the side that does not hold the data
/// follows the one that does.
fn overrule(
    snapshot: &Snapshot,
    route: &Route,
    asked: &Asked<'_>,
    chosen: usize,
) -> Option<(usize, Overruled)> {
    let config = &snapshot.config;
    let module = &config.modules[route.module];
    let service = module.service?;
    let owner = snapshot.owner_upstream(route.module);
    let pen = snapshot.pen(route.module);
    if !is_safe(asked.method) {
        let pen = pen.filter(|_| chosen != owner)?;
        return Some((owner, Overruled::Holder(pen.epoch())));
    }
    let wish = config.router.tester_header.as_deref();
    let wish = wish.and_then(|name| asked.headers.get(name)?.to_str().ok());
    match wish.map(str::trim) {
        Some("monolith") => return Some((snapshot.monolith, Overruled::Tester("monolith"))),
        Some("service") => return Some((service, Overruled::Tester("service"))),
        _ => {}
    }
    let pen = pen.filter(|pen| pen.holder().is_some());
    let written = (pen.is_some() || chosen != owner).then(|| Position::wanted(asked.headers, &module.name));
    let written = written.flatten();
    if let (Some(pen), Some(written)) = (pen, written)
        && written.epoch() > pen.epoch()
    {
        // Whoever wrote it has it. What has become of the pen, the exchange asks first.
        let side = match written.is_monoliths() {
            true => snapshot.monolith,
            false => service,
        };
        return Some((side, Overruled::Ahead(written)));
    }
    if chosen == owner {
        return None;
    }
    let side = match chosen == snapshot.monolith {
        true => Owner::Monolith,
        false => Owner::Service,
    };
    if pen.is_some_and(|pen| !pen.follows(side)) {
        return Some((owner, Overruled::NotFollowing));
    }
    let written = written?;
    let is_behind = !snapshot.reached(route.module, chosen).covers(written);
    is_behind.then_some((owner, Overruled::Behind(written)))
}

fn serve(snapshot: &Snapshot, route: &Route, asked: &Asked<'_>) -> (usize, Rule) {
    let module = &snapshot.config.modules[route.module];
    let service = module.service.unwrap_or(snapshot.monolith);
    match route.mode {
        Mode::Monolith | Mode::Shadow => (snapshot.monolith, Rule::Fixed),
        Mode::Service => (service, Rule::Fixed),
        Mode::ByOwner => (snapshot.owner_upstream(route.module), Rule::Fixed),
        Mode::Canary(percent) => {
            let threshold = percent.threshold();
            let (bucket, missing) = match sticky_key(&route.sticky, asked.headers) {
                Some(key) => (bucket(&module.name, key), None),
                None => {
                    let address = asked.client.to_string();
                    let missing = (route.sticky != Sticky::Client).then(|| route.sticky.clone());
                    (bucket(&module.name, address.as_bytes()), missing)
                }
            };
            let upstream = if bucket < threshold {
                service
            } else {
                snapshot.monolith
            };
            (
                upstream,
                Rule::Canary {
                    bucket,
                    threshold,
                    missing,
                },
            )
        }
    }
}

/// The bucket of a key in a module, 0 to 9,999.
pub fn bucket(module: &str, key: &[u8]) -> u16 {
    let digest = Sha256::new()
        .chain_update(module)
        .chain_update([0])
        .chain_update(key)
        .finalize();
    let head = digest
        .iter()
        .take(8)
        .fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    (head % 10_000) as u16
}

fn sticky_key<'h>(sticky: &Sticky, headers: &'h HeaderMap) -> Option<&'h [u8]> {
    let key = match sticky {
        Sticky::Client => None,
        Sticky::Header(name) => headers.get(name.as_str()).map(HeaderValue::as_bytes),
        Sticky::Cookie(name) => cookie(headers, name),
    };
    key.map(<[u8]>::trim_ascii).filter(|key| !key.is_empty())
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let pairs = headers
        .get_all("cookie")
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let split = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..split].trim_ascii() == name.as_bytes()).then(|| &pair[split + 1..])
    });
    values.next()
}

/// Lower case, no port, no final dot.
fn plain_host(host: &str) -> String {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    without_port.trim_end_matches('.').to_ascii_lowercase()
}

impl Decision {
    /// The value of `x-served-why`: `key=value` pairs between spaces.
    pub fn why(&self, snapshot: &Snapshot) -> String {
        let route = self.route.map(|index| &snapshot.config.routes[index]);
        let mut why = match route {
            None => "route=- reason=unmatched".to_owned(),
            Some(route) => format!("route={} mode={}", route.name, route.mode.word()),
        };
        if let Rule::Canary {
            bucket,
            threshold,
            missing,
        } = &self.rule
        {
            let sign = if bucket < threshold { "<" } else { ">=" };
            why.push_str(&format!(" bucket={bucket:04}{sign}{threshold:04}"));
            if let Some(missing) = missing {
                why.push_str(&format!(" key=client missing={missing}"));
            }
        }
        match self.overruled {
            None => {}
            Some(Overruled::Tester(side)) => why.push_str(&format!(" asked-for={side}")),
            Some(Overruled::Behind(position)) => why.push_str(&format!(" not-yet-at={position}")),
            Some(Overruled::Ahead(position)) => why.push_str(&format!(" written-at={position}")),
            Some(Overruled::Holder(epoch)) => why.push_str(&format!(" pen-epoch={epoch}")),
            Some(Overruled::NotFollowing) => why.push_str(" other-side=not-following"),
        }
        if let Some(unusual) = self.unusual {
            why.push_str(&format!(" path={unusual}"));
        }
        why
    }
}

impl Refusal {
    /// The value of `x-served-why`.
    pub fn why(self) -> String {
        match self {
            Self::Ambiguous(because) => format!("refused=ambiguous-path path={because}"),
            Self::Broken(_) => "refused=ambiguous-path path=broken".to_owned(),
            Self::Reserved => "refused=reserved-path".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous(because) => write!(
                f,
                "the path can be read in more than one way ({because}), and the readings belong to different routes"
            ),
            Self::Broken(why) => write!(f, "the path cannot be read: {why}"),
            Self::Reserved => {
                f.write_str("paths under /handover/ are the hand-over's own, and are not passed on")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_within_three_sigma_and_growth_moves_nobody_back() {
        let customers = 20_000u32;
        let buckets: Vec<u16> = (0..customers)
            .map(|n| bucket("catalog", format!("c{n}").as_bytes()))
            .collect();
        let mut served: Vec<bool> = vec![false; buckets.len()];
        for percent in 0..=100u16 {
            let now: Vec<bool> = buckets.iter().map(|bucket| *bucket < percent * 100).collect();
            assert!(
                served.iter().zip(&now).all(|(before, after)| !before || *after),
                "moved back at {percent} %"
            );
            let share = now.iter().filter(|side| **side).count() as f64;
            let p = f64::from(percent) / 100.0;
            let sigma = (f64::from(customers) * p * (1.0 - p)).sqrt();
            assert!(
                (share - f64::from(customers) * p).abs() <= 3.0 * sigma,
                "{percent} %: {share}"
            );
            served = now;
        }
        assert!(served.iter().all(|side| *side));
    }

    #[test]
    fn modules_sort_clients_independently() {
        let both = (0..10_000).map(|n| format!("c{n}")).filter(|key| {
            bucket("catalog", key.as_bytes()) < 1000 && bucket("orders", key.as_bytes()) < 1000
        });
        let both = both.count();
        assert!(
            (60..140).contains(&both),
            "{both} of 10,000 are in both 10 % shares"
        );
    }

    #[test]
    fn hosts_are_compared_without_port_and_case() {
        assert_eq!(plain_host("Shop.Example.com:8080"), "shop.example.com");
        assert_eq!(plain_host("shop.example.com."), "shop.example.com");
        assert_eq!(plain_host("[::1]:80"), "[::1]");
        assert_eq!(plain_host("[::1]"), "[::1]");
    }
}
