//! Limits on what one client may ask: the rate of its requests, the number of its connections, the length of a body.
//!
//! For the exchange, before it plans, and for the server, when a connection has been accepted. Unlike all else these limits
//! are shared between the workers: a client's connections are spread over all of them. A limit that is not configured costs
//! a look at an `Option`.
//!
//! A client is an IPv4 address or the /64 network of an IPv6 address, since whoever has one address there has them all.
//! Requests are told apart by the client's address as trusted proxies report it, connections by their peer. No more than
//! [`MOST_CLIENTS`] are remembered: if there are more within a second, all are forgotten at once, and every client has its
//! whole burst again. An attacker from so many addresses is not stopped by a limit per address anyway.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_http::{HttpMessage, Request};
use arc_swap::ArcSwapOption;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::client;
use crate::config::{Rate, Settings};
use crate::exchange::content_length;
use crate::identity::Identity;
use crate::plan::Refused;
use crate::problem::Problem;

/// How many clients' rates are remembered.
pub const MOST_CLIENTS: usize = 100_000;

/// What all clients have used of their limits.
#[derive(Debug, Default)]
pub struct Limits {
    rates: ArcSwapOption<Rates>,
    seats: Mutex<HashMap<IpAddr, usize>>,
}

#[derive(Debug)]
struct Rates {
    rule: Rate,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
}

/// A peer has as many connections as it may.
#[derive(Debug, thiserror::Error)]
#[error("the peer has as many connections as max_connections_per_client allows")]
pub struct NoSeat;

/// One connection's place among those that its peer may have.
#[derive(Debug)]
pub struct Seat {
    limits: Arc<Limits>,
    peer: IpAddr,
}

impl Limits {
    /// Lets a request in, or says why not.
    pub fn admit(&self, request: &Request, settings: &Settings) -> Result<(), Box<Refused>> {
        let edge = &settings.edge;
        if edge.rate_limit.is_none() && edge.max_body_bytes.is_none() {
            return Ok(());
        }
        let refuse = |problem, why: &str| {
            let identity = Identity::of(request.headers());
            Err(Box::new(Refused {
                problem,
                why: why.to_owned(),
                identity,
                trace: None,
            }))
        };
        if let Some(wait) = edge
            .rate_limit
            .and_then(|rule| self.wait(request, settings, rule))
        {
            return refuse(Problem::too_many_requests(wait), "refused=rate-limit");
        }
        match (content_length(request.head()), edge.max_body_bytes) {
            (Some(length), Some(most)) if length > most => {
                refuse(Problem::content_too_large(most), "refused=body-too-large")
            }
            _ => Ok(()),
        }
    }

    /// How long the client has to wait, if it has to.
    fn wait(&self, request: &Request, settings: &Settings, rule: Rate) -> Option<Duration> {
        let peer = request.peer_addr()?.ip().to_canonical();
        let client = network(client::address(
            peer,
            request.headers(),
            &settings.trusted_proxies,
        ));
        let rates = self.rates(rule);
        let refused = rates.limiter.check_key(&client).err()?;
        Some(refused.wait_time_from(DefaultClock::default().now()))
    }

    fn rates(&self, rule: Rate) -> Arc<Rates> {
        if let Some(rates) = self.rates.load_full().filter(|rates| rates.rule == rule) {
            return rates;
        }
        // The first request, or the first after a reload. Workers may do this at the same time: the last one counts.
        let rates = Arc::new(Rates::new(rule));
        self.rates.store(Some(Arc::clone(&rates)));
        rates
    }

    /// Forgets clients that have been quiet. For once a second.
    pub fn tidy(&self) {
        let Some(rates) = self.rates.load_full() else {
            return;
        };
        rates.limiter.retain_recent();
        if rates.limiter.len() > MOST_CLIENTS {
            tracing::warn!(
                most = MOST_CLIENTS,
                "more clients than can be told apart: their request rates are forgotten"
            );
            self.rates.store(Some(Arc::new(Rates::new(rates.rule))));
        }
    }

    /// A place for a connection; `None` if places are not counted.
    pub fn seat(self: &Arc<Self>, peer: IpAddr, settings: &Settings) -> Result<Option<Seat>, NoSeat> {
        let Some(most) = settings.edge.max_connections_per_client else {
            return Ok(None);
        };
        let peer = peer.to_canonical();
        if client::is_trusted(peer, &settings.trusted_proxies) {
            return Ok(None);
        }
        let peer = network(peer);
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(peer).or_default();
        if *taken >= most {
            return Err(NoSeat);
        }
        *taken += 1;
        Ok(Some(Seat {
            limits: Arc::clone(self),
            peer,
        }))
    }
}

impl Rates {
    fn new(rule: Rate) -> Self {
        // An interval of nothing cannot be: rates are at most a million per second.
        let quota = Quota::with_period(rule.interval.max(Duration::from_nanos(1)))
            .unwrap_or(Quota::per_second(rule.burst))
            .allow_burst(rule.burst);
        Self {
            rule,
            limiter: RateLimiter::keyed(quota),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.limits.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.peer) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.peer);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use actix_http::test::TestRequest;
    use std::net::Ipv4Addr;

    const FILE: &str = "[upstreams]\nmonolith = \"http://127.0.0.1:1\"\n[router]\nrate_limit = \"1/h\"\n\
                        max_connections_per_client = 2\ntrusted_proxies = [\"10.0.0.0/8\"]";

    fn settings() -> Settings {
        Config::parse("test", FILE.as_bytes()).unwrap().router
    }

    fn asks(limits: &Limits, peer: &str, settings: &Settings) -> bool {
        let mut request = TestRequest::default().finish();
        let head = request.head_mut();
        head.peer_addr = Some(format!("{peer}:1").parse().unwrap());
        limits.admit(&request, settings).is_ok()
    }

    #[test]
    fn clients_are_told_apart_and_neighbours_in_a_network_are_not() {
        let (limits, settings) = (Limits::default(), settings());
        assert!(asks(&limits, "1.2.3.4", &settings));
        assert!(!asks(&limits, "1.2.3.4", &settings));
        assert!(!asks(&limits, "[::ffff:1.2.3.4]", &settings));
        assert!(asks(&limits, "1.2.3.5", &settings));
        assert!(asks(&limits, "[2001:db8::1]", &settings));
        assert!(!asks(&limits, "[2001:db8::ffff:2]", &settings));
        assert!(asks(&limits, "[2001:db8:0:1::1]", &settings));
    }

    #[test]
    fn however_many_clients_there_are_memory_is_bounded() {
        let (limits, settings) = (Limits::default(), settings());
        for number in 0..=MOST_CLIENTS as u32 {
            asks(&limits, &Ipv4Addr::from_bits(number).to_string(), &settings);
        }
        assert!(!asks(&limits, "0.0.0.7", &settings));
        limits.tidy();
        assert!(asks(&limits, "0.0.0.7", &settings), "all are forgotten");
        let rates = limits.rates.load_full().unwrap();
        assert_eq!(rates.limiter.len(), 1);
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_has_gone() {
        let (limits, settings) = (Arc::new(Limits::default()), settings());
        let peer = "1.2.3.4".parse().unwrap();
        let first = limits.seat(peer, &settings).unwrap();
        let _second = limits.seat(peer, &settings).unwrap();
        assert!(limits.seat(peer, &settings).is_err());
        assert!(limits.seat("1.2.3.5".parse().unwrap(), &settings).is_ok());
        drop(first);
        assert!(limits.seat(peer, &settings).is_ok());
        let proxy = "10.0.0.1".parse().unwrap();
        assert!((0..9).all(|_| matches!(limits.seat(proxy, &settings), Ok(None))));
    }
}
