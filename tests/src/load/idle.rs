//! Connections that have each made one request and are then held.
//!
//! For the benchmark of what an idle client costs in memory.

use std::io::Read;
use std::net::SocketAddr;

use anyhow::ensure;

use super::wire::Wire;

/// How many, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Idle {
    /// Connections
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// The path
    #[arg(long, default_value = "/api/products/ABC")]
    path: String,
    /// The server
    address: SocketAddr,
}

impl Idle {
    /// Opens them, calls `ready`, and holds them until standard input ends.
    pub(super) fn run(&self, ready: impl FnOnce()) -> anyhow::Result<()> {
        let mut wires: Vec<Wire> = (0..self.connections).map(|_| Wire::new(self.address)).collect();
        for wire in &mut wires {
            let answer = wire.get(&self.path)?;
            ensure!(answer.status == 200, "answered by {}", answer.status);
        }
        ready();
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }
}
