//! A collector that takes spans, and shows what it was told.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span as Told;
use prost::Message;

use super::upstream::ok;
use super::{Received, Upstream, until};

/// A stub of an OpenTelemetry collector.
pub(crate) struct Collector(pub(crate) Upstream);

/// A span as it arrived, with what is looked at made easy to look at.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty if it has none.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// 2 is a server's, 3 a client's.
    pub(crate) kind: i32,
    /// 2 is an error.
    pub(crate) status: i32,
    pub(crate) state: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) events: Vec<(String, u64)>,
    pub(crate) attributes: HashMap<String, String>,
}

impl Collector {
    pub(crate) async fn new() -> Self {
        Self(Upstream::answering(|_| ok("")).await)
    }

    /// The section that sends spans here, without waiting for more of them.
    pub(crate) fn section(&self) -> String {
        format!(
            "[telemetry]\notlp = \"http://{}\"\nbatch_delay = \"10ms\"\n",
            self.0.address
        )
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.0.received().iter().flat_map(spans).collect()
    }

    /// Waits until there are so many spans.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Span> {
        until("spans", || async { self.spans().len() >= count }).await;
        let spans = self.spans();
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    /// What the batches say of who sent them.
    pub(crate) fn resource(&self) -> HashMap<String, String> {
        let batch = decode(&self.0.last());
        let resource = batch.resource_spans[0].resource.clone().unwrap();
        attributes(&resource.attributes)
    }
}

impl Span {
    pub(crate) fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// Compares attributes with what they should be.
    pub(crate) fn says(&self, expected: &[(&str, &str)]) {
        for (key, value) in expected {
            assert_eq!(self.get(key), *value, "{key}");
        }
    }

    pub(crate) fn took(&self) -> Duration {
        Duration::from_nanos(self.end - self.start)
    }
}

fn decode(batch: &Received) -> ExportTraceServiceRequest {
    assert_eq!(
        (
            batch.method.as_str(),
            batch.target.as_str(),
            batch.header("content-type")
        ),
        ("POST", "/v1/traces", Some("application/x-protobuf"))
    );
    ExportTraceServiceRequest::decode(&batch.body[..]).unwrap()
}

fn spans(batch: &Received) -> Vec<Span> {
    let told = decode(batch).resource_spans.into_iter();
    let told = told.flat_map(|resource| resource.scope_spans);
    told.flat_map(|scope| scope.spans).map(span).collect()
}

fn span(told: Told) -> Span {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    Span {
        trace: hex(&told.trace_id),
        id: hex(&told.span_id),
        parent: hex(&told.parent_span_id),
        name: told.name,
        kind: told.kind,
        status: told.status.map_or(0, |status| status.code),
        state: told.trace_state,
        start: told.start_time_unix_nano,
        end: told.end_time_unix_nano,
        events: told
            .events
            .into_iter()
            .map(|event| (event.name, event.time_unix_nano))
            .collect(),
        attributes: attributes(&told.attributes),
    }
}

fn attributes(told: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    told.iter()
        .map(|pair| {
            let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
            (pair.key.clone(), value.map(text).unwrap_or_default())
        })
        .collect()
}
