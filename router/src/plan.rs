//! What will be done with a request, decided from its head alone.
//!
//! For [`crate::exchange`], [`crate::expect`] and [`crate::upgrade`], which carry it out. A plan holds the snapshot that it
//! was made from, so a reload in the middle of a request changes nothing for it.

mod copy;

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use actix_http::header::HeaderMap;
use actix_http::{ConnectionType, Request, RequestHead, StatusCode};
use bytes::BytesMut;
use http02::header::{HOST, HeaderValue};
use http02::{Method, Version};

use crate::balance::Place;
use crate::choose::{Asked, Decision, Overruled, Refusal, choose};
use crate::client;
use crate::config::{Address, Mode, Owner, Settings, Upstream};
use crate::form;
use crate::forward::Caution;
use crate::forward::body::RequestBody;
use crate::forward::fields::AnswerFields;
use crate::forward::headers::{Fields, Lines, outbound};
use crate::forward::send::Outbound;
use crate::identity::Identity;
use crate::origin::{Origin, Scheme};
use crate::pen::Pen;
use crate::position::{self, Position};
use crate::problem::{Kind, Problem};
use crate::snapshot::Snapshot;
use crate::spans::trace::Trace;
use crate::standing::{self, Standing};
use crate::table::is_safe;
use crate::watch::Connection;

/// About as many bytes as our own fields take.
const OUR_FIELDS: usize = 448;

/// A request that will be forwarded.
#[derive(Debug)]
pub struct Plan {
    /// The config that it is served by.
    pub snapshot: Arc<Snapshot>,
    /// Who serves it, and why.
    pub decision: Decision,
    /// Its names.
    pub identity: Identity,
    /// What the answer must look like.
    pub client: ClientKind,
    /// The value of `x-served-why`.
    pub why: HeaderValue,
    /// Whether the monolith may answer in the service's place.
    pub may_fall_back: bool,
    /// Which of the upstream's addresses is asked.
    pub place: Place,
    /// Present if the request is recorded.
    pub trace: Option<Rc<Trace>>,
    origin: Rc<Origin>,
}

/// What matters about the client when it is answered.
#[derive(Debug, Clone)]
pub struct ClientKind {
    /// What it asked with.
    pub method: Method,
    /// It does not know chunks.
    pub is_http10: bool,
    /// Its connection cannot go on after this answer.
    pub must_close: bool,
}

/// A request that will not be forwarded.
#[derive(Debug)]
pub struct Refused {
    /// What it is told.
    pub problem: Problem,
    /// The value of `x-served-why`.
    pub why: String,
    /// Its names.
    pub identity: Identity,
    /// Present if the request is recorded.
    pub trace: Option<Rc<Trace>>,
}

impl Refused {
    /// A request that is no request.
    pub fn malformed(detail: &str) -> Self {
        Self {
            problem: Problem::new(Kind::BadRequest, detail),
            why: "refused=malformed".to_owned(),
            identity: Identity::of(&HeaderMap::new()),
            trace: None,
        }
    }
}

impl ClientKind {
    /// Whether it wants the head only.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

impl Plan {
    /// Decides.
    pub fn make(
        snapshot: Arc<Snapshot>,
        request: &Request,
        connection: Option<&Rc<Connection>>,
    ) -> Result<Self, Box<Refused>> {
        let head = request.head();
        let identity = Identity::of(&head.headers);
        match Self::decide(&snapshot, request, connection) {
            Ok((decision, origin)) => {
                let why = snapshot.served_why(&decision);
                let client = ClientKind {
                    method: head.method.clone(),
                    is_http10: head.version == Version::HTTP_10,
                    // An upgrade that we do not follow; the client may not see that it was not.
                    must_close: head.connection_type() == ConnectionType::Upgrade,
                };
                Ok(Self {
                    may_fall_back: may_fall_back(&snapshot, &decision, head),
                    snapshot,
                    decision,
                    identity,
                    client,
                    why,
                    place: Place::default(),
                    trace: None,
                    origin,
                })
            }
            Err((problem, why)) => Err(Box::new(Refused {
                problem,
                why,
                identity,
                trace: None,
            })),
        }
    }

    fn decide(
        snapshot: &Snapshot,
        request: &Request,
        connection: Option<&Rc<Connection>>,
    ) -> Result<(Decision, Rc<Origin>), (Problem, String)> {
        let head = request.head();
        let settings = &snapshot.config.router;
        if form::length(head) > settings.max_header_bytes {
            let detail = format!("the head is longer than {} bytes", settings.max_header_bytes);
            return Err((
                Problem::new(Kind::HeaderTooLarge, detail),
                "refused=header-too-large".to_owned(),
            ));
        }
        let bad = |detail: &str| {
            (
                Problem::new(Kind::BadRequest, detail),
                "refused=bad-request".to_owned(),
            )
        };
        if head.method == Method::CONNECT {
            let problem = Problem::new(Kind::NotImplemented, "the router is not a tunnel");
            return Err((problem, "refused=connect".to_owned()));
        }
        form::check(head).map_err(bad)?;
        let origin = origin(request, connection).map_err(bad)?;
        let asked = Asked {
            method: head.method.as_str(),
            path: head.uri.path(),
            host: origin.host.as_deref(),
            headers: &head.headers,
            client: client::address(origin.peer, &head.headers, &settings.trusted_proxies),
        };
        let decision = choose(snapshot, &asked).map_err(|refusal| (refused(refusal), refusal.why()))?;
        Ok((decision, origin))
    }

    /// Lets the monolith answer, and says why.
    pub fn fall_back(&mut self, because: &str) {
        self.decision.upstream = self.snapshot.monolith;
        self.add_reason(&format!("fallback={because}"));
        if let Some(trace) = &self.trace {
            trace.fell_back();
        }
    }

    /// Says that another address of the upstream is asked, and why.
    pub fn go_elsewhere(&mut self, because: &str) {
        self.add_reason(&format!("other-address={because}"));
    }

    /// The pen of the request's module, if that is handed over.
    pub fn pen(&self) -> Option<Arc<Pen>> {
        let route = &self.snapshot.config.routes[self.decision.route?];
        self.snapshot.pen(route.module).cloned()
    }

    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        !is_safe(self.client.method.as_str())
    }

    /// Whether its route goes where the data is.
    pub fn is_by_owner(&self) -> bool {
        let route = self
            .decision
            .route
            .map(|index| &self.snapshot.config.routes[index]);
        route.is_some_and(|route| route.mode == Mode::ByOwner)
    }

    /// Sends a request to whoever holds the pen by now.
    pub fn send_to_holder(&mut self, pen: &Pen) {
        let Some(route) = self.decision.route else { return };
        let holder = self
            .snapshot
            .owner_upstream(self.snapshot.config.routes[route].module);
        if holder != self.decision.upstream {
            self.decision.upstream = holder;
            // Whether the other side has what is asked for was judged with the holder that was known before.
            self.may_fall_back = false;
            self.add_reason(&format!("pen-epoch={}", pen.epoch()));
        }
    }

    /// Notes that a write was refused by the side that it went to, and is sent to the other.
    pub fn replayed(&mut self) {
        self.add_reason("replayed=421");
    }

    fn add_reason(&mut self, reason: &str) {
        let why = format!("{} {reason}", self.why.to_str().unwrap_or_default());
        self.why = HeaderValue::from_str(&why).unwrap_or(HeaderValue::from_static("?"));
    }

    /// Whether it goes to the monolith.
    pub fn is_at_monolith(&self) -> bool {
        self.decision.upstream == self.snapshot.monolith
    }

    /// How the upstream it goes to is doing.
    pub fn standing(&self) -> &Standing {
        self.snapshot.standing(self.decision.upstream)
    }

    /// Where it goes.
    pub fn upstream(&self) -> &Upstream {
        &self.snapshot.config.upstreams[self.decision.upstream]
    }

    /// Where exactly.
    pub fn address(&self) -> &Address {
        &self.upstream().addresses[self.place.index]
    }

    /// The upstream, and which of its addresses.
    pub fn target(&self) -> (&Upstream, &Address) {
        (self.upstream(), self.address())
    }

    /// The `[router]` section.
    pub fn settings(&self) -> &Settings {
        &self.snapshot.config.router
    }

    /// The value of `x-served-by`.
    pub fn served_by(&self) -> HeaderValue {
        self.snapshot.served_by(self.decision.upstream)
    }

    /// The request that the upstream is sent.
    pub fn request(&self, head: &RequestHead, body: RequestBody) -> Outbound {
        let framing: &[(&str, &str)] = match body.is_chunked() {
            true => &[("transfer-encoding", "chunked")],
            false => &[],
        };
        self.request_with(head, body, framing)
    }

    /// The same with fields for this hop only.
    pub fn request_with(&self, head: &RequestHead, body: RequestBody, hop: &[(&str, &str)]) -> Outbound {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut text = BytesMut::with_capacity(form::length(head) + OUR_FIELDS);
        for part in [head.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        let names = self.trace.as_ref().map(|trace| trace.names(&self.identity));
        outbound(
            head,
            self.address(),
            &self.origin,
            names.as_ref().unwrap_or(&self.identity),
            self.settings(),
            &mut Lines(&mut text),
        );
        for (name, value) in hop {
            Lines(&mut text).put(name, value.as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        Outbound {
            head: text,
            body,
            is_head: self.client.is_head(),
            go_on: None,
        }
    }

    /// Takes note of what an upstream says of itself on an answer. The answer to a write gives a cookie, by which its
    /// client's reads will find a side that has it.
    pub fn heed(&self, status: StatusCode, fields: &AnswerFields) -> Option<HeaderValue> {
        let position = self.snapshot.heed(
            self.decision.route,
            self.decision.upstream,
            (fields.get(standing::FIELD), fields.get(position::HEADER)),
        )?;
        let module = self.snapshot.config.routes[self.decision.route?].module;
        let module = &self.snapshot.config.modules[module];
        let is_write = !is_safe(self.client.method.as_str()) && status.is_success();
        let cookie = (is_write && module.service.is_some()).then(|| position.cookie(&module.name))?;
        HeaderValue::from_str(&cookie).ok()
    }
}

/// Whether the monolith has all the data that a safe request asks for, and the route lets it answer.
fn may_fall_back(snapshot: &Snapshot, decision: &Decision, head: &RequestHead) -> bool {
    let Some(route) = decision.route.map(|index| &snapshot.config.routes[index]) else {
        return false;
    };
    let may = decision.upstream != snapshot.monolith && route.fallback && is_safe(head.method.as_str());
    may && match snapshot.owner(route.module) {
        // Unless the client has written in an epoch that this router has not heard of.
        Owner::Monolith => !matches!(decision.overruled, Some(Overruled::Ahead(_))),
        Owner::Service => is_in_sync(snapshot, route.module, head),
    }
}

/// Whether the monolith follows a service that holds the data, and has what the client has written.
fn is_in_sync(snapshot: &Snapshot, module: usize, head: &RequestHead) -> bool {
    if !snapshot
        .pen(module)
        .is_some_and(|pen| pen.follows(Owner::Monolith))
    {
        return false;
    }
    let written = Position::wanted(&head.headers, &snapshot.config.modules[module].name);
    written.is_none_or(|written| snapshot.reached(module, snapshot.monolith).covers(written))
}

/// Whether a request may be sent a second time if the first came to nothing.
pub fn caution(method: &Method, body: &RequestBody) -> Caution {
    let idempotent = matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    match body {
        RequestBody::Empty if idempotent => Caution::Repeatable,
        _ => Caution::Once,
    }
}

fn refused(refusal: Refusal) -> Problem {
    let kind = match refusal {
        Refusal::Ambiguous(_) | Refusal::Broken(_) => Kind::AmbiguousPath,
        Refusal::Reserved => Kind::ReservedPath,
    };
    Problem::new(kind, refusal.to_string())
}

/// Peer and host. An absolute target names the host; `Host` is then ignored (RFC 9112 3.2.2).
fn origin(request: &Request, connection: Option<&Rc<Connection>>) -> Result<Rc<Origin>, &'static str> {
    let head = request.head();
    let peer = head
        .peer_addr
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
    let host = match (head.uri.authority(), head.headers.get(HOST)) {
        (Some(authority), _) => Some(authority.as_str()),
        (None, Some(value)) => Some(value.to_str().map_err(|_| "the Host is not ASCII")?),
        (None, None) => None,
    };
    match connection {
        Some(connection) => connection.origin(peer, host),
        // Only a stream of HTTP/2 has no connection to itself, and that is spoken over TLS alone.
        None => Origin::new(peer, host, Scheme::Https).map(Rc::new),
    }
}
