//! The behaviour suite: every trial is written once and runs against every target on both databases.
//!
//! `router-canary::postgres::catalog::finds_words` is the trial `finds_words` of the catalog against the router with half of
//! the reads on the service, on PostgreSQL. The processes of a target start with its first trial and are shared by all;
//! a trial uses names of its own and so disturbs no other. Differences that are meant stand in `deviations.toml`: such a
//! trial must fail, and it is a failure if it does not. After a whole run every operation of the OpenAPI document must
//! have been asked for.

mod accounts;
mod carts;
mod catalog;
mod catalog_keys;
mod catalog_refusals;
mod coverage;
mod deviations;
mod edge;
mod inventory;
mod notifications;
mod orders;
mod payments;
mod reports;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use banyan_tests::api::Api;
use banyan_tests::stage::{Stage, Target};
use banyan_tests::till::Database;
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use deviations::Deviations;

/// What a trial does.
type Work = fn(Api) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// The trials of a module, with their names.
macro_rules! trials {
    ($($name:ident),+ $(,)?) => { vec![$((stringify!($name), (|api| Box::pin($name(api))) as crate::Work)),+] };
}
pub(crate) use trials;

/// A target's processes, started by whoever needs them first.
type Slot = Arc<Mutex<Option<Result<Arc<Stage>, String>>>>;

fn main() -> std::process::ExitCode {
    let mut args = Arguments::from_args();
    // Trials wait for processes, not for this one: a few more than cores keep the machine busy and no more.
    args.test_threads = args.test_threads.or(Some(8));
    if !args.list
        && !banyan_tests::programs::build()
            .status()
            .is_ok_and(|status| status.success())
    {
        // Cargo has said why.
        return std::process::ExitCode::FAILURE;
    }
    let deviations = Deviations::read();
    let (mut trials, mut slots) = (Vec::new(), Vec::new());
    for target in Target::ALL {
        for database in Database::both() {
            let slot = Slot::default();
            slots.push((target, Arc::clone(&slot)));
            for (module, works) in modules() {
                if target == Target::Catalog && !module.starts_with("catalog") {
                    continue;
                }
                for (name, work) in works {
                    let name = format!("{}::{}::{module}::{name}", target.name(), database.name());
                    let is_deviation = deviations.list(&name);
                    let (slot, database) = (Arc::clone(&slot), database.clone());
                    let ignored = !database.is_there();
                    let run = move || run(&slot, target, &database, work, is_deviation);
                    trials.push(Trial::test(name, run).with_ignored_flag(ignored));
                }
            }
        }
    }
    let is_whole = args.filter.is_none() && args.skip.is_empty() && !args.list && !args.ignored;
    let conclusion = libtest_mimic::run(&args, trials);
    finish(&conclusion, is_whole, slots)
}

fn modules() -> Vec<(&'static str, Vec<(&'static str, Work)>)> {
    vec![
        ("catalog", catalog::trials()),
        ("catalog-keys", catalog_keys::trials()),
        ("catalog-refusals", catalog_refusals::trials()),
        ("edge", edge::trials()),
        ("inventory", inventory::trials()),
        ("accounts", accounts::trials()),
        ("carts", carts::trials()),
        ("orders", orders::trials()),
        ("payments", payments::trials()),
        ("notifications", notifications::trials()),
        ("reports", reports::trials()),
    ]
}

fn run(
    slot: &Slot,
    target: Target,
    database: &Database,
    work: Work,
    is_deviation: bool,
) -> Result<(), Failed> {
    let stage = {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || {
            Stage::open(target, database)
                .map(Arc::new)
                .map_err(|error| format!("{error:#}"))
        };
        slot.get_or_insert_with(open).clone()?
    };
    let result = stage.till.runtime.block_on(async {
        for key in Api::keys(&stage).await? {
            work(Api::staff(&stage, &key))
                .await
                .with_context(|| format!("as {key}"))?;
        }
        anyhow::Ok(())
    });
    match (result, is_deviation) {
        (Err(_), true) | (Ok(()), false) => Ok(()),
        (Ok(()), true) => Err("deviations.toml lists it, but it passes: take it off the list".into()),
        (Err(error), false) => Err(format!("{error:#}\n{}", stage.logs()).into()),
    }
}

/// Checks the coverage, and only then ends: leaving `main` by `exit` would leave the processes behind.
fn finish(conclusion: &Conclusion, is_whole: bool, slots: Vec<(Target, Slot)>) -> std::process::ExitCode {
    let mut complete = true;
    if is_whole && !conclusion.has_failed() {
        let stages = slots.iter().filter(|(target, _)| *target == Target::Monolith);
        let stages = stages.filter_map(|(_, slot)| slot.lock().ok()?.clone()?.ok());
        complete = coverage::check(stages);
    }
    drop(slots);
    if complete {
        conclusion.exit_code()
    } else {
        std::process::ExitCode::FAILURE
    }
}
