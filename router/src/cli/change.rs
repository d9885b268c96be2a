//! `banyan promote | set | revert | plan`: switches routes, or says what a switch would do.
//!
//! All of them bring a wish to the running router, which works it out, edits the file, writes the audit log and serves by
//! it. A revert goes on without a running router ([`super::back`]): the way back must not hang on one.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Number, Value};

use super::remote::{Failure, PATIENCE, Remote, Target, actor};
use super::{back, say, tell};
use crate::admin::wish::{Back, ModeWord, SetMode, WishBody, WishFor};

/// How long a revert waits for the router before it edits the file itself.
const REVERT_PATIENCE: Duration = Duration::from_secs(8);

/// Take a route's next step, if the evidence allows it.
///
/// The steps are shadow, each share of the canary in [promotion] steps, and service. A step that puts more trust in the
/// service needs a certificate that passes; `banyan certify` shows it. The config file is edited, comments stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan promote get-product
  banyan promote get-product --reason 'week two'
  banyan promote get-product --force --reason 'known difference, ticket 12'
  banyan promote get-product --json | jq -r .sentence

Exit codes: 0 promoted, 1 refused, or no router can be reached, 2 wrong usage, 3 held by the evidence.")]
pub(super) struct Promote {
    /// The route's name.
    route: String,
    #[command(flatten)]
    forcing: Forcing,
    #[command(flatten)]
    common: Common,
}

/// Put a route into a mode.
///
/// More trust in the service than it has now needs a certificate that passes, as a promotion does; less needs nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan set get-product shadow
  banyan set get-product canary --percent 5
  banyan set get-product service --force --reason 'tested by hand'
  banyan set get-product monolith                        as revert does

Exit codes: 0 set, 1 refused, or no router can be reached, 2 wrong usage, 3 held by the evidence.")]
pub(super) struct Set {
    /// The route's name.
    route: String,
    /// The mode.
    mode: ModeWord,
    /// The share of the clients whom the service answers, 0 to 100; for canary.
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    percent: Option<Number>,
    #[command(flatten)]
    forcing: Forcing,
    #[command(flatten)]
    common: Common,
}

/// Take routes back to the monolith, at once.
///
/// Clients who are pinned to the service go back with their next request. It needs no evidence, it is made even if the
/// audit log cannot be written, and if no router can be reached it edits the config file itself. Writes of a module whose
/// data the service owns stay where the data is.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["route", "module", "all"]), after_help = "\
Examples:
  banyan revert get-product
  banyan revert --module catalog --reason 'prices are off'
  banyan revert --all

Exit codes: 0 reverted, or there was nothing to revert, 1 refused, 2 wrong usage.")]
pub(super) struct Revert {
    /// The route's name.
    route: Option<String>,
    /// All routes of this module.
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,
    /// All routes.
    #[arg(long)]
    all: bool,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    common: Common,
}

/// Say what a promote, set or revert would do, and do nothing.
///
/// In the words in which the audit log would record it. What it refuses, the command itself would refuse.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  banyan plan promote get-product
  banyan plan set get-product canary --percent 5
  banyan plan revert --all --json

Exit codes: 0 it would be done, 1 refused, or no router can be reached, 2 wrong usage, 3 held by the evidence."
)]
pub(super) struct Plan {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A route's next step
    Promote(Promote),
    /// A mode for a route
    Set(Set),
    /// Routes back to the monolith
    Revert(Revert),
}

/// Going against the evidence.
#[derive(Debug, Args)]
struct Forcing {
    /// Do it although the certificate says hold; needs --reason.
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// What all of them take.
#[derive(Debug, Args)]
struct Common {
    /// Who wishes it, for the audit log; without this, cli:USER@HOST.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Promote {
    pub(super) fn run(self) -> ExitCode {
        let told = self.common.bring("switch", &self.wish(), PATIENCE);
        self.common.tell(told, Some(&self.route))
    }

    fn wish(&self) -> WishBody {
        self.forcing.wish(WishFor::Promote(self.route.clone()))
    }
}

impl Set {
    pub(super) fn run(self) -> ExitCode {
        let told = self
            .wish()
            .and_then(|wish| self.common.bring("switch", &wish, PATIENCE));
        self.common
            .tell(told, (self.mode != ModeWord::Monolith).then_some(&self.route))
    }

    fn wish(&self) -> Result<WishBody, Failure> {
        let set = SetMode {
            route: self.route.clone(),
            mode: self.mode,
            percent: self.percent.clone(),
        };
        let checked = set
            .mode()
            .map_err(|problem| Failure::Usage(format!("--percent: {}", problem.detail)));
        checked.map(|_| self.forcing.wish(WishFor::Set(set)))
    }
}

impl Revert {
    pub(super) fn run(self) -> ExitCode {
        let told = self.common.bring("switch", &self.wish(), REVERT_PATIENCE);
        match told {
            // Without a router there is nothing to ask, and without a token there never was one.
            Err(failure @ (Failure::Unreachable { .. } | Failure::Token(_))) => {
                let file = &self.common.target.file.config;
                tell(&format!("{}\nso the file is edited here", failure_line(&failure)));
                self.common
                    .tell(back::edit(file, &self.back(), &self.actor(), &self.reason), None)
            }
            told => self.common.tell(told, None),
        }
    }

    fn wish(&self) -> WishBody {
        WishBody {
            wish: WishFor::Revert(self.back()),
            reason: self.reason.clone(),
            force: false,
            expected: None,
        }
    }

    fn back(&self) -> Back {
        Back {
            route: self.route.clone(),
            module: self.module.clone(),
            all: self.all,
        }
    }

    fn actor(&self) -> String {
        self.common.actor()
    }
}

impl Plan {
    pub(super) fn run(self) -> ExitCode {
        let (wish, common) = match &self.what {
            What::Promote(promote) => (Ok(promote.wish()), &promote.common),
            What::Set(set) => (set.wish(), &set.common),
            What::Revert(revert) => (Ok(revert.wish()), &revert.common),
        };
        let told = wish.and_then(|wish| common.bring("plan", &wish, PATIENCE));
        common.tell(told, None)
    }
}

impl Forcing {
    fn wish(&self, wish: WishFor) -> WishBody {
        WishBody {
            wish,
            reason: self.reason.clone().unwrap_or_default(),
            force: self.force,
            expected: None,
        }
    }
}

impl Common {
    fn actor(&self) -> String {
        match &self.actor {
            Some(given) if given.starts_with("cli:") => given.clone(),
            Some(given) => format!("cli:{given}"),
            None => actor(),
        }
    }

    fn bring(&self, to: &str, wish: &WishBody, patience: Duration) -> Result<Value, Failure> {
        Remote::open(&self.target)?.post(&[to], wish, &self.actor(), patience)
    }

    /// Prints what was done, and the way back if there is one.
    fn tell(&self, told: Result<Value, Failure>, promoted: Option<&String>) -> ExitCode {
        let told = match told {
            Ok(told) => told,
            Err(failure) => return failure.end(self.json),
        };
        if self.json {
            say(&told.to_string());
            return ExitCode::SUCCESS;
        }
        if told["is_changed"] == false {
            say("nothing to do: the file says so already");
            return ExitCode::SUCCESS;
        }
        say(told["sentence"].as_str().unwrap_or_default());
        if let Some(route) = promoted {
            say(&format!(
                "the way back: banyan revert {route}{}",
                self.target.file.as_argument()
            ));
        }
        if told["is_recorded"] == false {
            tell("the audit log cannot be written now; it gets this as soon as the state database is back");
        }
        ExitCode::SUCCESS
    }
}

fn failure_line(failure: &Failure) -> String {
    match failure {
        Failure::Unreachable { address, why, .. } => format!("no router answers at {address} ({why})"),
        Failure::Token(error) => error.to_string(),
        other => format!("{other:?}"),
    }
}

fn share(text: &str) -> Result<Number, String> {
    Number::from_str(text).map_err(|_| "give a number from 0 to 100, such as 10 or 0.25".to_owned())
}
