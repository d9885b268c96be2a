//! The journey of the catalog's data: copied, compared, handed over to the service, back to the monolith, and over again, while
//! clients never rest; then the proof.
//!
//! Everything is done with the commands that an operator has. `command` runs them, `view` shows what happens, `proof` judges.

mod command;
mod proof;
mod view;

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::time::{interval, sleep};

use super::screen::say;
use super::shop::Shop;
use crate::clients::{Traffic, last_reads};
use view::View;

/// Clients at once.
const CLIENTS: usize = 16;
/// How long clients may take to what they do in seconds when all is well.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the pen goes, and how long clients write there before it goes on: in the long journey, in seconds.
const STAGES: [(&str, u64); 3] = [("service", 15), ("monolith", 12), ("service", 12)];

/// How long clients write before and between the passes.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As long as the stage says.
    Minute,
    /// A few seconds in all.
    Short,
}

impl Pace {
    /// So long, and at least so many acknowledged writes.
    fn rest(self, seconds: u64) -> (Duration, u64) {
        match self {
            Self::Minute => (Duration::from_secs(seconds), 100),
            Self::Short => (Duration::from_secs(1), 50),
        }
    }
}

/// Goes all the way, and fails if anything is not as it should be in the end.
pub(super) async fn run(shop: &Shop, is_short: bool) -> anyhow::Result<()> {
    let pace = if is_short { Pace::Short } else { Pace::Minute };
    let router = format!("http://{}", shop.addresses.router);
    say(&format!(
        "\n{CLIENTS} clients read, create, change and delete products while the catalog's data moves:\n"
    ));
    let began = Instant::now();
    let traffic = Traffic::start(&[&router], &shop.token("staff")?, CLIENTS, false).await?;
    let view = View::start(traffic.counts(), shop.sides()?, 3 + STAGES.len() as u64);

    view.stage("the monolith writes");
    rest(&traffic, pace.rest(5)).await?;
    view.stage("copy");
    command::run(shop, &view, &["handover", "catalog", "--until", "copy"]).await?;
    view.stage("verify");
    command::run(shop, &view, &["verify", "catalog"]).await?;
    let mut passes = Vec::new();
    for (to, seconds) in STAGES {
        view.stage(&format!("to the {to}"));
        let from = Instant::now();
        command::run(shop, &view, &["handover", "catalog", "--to", to]).await?;
        passes.push((from, Instant::now()));
        view.step(&format!("the {to} writes"));
        rest(&traffic, pace.rest(seconds)).await?;
    }
    let mut seen = traffic.end().await?;
    let took = began.elapsed();
    drop(view);

    let last = last_reads(&shop.client, &router).await;
    seen.history
        .extend(last.context("the shared products cannot be read")?);
    proof::judge(shop, &seen, took, &passes).await
}

/// Lets clients write for so long, and until so many more writes have been acknowledged.
async fn rest(traffic: &Traffic, (time, writes): (Duration, u64)) -> anyhow::Result<()> {
    let counts = traffic.counts();
    let (began, before) = (Instant::now(), counts.acknowledged());
    sleep(time).await;
    let mut glance = interval(Duration::from_millis(50));
    while counts.acknowledged() < before + writes {
        glance.tick().await;
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "only {} writes were acknowledged in {PATIENCE:?}",
            counts.acknowledged() - before
        );
    }
    Ok(())
}
