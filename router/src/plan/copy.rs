//! The copy of a request that is put to the service for comparison: whether there is one, and its heads.
//!
//! For [`crate::exchange`], which makes it before the monolith answers. A copy carries what the request itself would, and a
//! mark that nobody waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use actix_http::RequestHead;

use super::Plan;
use crate::config::{Mode, Upstream};
use crate::forward::convert;
use crate::forward::headers::outbound;
use crate::shadow::{self, Draft};
use crate::table::is_safe;

impl Plan {
    /// The route, if the monolith's answer to this request is one that the service's is compared with.
    pub fn compared_route(&self) -> Option<usize> {
        let index = self.decision.route?;
        let route = &self.snapshot.config.routes[index];
        let is_compared = matches!(route.mode, Mode::Shadow | Mode::Canary(_));
        (is_compared && self.is_at_monolith() && is_safe(self.client.method.as_str())).then_some(index)
    }

    /// The heads of a copy.
    pub fn draft(&self, route: usize, head: &RequestHead) -> Option<Draft> {
        let config = &self.snapshot.config;
        let service = config.modules[config.routes[route].module].service?;
        let copy = |upstream: usize| self.copy_for(&config.upstreams[upstream], head);
        Some(Draft {
            route,
            service,
            to_service: copy(service)?,
            to_monolith: copy(self.snapshot.monolith)?,
            took: Duration::ZERO,
            snapshot: Arc::clone(&self.snapshot),
        })
    }

    /// The head of a copy as an upstream would be sent it.
    fn copy_for(&self, upstream: &Upstream, head: &RequestHead) -> Option<http::Request<()>> {
        let mut request = http::Request::new(());
        *request.method_mut() = convert::method(&head.method)?;
        *request.uri_mut() = convert::target(&head.uri)?;
        let fields = request.headers_mut();
        outbound(
            head,
            // Which address will be asked is not known yet; it shows in the `Host` alone, if that is the upstream's own.
            &upstream.addresses[0],
            &self.origin,
            &self.identity,
            self.settings(),
            |name, value| {
                if let (Ok(name), Ok(value)) = (
                    http::HeaderName::from_bytes(name.as_bytes()),
                    http::HeaderValue::from_bytes(value),
                ) {
                    fields.append(name, value);
                }
            },
        );
        // Both sides are told that nobody waits for the answer.
        fields.insert(shadow::MARK, http::HeaderValue::from_static("1"));
        Some(request)
    }
}
