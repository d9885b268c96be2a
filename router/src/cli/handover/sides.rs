//! The two sides of a module, as the config file names them.

use std::path::Path;

use clap::ValueEnum;
use handover::client::{self, Side};
use handover::wire::Status;
use tokio::runtime::Runtime;

use crate::cli::remote::Failure;
use crate::config::{Config, Mode, Route};
use crate::operations::beside;

/// One of the two ends, as an operator calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum End {
    /// The service extracted from the monolith.
    Service,
    /// The monolith.
    Monolith,
}

impl End {
    /// The word of the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Monolith => "monolith",
        }
    }
}

/// Both sides of a module.
pub(super) struct Sides {
    pub(super) monolith: Side,
    pub(super) service: Side,
    /// The module's write routes, whose mode follows the pen.
    pub(super) write_routes: Vec<String>,
    /// Of these, those that say by their mode who serves them; the others are by-owner, and follow by themselves.
    pub(super) routes_to_set: Vec<String>,
}

/// Both sides' status.
pub(super) struct Both {
    pub(super) monolith: Status,
    pub(super) service: Status,
}

impl Sides {
    /// Finds them in the config file. Nothing is sent yet.
    pub(super) fn open(file: &Path, module: &str) -> Result<Self, Failure> {
        let config = Config::load(file).map_err(|refused| Failure::Other(refused.to_string()))?;
        let names: Vec<&str> = config.modules.iter().map(|module| module.name.as_str()).collect();
        let Some(found) = config.modules.iter().find(|known| known.name == module) else {
            return Err(Failure::Usage(format!(
                "there is no module `{module}`; there are: {}",
                names.join(", ")
            )));
        };
        let Some(settings) = &found.handover else {
            return Err(Failure::Usage(format!(
                "{}: the module `{module}` has no section [modules.{module}.handover], which says where its two sides are",
                file.display()
            )));
        };
        let token_file = beside(file, &settings.token_file);
        let token = std::fs::read_to_string(&token_file).map_err(|error| {
            Failure::Other(format!("the hand-over's token {}: {error}", token_file.display()))
        })?;
        let side = |name: &str, url: &str| {
            Side::new(name, url, module, token.trim()).map_err(|error| Failure::Other(error.to_string()))
        };
        let is_write = |route: &&Route| config.is_write_of(route, module);
        let write_routes: Vec<&Route> = config.routes.iter().filter(is_write).collect();
        let to_set = write_routes.iter().filter(|route| route.mode != Mode::ByOwner);
        Ok(Self {
            monolith: side("monolith", &settings.monolith)?,
            service: side("the service", &settings.service)?,
            routes_to_set: to_set.map(|route| route.name.clone()).collect(),
            write_routes: write_routes.iter().map(|route| route.name.clone()).collect(),
        })
    }

    pub(super) fn at(&self, end: End) -> &Side {
        match end {
            End::Service => &self.service,
            End::Monolith => &self.monolith,
        }
    }

    /// Asks both.
    pub(super) fn both(&self, runtime: &Runtime) -> Result<Both, Failure> {
        let asked = runtime.block_on(async { tokio::join!(self.monolith.status(), self.service.status()) });
        Ok(Both {
            monolith: asked.0.map_err(failure)?,
            service: asked.1.map_err(failure)?,
        })
    }
}

impl Both {
    pub(super) fn at(&self, end: End) -> &Status {
        match end {
            End::Service => &self.service,
            End::Monolith => &self.monolith,
        }
    }

    /// Which end a side's name belongs to.
    pub(super) fn end_of(&self, side: &str) -> End {
        if self.service.side == side {
            End::Service
        } else {
            End::Monolith
        }
    }
}

/// What a side did not do, as the command ends with it.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failure(error: client::Error) -> Failure {
    let remedy = match &error {
        client::Error::Unreachable { .. } => {
            "\nis it running, with a section [handover]? `banyan doctor` looks at both sides"
        }
        client::Error::Nonsense { .. } => "\nlook at [modules.….handover] in the config file",
        client::Error::Refused { status: 401, .. } => {
            "\nboth sides and this command must read the same token file; see token_file in [modules.….handover]"
        }
        client::Error::Refused { .. } => "",
    };
    Failure::Other(format!("{error}{remedy}"))
}
