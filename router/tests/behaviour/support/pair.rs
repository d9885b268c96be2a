//! Two sides and a router between them, for tests that switch routes.

use serde_json::Value;

use super::router::{config, route};
use super::{Router, Upstream};

/// Two upstreams, and a router with two routes and comments in its file.
pub(crate) struct Pair {
    pub(crate) monolith: Upstream,
    pub(crate) service: Upstream,
    pub(crate) router: Router,
}

impl Pair {
    pub(crate) async fn new(mode: &str, more: &str) -> Self {
        Self::with("", mode, more).await
    }

    pub(crate) async fn with(router: &str, mode: &str, more: &str) -> Self {
        let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
        let routes = format!(
            "# the route that moves first\n{}sticky = \"header:x-user\" # by user\n{}{}",
            route("read", "GET /read", mode),
            route("other", "GET /other", "\"service\" # for weeks"),
            route("write", "POST /read", "\"monolith\""),
        );
        let text = config(router, monolith.address, service.address, &routes) + more;
        Self {
            router: Router::start(&text),
            monolith,
            service,
        }
    }

    pub(crate) async fn served_by(&self, user: &str) -> String {
        let mut client = self.router.connect().await;
        let answer = client
            .request(&format!("GET /read HTTP/1.1\nhost: a\nx-user: {user}"))
            .await;
        answer.text()
    }

    /// A user whom a canary of so many percent keeps on the service.
    pub(crate) fn pinned(&self) -> String {
        let served_by = |user: &str| {
            let header = format!("x-user: {user}");
            self.router.why(&["GET", "/read", "-H", &header])["served_by"].clone()
        };
        (0..1000)
            .map(|n| n.to_string())
            .find(|user| served_by(user) == "catalog")
            .unwrap()
    }

    pub(crate) async fn audit(&self, query: &str) -> Vec<Value> {
        let (status, page) = self.router.ask_admin(&format!("/audit?{query}")).await;
        assert_eq!(status, 200, "{page}");
        page["entries"].as_array().unwrap().clone()
    }
}
