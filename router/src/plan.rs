//! What will be done with a request, decided from its head alone.
//!
//! For [`crate::exchange`], [`crate::expect`] and [`crate::upgrade`], which carry it out. A plan holds the snapshot that it
//! was made from, so a reload in the middle of a request changes nothing for it.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use actix_http::{ConnectionType, Request, RequestHead};
use http02::header::{HOST, HeaderValue};
use http02::{Method, Version};
use hyper::body::Body;

use crate::choose::{Asked, Decision, Refusal, choose};
use crate::client;
use crate::config::{Settings, Upstream};
use crate::forward::body::RequestBody;
use crate::forward::headers::outbound;
use crate::forward::{Caution, convert};
use crate::identity::Identity;
use crate::origin::Origin;
use crate::problem::{Kind, Problem};
use crate::snapshot::Snapshot;
use crate::watch::Connection;

/// Methods that a server may recognise in any case.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

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
    origin: Rc<Origin>,
}

/// What matters about the client when it is answered.
#[derive(Debug, Clone, Copy)]
pub struct ClientKind {
    /// It wants the head only.
    pub is_head: bool,
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
}

impl Plan {
    /// Decides.
    pub fn make(snapshot: Arc<Snapshot>, request: &Request) -> Result<Self, Box<Refused>> {
        let head = request.head();
        let identity = Identity::of(&head.headers);
        match Self::decide(&snapshot, request) {
            Ok((decision, origin)) => {
                let why = snapshot.served_why(&decision);
                let client = ClientKind {
                    is_head: head.method == Method::HEAD,
                    is_http10: head.version == Version::HTTP_10,
                    // An upgrade that we do not follow; actix would not read on after it.
                    must_close: head.connection_type() == ConnectionType::Upgrade,
                };
                Ok(Self {
                    snapshot,
                    decision,
                    identity,
                    client,
                    why,
                    origin,
                })
            }
            Err((problem, why)) => Err(Box::new(Refused {
                problem,
                why,
                identity,
            })),
        }
    }

    fn decide(snapshot: &Snapshot, request: &Request) -> Result<(Decision, Rc<Origin>), (Problem, String)> {
        let head = request.head();
        let settings = &snapshot.config.router;
        if head_length(head) > settings.max_header_bytes {
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
        form_of_target(head).map_err(bad)?;
        let origin = origin(request).map_err(bad)?;
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

    /// Where it goes.
    pub fn upstream(&self) -> &Upstream {
        &self.snapshot.config.upstreams[self.decision.upstream]
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
    pub fn request(
        &self,
        head: &RequestHead,
        body: RequestBody,
    ) -> Result<http::Request<RequestBody>, Problem> {
        let unsendable = || Problem::new(Kind::BadRequest, "the target or the method cannot be forwarded");
        let has_chunks = body.size_hint().exact().is_none();
        let mut request = http::Request::new(body);
        *request.method_mut() = convert::method(&head.method).ok_or_else(unsendable)?;
        *request.uri_mut() = convert::target(&head.uri).ok_or_else(unsendable)?;
        *request.headers_mut() = outbound(
            head,
            self.upstream(),
            &self.origin,
            &self.identity,
            self.settings(),
        );
        if has_chunks {
            // Unless told, hyper takes a GET of unknown length for one without a body.
            let chunked = http::HeaderValue::from_static("chunked");
            request
                .headers_mut()
                .insert(http::header::TRANSFER_ENCODING, chunked);
        }
        Ok(request)
    }
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
    Problem::new(Kind::AmbiguousPath, refusal.to_string())
}

/// Peer and host. An absolute target names the host; `Host` is then ignored (RFC 9112 3.2.2).
fn origin(request: &Request) -> Result<Rc<Origin>, &'static str> {
    let head = request.head();
    let peer = head
        .peer_addr
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
    let host = match (head.uri.authority(), head.headers.get(HOST)) {
        (Some(authority), _) => Some(authority.as_str()),
        (None, Some(value)) => Some(value.to_str().map_err(|_| "the Host is not ASCII")?),
        (None, None) => None,
    };
    match request.conn_data::<Rc<Connection>>() {
        Some(connection) => connection.origin(peer, host),
        None => Origin::new(peer, host).map(Rc::new),
    }
}

/// Each form of target has its use, and in another's place it may be read as something else (RFC 9112, section 3.2). Methods
/// are told apart by case, but not by every server.
fn form_of_target(head: &RequestHead) -> Result<(), &'static str> {
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

fn head_length(head: &RequestHead) -> usize {
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
