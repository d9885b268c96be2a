//! The copy of a request that is put to the service for comparison: whether there is one, and its heads.
//!
//! For [`crate::exchange`], which makes it before the monolith answers. A copy carries what the request itself would, and a
//! mark that nobody waits for its answer.

use std::sync::Arc;

use actix_http::RequestHead;
use bytes::BytesMut;

use super::{OUR_FIELDS, Plan};
use crate::config::Mode;
use crate::form;
use crate::forward::convert;
use crate::forward::headers::{Fields, kept_host, outbound};
use crate::shadow::{Asked, Draft, packed};
use crate::table::is_safe;

impl Plan {
    /// The route, if the monolith's answer to this request is one that the service's is compared with.
    pub fn compared_route(&self) -> Option<usize> {
        let index = self.decision.route?;
        let route = &self.snapshot.config.routes[index];
        let is_compared = matches!(route.mode, Mode::Shadow | Mode::Canary(_));
        (is_compared && self.is_at_monolith() && is_safe(self.client.method.as_str())).then_some(index)
    }

    /// Index of the upstream that a route's copies go to.
    pub fn service_of(&self, route: usize) -> Option<usize> {
        let config = &self.snapshot.config;
        config.modules[config.routes[route].module].service
    }

    /// A copy of a request to a route, for a service. It costs the client's answer as little as can be: its fields are written
    /// down one behind the other, once for both sides, and whoever sends it makes a request of them.
    pub fn draft(&self, route: usize, service: usize, head: &RequestHead) -> Option<Draft> {
        let config = &self.snapshot.config;
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut text = BytesMut::with_capacity(form::length(head) + OUR_FIELDS);
        text.extend_from_slice(target.as_bytes());
        outbound(
            head,
            &config.upstreams[service].addresses[0],
            &self.origin,
            &self.identity,
            self.settings(),
            &mut Packed(&mut text),
        );
        Some(Draft {
            route,
            service,
            asks: Asked {
                method: convert::method(&head.method)?,
                text,
                fields: target.len(),
                by_own_name: kept_host(&self.origin, self.settings()).is_none(),
            },
            snapshot: Arc::clone(&self.snapshot),
        })
    }
}

/// Fields as the shadow takes them.
struct Packed<'t>(&'t mut BytesMut);

impl Fields for Packed<'_> {
    fn put(&mut self, name: &str, value: &[u8]) {
        packed::put(self.0, name, value);
    }
}
