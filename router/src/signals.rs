//! The signals that a running router is sent.
//!
//! For `banyan serve`, which listens to them before it says that it is there: a signal that nobody listens to ends the
//! process, and whoever reads that line may send one at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All of them, from the moment on at which this was made.
#[derive(Debug)]
pub struct Signals {
    /// The config file is to be read now (SIGHUP).
    pub reload: Signal,
    /// The router is to leave (SIGTERM, SIGINT).
    pub stop: Stop,
}

/// The signals that mean the same: stop in order.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens to them from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            stop: Stop {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
        })
    }
}

impl Stop {
    /// Waits for one of them.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
