//! `banyan serve`: runs the router.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::address::to_bind;
use super::{ConfigFile, load, say, tell};
use crate::admin::token::Token;
use crate::config::{Config, Settings};
use crate::evidence::Evidence;
use crate::operations::beside;
use crate::server::Bound;
use crate::shadow;
use crate::shadow::findings::Findings;
use crate::signals::Signals;
use crate::snapshot::Snapshot;
use crate::spans;
use crate::state::State;
use crate::takeover;

/// Run the router.
///
/// Edits of the config file take effect within 1.5 s, at once on SIGHUP. A file with a mistake changes nothing: what was
/// served before goes on, and the log has every mistake with its line. SIGTERM or Ctrl-C stops it in order.
///
/// One line goes to standard output once the ports are bound: `listening router=ADDRESS admin=ADDRESS`. Logs go to standard
/// error, pretty on a terminal and as JSON otherwise; RUST_LOG changes how much.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan serve
  banyan serve --config staging.toml
  banyan serve --takeover                                    replaces the running one, whose clients notice nothing
  banyan serve --listen 127.0.0.1:0 --admin 127.0.0.1:0      any free ports, see the line on standard output

Ask it, and switch routes, with `banyan status`, `promote`, `revert`, … or on the admin port:
  curl http://127.0.0.1:8081/health/ready
  curl -H \"Authorization: Bearer $(cat banyan-token)\" http://127.0.0.1:8081/status
  curl -H \"Authorization: Bearer $(cat banyan-token)\" http://127.0.0.1:8081/openapi.json
The token is in the file that admin_token_file names (banyan-token beside the config); the first start makes it.
BANYAN_ADMIN_TOKEN in the environment goes before it.

Exit codes: 0 stopped in order, 1 the config is invalid or the server failed, 2 wrong usage.")]
pub(super) struct Serve {
    #[command(flatten)]
    file: ConfigFile,
    /// Where clients connect; overrides the file.
    #[arg(long, env = "BANYAN_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where operators connect, an address or an http:// URL of one; overrides the file.
    #[arg(long, env = "BANYAN_ADMIN", value_name = "ADDRESS", value_parser = to_bind)]
    admin: Option<SocketAddr>,
    /// Take the ports over from the router that runs with the same config file, without refusing a connection: it goes on
    /// until this one serves, then ends its exchanges and stops. Starts as usual if no router runs.
    #[arg(long)]
    takeover: bool,
}

/// How far back evidence reaches.
const EVIDENCE_KEPT: Duration = Duration::from_hours(24);

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let config = match load(&self.file.config) {
            Ok(config) => config,
            Err(code) => return code,
        };
        let mut settings = config.router.clone();
        settings.listen = self.listen.unwrap_or(settings.listen);
        settings.admin = self.admin.unwrap_or(settings.admin);
        log_to_stderr();
        let ready = self.get_ready(&settings);
        let (bound, token) = match ready {
            Ok(ready) => ready,
            Err(why) => {
                tell(&why);
                return ExitCode::FAILURE;
            }
        };
        let findings = Arc::new(Findings::new(Arc::new(Evidence::new(EVIDENCE_KEPT))));
        let shadow = match shadow::run::start(Arc::clone(&findings)) {
            Ok(shadow) => shadow,
            Err(error) => {
                tell(&format!("cannot start the shadow's thread: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let spans = match spans::export::start(&config.telemetry) {
            Ok(spans) => spans,
            Err(error) => {
                tell(&error.to_string());
                return ExitCode::FAILURE;
            }
        };
        let state = State::new(Snapshot::new(config), (shadow, spans), findings);
        let served = actix_web::rt::System::new().block_on(async {
            let signals = Signals::listen()?;
            announce(&bound, &state.snapshot().config, &self.file.config);
            bound.serve(state, self.file.config, token, signals).await
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tell(&format!("the server failed: {error}"));
                ExitCode::FAILURE
            }
        }
    }
}

impl Serve {
    /// The ports and the operators' token, or why they cannot be had.
    fn get_ready(&self, settings: &Settings) -> Result<(Bound, Token), String> {
        let file = &self.file.config;
        let bound = match self.takeover {
            true => {
                let path = takeover::path(settings.edge.handover_socket.as_deref(), file);
                Bound::take_over(settings, &path)
            }
            false => Bound::bind(settings),
        };
        let bound = bound.map_err(|error| error.to_string())?;
        let token = Token::open(&beside(file, &settings.admin_token_file));
        Ok((bound, token.map_err(|error| error.to_string())?))
    }
}

/// In the log first: whoever reads the line on standard output may end the process at once.
fn announce(bound: &Bound, config: &Config, file: &Path) {
    tracing::info!(
        router = %bound.router,
        admin = %bound.admin,
        config = %file.display(),
        routes = config.routes.len(),
        workers = config.router.workers,
        "listening"
    );
    let tls = bound
        .tls
        .map(|address| format!(" tls={address}"))
        .unwrap_or_default();
    say(&format!(
        "listening router={} admin={}{tls}",
        bound.router, bound.admin
    ));
}

fn log_to_stderr() {
    // What the HTTP server below says of clients that break off is not news.
    let quiet = "info,actix_http=off,actix_server=warn,hyper=warn";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().with_ansi(false).init();
    }
}
