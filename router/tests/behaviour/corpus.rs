//! HTTP/1.1 that could be read in two ways: every case of `tests/corpus/http1.toml`, byte for byte.
//!
//! What is checked of each: the statuses in their order, what the upstream got and that it got no more, that a refusal is
//! the router's own problem, and that the connection is closed behind it.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use crate::support::router::config;
use crate::support::upstream::ok;
use crate::support::{Client, Received, Router, Upstream, soon};

#[derive(Deserialize)]
struct Corpus {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    section: String,
    name: String,
    bytes: String,
    answers: Vec<u16>,
    #[serde(default)]
    forwarded: Vec<String>,
    #[serde(default)]
    ends: bool,
    #[serde(default)]
    stays: bool,
}

fn corpus() -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/http1.toml");
    let corpus: Corpus = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    corpus.case
}

/// Writes `{a*5}` out.
fn expanded(bytes: &str) -> String {
    let Some((before, rest)) = bytes.split_once('{') else {
        return bytes.to_owned();
    };
    let (what, after) = rest.split_once('}').unwrap();
    let (text, count) = what.split_once('*').unwrap();
    format!("{before}{}{after}", text.repeat(count.parse().unwrap()))
}

fn described(request: &Received) -> String {
    let body = String::from_utf8_lossy(&request.body);
    format!("{} {} {body}", request.method, request.target)
        .trim_end_matches(' ')
        .to_owned()
}

/// The statuses that come back, and whether the connection is then closed from the other side.
async fn ask(client: &mut Client, case: &Case, chop: usize) -> Vec<u16> {
    let bytes = expanded(&case.bytes);
    for piece in bytes.as_bytes().chunks(chop) {
        // The router may have said all that it has to say before it has heard everything.
        let Ok(()) = client.stream.write_all(piece).await else {
            break;
        };
        if chop < 1000 {
            tokio::task::yield_now().await;
        }
    }
    if case.ends {
        client.stream.shutdown().await.unwrap();
    }
    let mut statuses = Vec::new();
    for status in &case.answers {
        let Ok(answer) = client.try_answer().await else {
            break;
        };
        statuses.push(answer.status);
        if *status >= 400 && answer.status == *status {
            assert!(
                answer.problem().starts_with("urn:banyan:router:"),
                "{}",
                case.name
            );
            assert_eq!(answer.served_by(), "router", "{}", case.name);
        }
    }
    statuses
}

async fn check(router: &Router, upstream: &Upstream, case: &Case, chop: usize) -> Result<(), String> {
    let before = upstream.received().len();
    let mut client = router.connect().await;
    let statuses = ask(&mut client, case, chop).await;
    let is_refused = case.answers.last().is_some_and(|status| *status >= 400);
    if (!is_refused || case.stays) && !case.ends {
        // Nothing more must come of it: not another answer, not another request.
        client.stream.shutdown().await.unwrap();
    }
    let rest = tokio::time::timeout(Duration::from_secs(10), client.rest())
        .await
        .map_err(|_| format!("{}: the connection stays open", case.name))?;
    let forwarded: Vec<String> = upstream.received()[before..].iter().map(described).collect();
    if statuses != case.answers || forwarded != case.forwarded || !rest.is_empty() {
        return Err(format!(
            "{} ({}), {chop} bytes at a time: answers {statuses:?} instead of {:?}, forwarded {forwarded:?} instead of {:?}, \
             then {:?}",
            case.name,
            case.section,
            case.answers,
            case.forwarded,
            String::from_utf8_lossy(&rest)
        ));
    }
    Ok(())
}

async fn check_all(chop: usize) {
    let upstream = Upstream::answering(|_| ok("fine")).await;
    let router = Router::start(&config("", upstream.address, upstream.address, ""));
    let mut wrong = Vec::new();
    let cases = corpus();
    assert!(cases.len() >= 200);
    for case in &cases {
        // Long ones say nothing new when they come in a hundred thousand pieces.
        let chop = if case.bytes.contains("*100000") {
            1000
        } else {
            chop
        };
        wrong.extend(
            soon(&case.name, check(&router, &upstream, case, chop))
                .await
                .err(),
        );
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_goes_nowhere() {
    check_all(1_000_000).await;
}

#[tokio::test]
async fn how_the_bytes_are_cut_changes_nothing_of_that() {
    check_all(1).await;
}
