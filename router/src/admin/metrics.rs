//! `/metrics`: numbers for Prometheus, in OpenMetrics or in its older text format, whichever is asked for.
//!
//! Made for each scrape from [`crate::totals`] and the state, so nothing has to be kept in step. Label sets are bounded by
//! the routes and upstreams of the config.

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, get, web};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::pen_metrics::encode_pens;
use super::problem::Problem;
use crate::balance::outlier::Outlier;
use crate::evidence::Side;
use crate::state::State;
use crate::totals::{BUCKETS, RouteTotals, SideTotals};

const OPENMETRICS: &str = "application/openmetrics-text";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is scraped.
pub(super) fn registry(state: Arc<State>) -> Registry {
    let mut registry = Registry::with_prefix("banyan");
    registry.register_collector(Box::new(Numbers(state)));
    registry
}

/// Numbers for Prometheus.
#[utoipa::path(tag = "looking", responses(
    (status = 200, description = "In OpenMetrics if that is accepted, else in Prometheus' text format", body = String, content_type = "text/plain"),
    super::Refusals,
))]
#[get("/metrics")]
pub(super) async fn metrics(
    registry: web::Data<Registry>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let accepted = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    let wants_openmetrics = accepted.is_some_and(|accepted| accepted.contains(OPENMETRICS));
    let mut body = String::new();
    let (media_type, encoded) = match wants_openmetrics {
        true => {
            let media_type = format!("{OPENMETRICS}; version=1.0.0; charset=utf-8");
            (media_type, text::encode(&mut body, &registry))
        }
        false => {
            let media_type = "text/plain; version=0.0.4; charset=utf-8".to_owned();
            (media_type, prometheus_text::encode(&mut body, &registry))
        }
    };
    encoded.map_err(|_| Problem::unavailable("interrupted", "the numbers could not be written down"))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .body(body))
}

#[derive(Debug)]
struct Numbers(Arc<State>);

pub(super) type Labels<'l, const N: usize> = [(&'static str, &'l str); N];

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.0.findings().totals().all();
        let routes: Vec<(&str, &RouteTotals)> = totals
            .iter()
            .map(|(name, totals)| (name.as_str(), totals))
            .collect();
        encode_traffic(&mut encoder, &routes)?;
        encode_comparisons(&mut encoder, &routes)?;
        self.encode_config(&mut encoder)?;
        self.encode_upstreams(&mut encoder)?;
        encode_pens(&mut encoder, &self.0.snapshot())?;
        self.encode_shadow(&mut encoder)?;
        self.encode_spans(&mut encoder)
    }
}

impl Numbers {
    fn encode_config(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (snapshot, news) = (self.0.snapshot(), self.0.news());
        let age = news.since.elapsed().unwrap_or_default().as_secs_f64();
        let hash = snapshot.config.hash.get(..12).unwrap_or_default();
        gauges(
            encoder,
            "config_info",
            "The config that is served, by its hash",
            [([("hash", hash)], 1.0)],
        )?;
        gauges(
            encoder,
            "config_age_seconds",
            "How long ago the config was taken",
            [([], age)],
        )?;
        let is_refused = f64::from(u8::from(news.refused.is_some()));
        gauges(
            encoder,
            "config_refused",
            "1 while the file is refused as it is now",
            [([], is_refused)],
        )?;
        let is_draining = f64::from(u8::from(self.0.is_draining()));
        gauges(
            encoder,
            "draining",
            "1 while the router is about to stop",
            [([], is_draining)],
        )?;
        let events: Vec<_> = self.0.events().counts().collect();
        let events = events
            .iter()
            .map(|(kind, count)| ([("kind", kind.word())], *count));
        counters(
            encoder,
            "events",
            "Switches, reloads, breaches and changes of circuits, by kind",
            events,
        )
    }

    fn encode_upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let upstreams = snapshot.config.upstreams.iter().enumerate();
        let open = upstreams.map(|(index, upstream)| {
            let is_open = snapshot.standing(index).circuit.is_open();
            (
                [("upstream", upstream.name.as_str())],
                f64::from(u8::from(is_open)),
            )
        });
        gauges(
            encoder,
            "circuit_open",
            "1 while requests are kept from an upstream",
            open,
        )?;
        self.encode_addresses(encoder)
    }

    /// Addresses are told by their place in the list, of which there are few.
    fn encode_addresses(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let upstreams = snapshot.config.upstreams.iter().enumerate();
        let several = upstreams.filter(|(_, upstream)| upstream.has_several());
        let outliers: Vec<(&str, String, &Arc<Outlier>)> = several
            .flat_map(|(index, upstream)| {
                let places = snapshot.places(index);
                let addresses = 0..upstream.addresses.len();
                addresses.map(|at| (upstream.name.as_str(), at.to_string(), places.outlier(at)))
            })
            .collect();
        let labels = |at: usize| {
            let (upstream, address, _) = &outliers[at];
            [("upstream", *upstream), ("address", address.as_str())]
        };
        gauges(
            encoder,
            "address_ejected",
            "1 while an address of several is left alone",
            outliers
                .iter()
                .enumerate()
                .map(|(at, (_, _, outlier))| (labels(at), f64::from(u8::from(outlier.is_ejected())))),
        )?;
        counters(
            encoder,
            "address_ejections",
            "How often an address of several was left alone",
            outliers
                .iter()
                .enumerate()
                .map(|(at, (_, _, outlier))| (labels(at), outlier.ejections())),
        )
    }

    fn encode_shadow(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (bytes, waiting) = self.0.shadow().load();
        gauges(
            encoder,
            "shadow_waiting",
            "Copies that wait or are under way",
            [([], waiting as f64)],
        )?;
        gauges(
            encoder,
            "shadow_bytes",
            "Bytes of answers that are held for copies",
            [([], bytes as f64)],
        )
    }

    fn encode_spans(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(spans) = self.0.spans() else {
            return Ok(());
        };
        let counts = spans.counts();
        counters(
            encoder,
            "spans",
            "Spans of recorded requests, by what became of them",
            counts.map(|(outcome, count)| ([("outcome", outcome)], count)),
        )
    }
}

fn sides<'t>(routes: &[(&'t str, &'t RouteTotals)]) -> Vec<(&'t str, &'static str, &'t SideTotals)> {
    let both = |(name, totals): &(&'t str, &'t RouteTotals)| {
        let side = |side: Side| &totals.sides[side as usize];
        [
            (*name, "monolith", side(Side::Monolith)),
            (*name, "service", side(Side::Service)),
        ]
    };
    let all = routes.iter().flat_map(both);
    all.filter(|(_, _, side)| side.measured() + side.failed > 0)
        .collect()
}

fn encode_traffic(encoder: &mut DescriptorEncoder<'_>, routes: &[(&str, &RouteTotals)]) -> fmt::Result {
    let sides = sides(routes);
    let answers = sides.iter().flat_map(|(route, side, totals)| {
        let classes = CLASSES.iter().zip(totals.classes).filter(|(_, count)| *count > 0);
        classes.map(move |(class, count)| ([("route", *route), ("side", *side), ("class", *class)], count))
    });
    let help = "Answers to clients' requests, by the side that was asked and the class of status";
    counters(encoder, "answers", help, answers)?;
    let failures = sides
        .iter()
        .map(|(route, side, totals)| ([("route", *route), ("side", *side)], totals.failed));
    counters(
        encoder,
        "failures",
        "Clients' requests that a side gave no answer to",
        failures,
    )?;
    let help = "Time to the head of an answer, by route and side, in seconds";
    let mut metric = encoder.encode_descriptor("answer_seconds", help, None, MetricType::Histogram)?;
    for (route, side, totals) in &sides {
        let labels: Labels<'_, 2> = [("route", route), ("side", side)];
        let ends = BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(totals.buckets).collect();
        let (sum, count) = (totals.micros as f64 / 1e6, totals.measured());
        metric
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

fn encode_comparisons(encoder: &mut DescriptorEncoder<'_>, routes: &[(&str, &RouteTotals)]) -> fmt::Result {
    let copies = routes.iter().flat_map(|(route, totals)| {
        let classes = CLASSES.iter().copied().zip(totals.copies.classes);
        let all = classes
            .chain([("failed", totals.copies.failed)])
            .filter(|(_, count)| *count > 0);
        all.map(move |(class, count)| ([("route", *route), ("class", class)], count))
    });
    counters(
        encoder,
        "copies",
        "Copies that were sent to the service, by the class of its answer",
        copies,
    )?;
    let comparisons = routes.iter().flat_map(|(route, totals)| {
        let outcomes = totals.comparisons.iter();
        outcomes.map(move |(outcome, count)| ([("route", *route), ("outcome", outcome)], *count))
    });
    counters(
        encoder,
        "comparisons",
        "Pairs of answers, by what came of comparing them",
        comparisons,
    )?;
    let drops = routes.iter().flat_map(|(route, totals)| {
        let reasons = totals.drops.iter();
        reasons.map(move |(reason, count)| ([("route", *route), ("reason", reason)], *count))
    });
    counters(
        encoder,
        "copies_not_made",
        "Requests that were not copied, by reason",
        drops,
    )
}

pub(super) fn counters<'l, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    numbers: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, number) in numbers {
        metric
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, u64, f64>(&number, None)?;
    }
    Ok(())
}

pub(super) fn gauges<'l, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    numbers: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, number) in numbers {
        metric.encode_family(&labels)?.encode_gauge(&number)?;
    }
    Ok(())
}
