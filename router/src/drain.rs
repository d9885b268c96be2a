//! The orderly end: who says so, and what happens in which order.
//!
//! For the server. On SIGTERM or SIGINT: `/health/ready` says no, and each answer carries `connection: close`; for
//! `drain_delay` new connections are still taken, so that balancers can turn away in peace; then no more are; running
//! exchanges end, and the process with them.
//!
//! When a successor serves ([`crate::takeover`]) it is much the same, but new connections are the successor's at once, and
//! those that stand have a second for a last call: a client that asks within it is told on its answer to connect anew, rather than
//! finding its connection closed while its request is on the way.

use std::sync::Arc;
use std::time::Duration;

use actix_server::ServerHandle;
use tokio::time::sleep;

use crate::config::Settings;
use crate::signals::Stop;
use crate::state::State;
use crate::takeover::Offer;

/// How long connections stand on after a takeover, so that busy clients are told by an answer.
const LAST_CALL: Duration = Duration::from_secs(1);
/// How long a connection that has just been accepted may take to its worker. What the server below has not yet passed on
/// when it stops is lost.
const SETTLING: Duration = Duration::from_millis(100);

/// Waits for the end, and brings it about.
pub async fn follow(
    ending: (Option<Offer>, Stop),
    state: Arc<State>,
    clients: ServerHandle,
    admin: ServerHandle,
    settings: Settings,
) {
    let is_taken = awaited(ending).await;
    let limit = settings.shutdown_timeout;
    state.start_draining();
    if is_taken {
        tracing::info!(
            ?limit,
            "a successor serves: no new connections, running exchanges may end"
        );
        clients.pause().await;
        admin.stop(false).await;
        sleep(LAST_CALL).await;
    } else {
        let delay = settings.edge.drain_delay;
        tracing::info!(
            ?delay,
            ?limit,
            "stopping: no new connections after the delay, running exchanges may end"
        );
        sleep(delay).await;
        clients.pause().await;
        sleep(SETTLING).await;
    }
    clients.stop(true).await;
}

/// Whether it is a successor that ends this process.
async fn awaited((mut offer, mut stop): (Option<Offer>, Stop)) -> bool {
    let taken = async {
        match &mut offer {
            Some(offer) => offer.taken().await,
            None => std::future::pending().await,
        }
    };
    // The offer is gone with the answer: from here on there is nothing to take over.
    tokio::select! {
        () = taken => true,
        () = stop.asked() => false,
    }
}
