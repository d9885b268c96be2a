//! `[telemetry]`: where spans are sent, and how many.
//!
//! For [`crate::spans`]. Without `otlp` nothing is recorded. What the exporter is made of is read at the start; `sample` is
//! heeded at each reload, and so is the absence of `otlp`.

use std::time::Duration;

use url::Url;

use super::document::{judged, set};
use super::reader::{Reader, Section};
use super::values::{self, Complaint, Percent};

/// Where spans are sent, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// The URL to which batches are posted; absent: nothing is recorded.
    pub otlp: Option<String>,
    /// The share of the traces begun here that are recorded. A caller's own decision goes before it.
    pub sample: Percent,
    /// `service.name`, by which the router is found among what the collector keeps.
    pub service_name: String,
    /// Requests whose spans may wait to be sent; what comes on top of them is dropped and counted.
    pub queue: usize,
    /// How long spans wait for others to be sent with.
    pub batch_delay: Duration,
    /// How long the collector may take for a batch, over all attempts.
    pub timeout: Duration,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp: None,
            sample: Percent::ALL,
            service_name: "banyan".to_owned(),
            queue: 2048,
            batch_delay: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
        }
    }
}

pub(super) fn telemetry(reader: &Reader<'_>, section: Option<Section<'_>>) -> Telemetry {
    let mut telemetry = Telemetry::default();
    let Some(section) = section else { return telemetry };
    let time = |key| judged(reader, section.text(key), values::duration);
    telemetry.otlp = judged(reader, section.text("otlp"), collector).map(|url| url.value);
    set(
        &mut telemetry.sample,
        judged(reader, section.number("sample"), Percent::parse).as_ref(),
    );
    set(
        &mut telemetry.service_name,
        judged(reader, section.text("service_name"), service_name).as_ref(),
    );
    let queue = judged(reader, section.number("queue"), |text| {
        values::whole(text, 1..=100_000)
    });
    set(&mut telemetry.queue, queue.as_ref());
    set(&mut telemetry.batch_delay, time("batch_delay").as_ref());
    set(&mut telemetry.timeout, time("timeout").as_ref());
    section.finish();
    telemetry
}

/// The collector's base URL, to which the path of the signal is added (OTLP specification, section "OTLP/HTTP request").
fn collector(text: &str) -> Result<String, Complaint> {
    let complain = |why: &str| {
        (
            format!("\"{text}\" {why}"),
            "write the collector's base URL, such as \"http://127.0.0.1:4318\"".to_owned(),
        )
    };
    let mut url = Url::parse(text).map_err(|error| complain(&format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(complain("is not http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        let why = "holds credentials or a query, which everyone who reads this file would know";
        let remedy = "put secrets into the environment: OTEL_EXPORTER_OTLP_HEADERS=\"authorization=…\"";
        return Err((complain(why).0, remedy.to_owned()));
    }
    if url.path().ends_with("/v1/traces") {
        return Err(complain("has the path of the signal, which is added"));
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_fragment(None);
    Ok(url.into())
}

fn service_name(text: &str) -> Result<String, Complaint> {
    let is_fit = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    is_fit.then(|| text.to_owned()).ok_or_else(|| {
        (
            "the name of the service is empty, too long or no text".to_owned(),
            "write up to 255 characters, such as \"banyan\"".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_signal_is_added_and_secrets_are_refused() {
        let read = |text: &str| collector(text).ok();
        assert_eq!(
            read("http://127.0.0.1:4318").as_deref(),
            Some("http://127.0.0.1:4318/v1/traces")
        );
        assert_eq!(
            read("https://c.example/tenant/").as_deref(),
            Some("https://c.example/tenant/v1/traces")
        );
        for bad in [
            "127.0.0.1:4318",
            "grpc://a:4317",
            "http://user:secret@a",
            "http://a?token=1",
            "http://a/v1/traces",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
