//! Takes a process into hand-overs, as its settings say: the one call that its `main` makes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::gate::Gate;
use crate::http::{self, Token, TokenError};
use crate::link::Link;
use crate::settings::Settings;
use crate::store::Store;
use crate::{Error, MONOLITH};

/// Why a process cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings name a module that this process does not have.
    #[error("handover.modules.{0}: this process has no such module; it can hand over: {1}")]
    Unknown(String, String),
    /// The token cannot be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The client for the other side cannot be made.
    #[error("hand-over: {0}")]
    Client(#[from] reqwest::Error),
    /// The pen cannot be installed.
    #[error("hand-over of `{0}`: {1}; are the migrations up to date?")]
    Pen(String, #[source] Error),
    /// The address cannot be bound.
    #[error(transparent)]
    Listen(#[from] io::Error),
}

/// A module as a process gives it to be handed over.
#[derive(Debug)]
pub struct Module {
    /// What its writes pass.
    pub gate: Gate,
    /// Its rows.
    pub store: Arc<dyn Store>,
}

/// Installs the pens that are not there yet, begins to follow, and serves the protocol until the process ends. Gives the
/// addresses that it listens at. Must run inside actix's runtime.
pub async fn start(settings: &Settings, modules: &[Module]) -> Result<Vec<SocketAddr>, StartError> {
    let token = Token::open(&settings.token_file)?;
    let mut links = Vec::new();
    for (name, peer) in &settings.modules {
        let Some(module) = modules.iter().find(|module| module.gate.names.module == name) else {
            let known: Vec<&str> = modules.iter().map(|module| module.gate.names.module).collect();
            return Err(StartError::Unknown(name.clone(), known.join(", ")));
        };
        let link = Link::new(
            &module.gate,
            Arc::clone(&module.store),
            settings,
            peer,
            token.reveal(),
        )?;
        link.start(MONOLITH)
            .await
            .map_err(|error| StartError::Pen(name.clone(), error))?;
        links.push(link);
    }
    let (server, addresses) = http::serve(&settings.listen, &links, token)?;
    actix_web::rt::spawn(server);
    Ok(addresses)
}
