//! Who gets past the door of the admin port.
//!
//! For every request to it but the two of the health checks, which platforms send from anywhere and which tell nothing. A
//! page in an operator's browser can send requests to a loopback port, and with a name that it makes resolve to 127.0.0.1
//! (DNS rebinding) it can read the answers. So the `Host` must be an address, `localhost` or a name that the config lists,
//! an `Origin` must be our own, and the token must come in a header that no page sends by itself.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN, WWW_AUTHENTICATE};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web;

use super::problem::Problem;
use super::token::Token;
use crate::state::State;

/// Lets a request through, or says why not.
pub(super) async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if !matches!(request.path(), "/health/live" | "/health/ready") {
        let refusal = check(&request);
        // An error and not an answer: nothing may hold the request while actix routes it.
        refusal?;
    }
    // HEAD is GET without the body (RFC 9110, section 9.3.2), which the server leaves out by itself.
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    next.call(request).await
}

fn check(request: &ServiceRequest) -> Result<(), Problem> {
    let missing = || Problem::unavailable("starting", "the router is not ready for operators yet");
    let state = request.app_data::<web::Data<State>>().ok_or_else(missing)?;
    let token = request.app_data::<web::Data<Token>>().ok_or_else(missing)?;
    let host = host(
        request.headers(),
        request.uri().authority().map(Authority::as_str),
    )?;
    let snapshot = state.snapshot();
    if !is_ours(&host, &snapshot.config.router.admin_hosts) {
        let detail = "use an address or localhost, or list the name in admin_hosts in [router]";
        let title = "The admin port does not go by this name";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-host", title, detail));
    }
    check_origin(request.headers(), &host)?;
    check_token(request.headers(), token)
}

/// The one `Host`, in lower case; the authority of an absolute target must be the same (RFC 9112, section 3.2.2, lets it go
/// before the header; nobody needs two).
fn host(headers: &HeaderMap, authority: Option<&str>) -> Result<String, Problem> {
    let mut hosts = headers.get_all(HOST);
    let host = hosts
        .next()
        .and_then(|host| host.to_str().ok())
        .map(str::to_ascii_lowercase);
    let is_odd =
        hosts.next().is_some() || authority.is_some_and(|target| Some(target.to_ascii_lowercase()) != host);
    match host {
        Some(host) if !is_odd => Ok(host),
        _ => {
            let detail = "send one Host, that of the admin port";
            let title = "The admin port does not go by this name";
            Err(Problem::new(StatusCode::FORBIDDEN, "foreign-host", title, detail))
        }
    }
}

/// Whether the admin port goes by this `HOST[:PORT]`.
fn is_ours(host: &str, names: &[String]) -> bool {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && is_port(rest);
    }
    let (name, port) = host.find(':').map_or((host, ""), |colon| host.split_at(colon));
    let is_known =
        name == "localhost" || name.parse::<Ipv4Addr>().is_ok() || names.iter().any(|known| known == name);
    is_known && is_port(port)
}

/// Nothing, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

/// A browser says where a page comes from. Ours has none, so only somebody who serves a page under our own name, such as
/// a proxy with a dashboard, may send one.
fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let is_own = |origin: &str| {
        let origin = origin.to_ascii_lowercase();
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority == Some(host)
    };
    let mut origins = headers.get_all(ORIGIN);
    match origins.all(|origin| origin.to_str().is_ok_and(is_own)) {
        true => Ok(()),
        false => {
            let detail = "requests from pages of another origin are not taken";
            let title = "The request comes from a foreign page";
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "foreign-origin",
                title,
                detail,
            ))
        }
    }
}

fn check_token(headers: &HeaderMap, token: &Token) -> Result<(), Problem> {
    let refuse = |challenge: &str, detail: &str| {
        let title = "The operators' token is needed";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail)
            .header(WWW_AUTHENTICATE, challenge)
    };
    let mut given = headers.get_all(AUTHORIZATION);
    let Some(value) = given.next() else {
        let detail = "send `Authorization: Bearer TOKEN`; the token is in the file that admin_token_file in [router] names";
        return Err(refuse("Bearer realm=\"banyan\"", detail));
    };
    // The scheme is case-insensitive (RFC 9110, section 11.1).
    let presented = value.as_bytes().split_at_checked(7);
    let presented = presented.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
    let is_it = presented.is_some_and(|(_, presented)| token.is(presented.trim_ascii()));
    match is_it && given.next().is_none() {
        true => Ok(()),
        false => Err(refuse(
            "Bearer realm=\"banyan\", error=\"invalid_token\"",
            "this is not the router's token; it is in the file that admin_token_file in [router] names",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_listed_names_are_ours_and_nothing_else_is() {
        let names = ["banyan.internal".to_owned()];
        for ours in [
            "127.0.0.1",
            "10.1.2.3:8081",
            "[::1]",
            "[::1]:8081",
            "localhost:1",
            "banyan.internal:8081",
        ] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for foreign in [
            "",
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "127.0.0.1:8081.evil.test",
            "banyan.internal.",
            "[::1]evil.test",
            "[evil]",
            "localhost:",
            "localhost:1:2",
            "2130706433",
            "::1",
        ] {
            assert!(!is_ours(foreign, &names), "{foreign}");
        }
    }
}
