//! A bucket as a row of the database, and back.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::evidence::bucket::{Bucket, Comparisons};
use crate::evidence::ledger::Unsaved;
use crate::evidence::window::{Builds, Part};
use crate::evidence::{Counts, Latencies};

diesel::table! {
    /// What each run of a router knows, by spans of some minutes.
    evidence (route, subject, began_at, monolith_build, service_build, run) {
        route -> Text,
        subject -> Text,
        began_at -> BigInt,
        monolith_build -> Text,
        service_build -> Text,
        run -> Text,
        revision -> BigInt,
        first_at -> BigInt,
        last_at -> BigInt,
        counts -> Text,
        monolith_latencies -> Binary,
        service_latencies -> Binary,
    }
}

/// A row to be written.
#[derive(Debug, Clone, Insertable, AsChangeset)]
#[diesel(table_name = evidence)]
pub(super) struct Row {
    route: String,
    subject: String,
    began_at: i64,
    monolith_build: String,
    service_build: String,
    run: String,
    pub(super) revision: i64,
    first_at: i64,
    last_at: i64,
    counts: String,
    monolith_latencies: Vec<u8>,
    service_latencies: Vec<u8>,
}

/// What is read of a row.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = evidence)]
pub(super) struct Read {
    began_at: i64,
    monolith_build: String,
    service_build: String,
    first_at: i64,
    last_at: i64,
    counts: String,
    monolith_latencies: Vec<u8>,
    service_latencies: Vec<u8>,
}

/// What stands in `counts`.
#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    monolith: Answers,
    service: Answers,
    comparisons: Comparisons,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answers {
    classes: [u64; 5],
    failed: u64,
}

impl Row {
    pub(super) fn new(run: &str, route: &str, unsaved: &Unsaved) -> Result<Self, Error> {
        let Unsaved {
            subject,
            builds,
            begin,
            revision,
            bucket,
        } = unsaved;
        let numbers = Numbers {
            monolith: Answers::of(&bucket.monolith),
            service: Answers::of(&bucket.service),
            comparisons: bucket.comparisons.clone(),
        };
        Ok(Self {
            route: route.to_owned(),
            subject: subject.clone(),
            began_at: signed(*begin),
            monolith_build: builds.monolith.clone().unwrap_or_default(),
            service_build: builds.service.clone().unwrap_or_default(),
            run: run.to_owned(),
            revision: signed(*revision),
            first_at: signed(bucket.first),
            last_at: signed(bucket.last),
            counts: serde_json::to_string(&numbers).map_err(|error| Error::Unwritable(error.to_string()))?,
            monolith_latencies: bucket.monolith.latencies.to_bytes(),
            service_latencies: bucket.service.latencies.to_bytes(),
        })
    }
}

impl Read {
    pub(super) fn into_part(self, route: &str) -> Result<Part, Error> {
        let began_at = self.began_at;
        let known = |build: String| Some(build).filter(|build| !build.is_empty());
        let damaged = |what: String| Error::Damaged {
            route: route.to_owned(),
            began_at,
            what,
        };
        let numbers: Numbers =
            serde_json::from_str(&self.counts).map_err(|error| damaged(format!("counts: {error}")))?;
        let latencies = |bytes: &[u8]| {
            Latencies::from_bytes(bytes).ok_or_else(|| damaged("latencies are no pairs".to_owned()))
        };
        let bucket = Bucket {
            monolith: numbers.monolith.with(latencies(&self.monolith_latencies)?),
            service: numbers.service.with(latencies(&self.service_latencies)?),
            comparisons: numbers.comparisons,
            first: u64::try_from(self.first_at).unwrap_or(0),
            last: u64::try_from(self.last_at).unwrap_or(0),
        };
        let builds = Builds {
            monolith: known(self.monolith_build),
            service: known(self.service_build),
        };
        Ok(Part { builds, bucket })
    }
}

impl Answers {
    fn of(counts: &Counts) -> Self {
        Self {
            classes: counts.classes,
            failed: counts.failed,
        }
    }

    fn with(self, latencies: Latencies) -> Counts {
        Counts {
            classes: self.classes,
            failed: self.failed,
            latencies,
        }
    }
}

/// As the databases count: they have no unsigned numbers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
