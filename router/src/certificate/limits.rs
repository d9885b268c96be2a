//! What a certificate asks for, and what counts as a breach; with the values that hold unless the config says otherwise.
//!
//! For the config, which reads them, and for [`super::certify`] and [`super::breach()`]. Shares are from 0 to 1. A limit that
//! is no number stops promotions and counts as broken, so a slip in the arithmetic of a config never waves anything through.

use std::time::Duration;

/// What a certificate asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// Pairs that must have been compared.
    pub min_comparisons: u64,
    /// Pairs that must have been compared in each class of status that matters.
    pub min_per_class: u64,
    /// The share of the monolith's answers from which on a class of status matters.
    pub class_share: f64,
    /// Time that must lie between the first and the last comparison.
    pub min_span: Duration,
    /// How long ago the last comparison may be.
    pub max_age: Duration,
    /// The share of pairs that may differ, by its upper bound.
    pub max_mismatch: f64,
    /// The number of pairs that may differ.
    pub max_mismatches: u64,
    /// The share of pairs that may be without a verdict: dropped, lagging, not comparable.
    pub max_unseen: f64,
    /// The share of the service's answers that may be errors, by its upper bound.
    pub max_errors: f64,
    /// How many times as long as the monolith the service may take, at the 99th percentile.
    pub max_latency_ratio: f64,
    /// A difference at the 99th percentile that is no matter, whatever the ratio.
    pub latency_slack: Duration,
    /// Answers with a latency that must have been seen of each side.
    pub min_latencies: u64,
    /// Whether both sides must name their build.
    pub require_build: bool,
    /// The confidence of the upper bounds, one-sided.
    pub confidence: f64,
    /// How long the certificate is good for.
    pub ttl: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            min_comparisons: 1_000,
            min_per_class: 20,
            class_share: 0.01,
            min_span: Duration::from_secs(10 * 60),
            max_age: Duration::from_secs(5 * 60),
            max_mismatch: 0.005,
            max_mismatches: 0,
            max_unseen: 0.2,
            max_errors: 0.01,
            max_latency_ratio: 1.5,
            latency_slack: Duration::from_millis(5),
            min_latencies: 200,
            require_build: false,
            confidence: 0.95,
            ttl: Duration::from_secs(60 * 60),
        }
    }
}

/// What counts as a breach.
#[derive(Debug, Clone, PartialEq)]
pub struct BreachLimits {
    /// How far back to look: a short while, in which what is new is not lost among what was, and a longer one, in which a
    /// quiet route has enough requests. Whole seconds, up to 120.
    pub windows: [Duration; 2],
    /// Requests to the service, or comparisons, or answers of each side, without which nothing is judged.
    pub min_requests: u64,
    /// The share of the service's answers that may be errors.
    pub max_errors: f64,
    /// The share of compared pairs that may differ.
    pub max_mismatch: f64,
    /// How many times as long as the monolith the service may take.
    pub max_latency_ratio: f64,
    /// A difference in latency that is no matter, whatever the ratio.
    pub latency_slack: Duration,
    /// How sure a breach must be, in standard deviations: 3 is wrong once in 741 times if the truth is just at the limit,
    /// and out of reach for a service that is well within it.
    pub z: f64,
}

impl Default for BreachLimits {
    fn default() -> Self {
        Self {
            windows: [Duration::from_secs(5), Duration::from_secs(60)],
            min_requests: 20,
            max_errors: 0.05,
            max_mismatch: 0.02,
            max_latency_ratio: 2.0,
            latency_slack: Duration::from_millis(5),
            z: 3.0,
        }
    }
}
