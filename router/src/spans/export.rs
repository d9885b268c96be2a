//! The exporter's thread: takes finished requests, and posts their spans in batches.
//!
//! For `serve`, which starts it if `[telemetry] otlp` is set. It has a thread, a runtime and an HTTP client of its own, at a
//! lower priority, so that a collector that hangs is waited for here and nowhere else. While it waits, the queue fills, and
//! what does not find room is dropped and counted. The encoding and the retries within the time limit are those of the
//! opentelemetry-otlp crate (decision 26).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::record::Record;
use super::{Counts, Spans, otlp};
use crate::config::Telemetry;

/// Requests whose spans go in one batch.
const BATCH: usize = 256;
/// How much the thread steps back behind those that clients wait for.
const NICENESS: i32 = 10;

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no thread for it.
    #[error("cannot start the exporter's thread: {0}")]
    Thread(#[from] io::Error),
    /// There is no HTTP client for it.
    #[error("cannot make a client for the collector: {0}")]
    Client(#[from] reqwest::Error),
    /// What the environment says of the exporter cannot be used.
    #[error("cannot make the exporter: {0}; look at the variables OTEL_EXPORTER_OTLP_… in the environment")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Starts the thread, and gives the end of it that the workers hold; nothing if nothing is to be recorded.
pub fn start(settings: &Telemetry) -> Result<Option<Spans>, StartError> {
    let Some(url) = &settings.otlp else {
        return Ok(None);
    };
    let (queue, records) = channel(settings.queue);
    let (flushes, asked) = unbounded_channel();
    let counts = Arc::<Counts>::default();
    let mut collector = Collector {
        exporter: exporter(url, settings)?,
        url: url.clone(),
        scope: otlp::scope(),
        limit: settings.timeout,
        counts: Arc::clone(&counts),
        is_failing: false,
    };
    let delay = settings.batch_delay;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("spans".to_owned())
        .spawn(move || {
            // On Linux this is the thread's own priority. Should it be refused, it counts as much as the others.
            let _kept = rustix::process::setpriority_process(None, NICENESS);
            runtime.block_on(run(records, asked, &mut collector, delay));
        })?;
    Ok(Some(Spans::new(queue, flushes, counts)))
}

fn exporter(url: &str, settings: &Telemetry) -> Result<SpanExporter, StartError> {
    let client = reqwest::Client::builder()
        .timeout(settings.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(url)
        .with_timeout(settings.timeout)
        .build()?;
    let host = rustix::system::uname();
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("host.name", host.nodename().to_string_lossy().into_owned()),
            KeyValue::new("process.pid", i64::from(std::process::id())),
        ])
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

/// Serves the workers until all of them are gone.
async fn run(
    mut records: Receiver<Record>,
    mut flushes: UnboundedReceiver<oneshot::Sender<()>>,
    collector: &mut Collector,
    delay: Duration,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            taken = fill(&mut records, &mut batch, delay) => {
                collector.post(&mut batch).await;
                if !taken {
                    return;
                }
            }
            Some(tell) = flushes.recv() => {
                collector.post(&mut batch).await;
                while let Ok(record) = records.try_recv() {
                    batch.push(record);
                    if batch.len() == BATCH {
                        collector.post(&mut batch).await;
                    }
                }
                collector.post(&mut batch).await;
                // Whoever asked may have waited long enough.
                let _gone = tell.send(());
            }
        }
    }
}

/// Fills a batch: to the brim, or with what comes within the delay after the first. Whether more may come. If it is
/// dropped on the way, the batch has what came so far.
async fn fill(records: &mut Receiver<Record>, batch: &mut Vec<Record>, delay: Duration) -> bool {
    if batch.is_empty() && records.recv_many(batch, BATCH).await == 0 {
        return false;
    }
    let deadline = Instant::now() + delay;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match timeout_at(deadline, records.recv_many(batch, room)).await {
            Ok(0) => return false,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    true
}

/// Who takes the spans.
struct Collector {
    exporter: SpanExporter,
    url: String,
    scope: InstrumentationScope,
    limit: Duration,
    counts: Arc<Counts>,
    is_failing: bool,
}

impl Collector {
    /// Posts a batch, and empties it whatever comes of that: what one attempt in its time could not bring is given up, or
    /// an outage of the collector's would fill the memory.
    async fn post(&mut self, batch: &mut Vec<Record>) {
        if batch.is_empty() {
            return;
        }
        let mut spans = Vec::with_capacity(2 * batch.len());
        for record in batch.drain(..) {
            otlp::spans(&record, &self.scope, &mut spans);
        }
        let count = spans.len() as u64;
        let posted = match timeout(self.limit, self.exporter.export(spans)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it took longer than {:?}", self.limit)),
        };
        match posted {
            Ok(()) => {
                self.counts.sent.fetch_add(count, Ordering::Relaxed);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(collector = self.url, "the collector takes spans again");
                }
            }
            Err(error) => {
                self.counts.failed.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(
                        collector = self.url,
                        error,
                        "spans are lost: the collector does not take them"
                    );
                }
            }
        }
    }
}
