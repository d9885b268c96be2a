//! A typed client of the protocol: for the follower, which asks its source, and for whoever coordinates a pass.

use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::row::Key;
use crate::wire::{
    Abort, Accept, Changes, Chunk, Copy, Detail, Fence, Grant, Moved, PREFIX, Pen, Position, Repair,
    Retention, Seal, Snapshot, Status, Turn,
};

/// The largest answer that is taken, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;
/// What an answer may take over what it was asked to wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a side gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It refused, and said why.
    #[error("{side} refused: {detail} ({kind})")]
    Refused {
        /// Who refused.
        side: String,
        /// The status.
        status: u16,
        /// The end of the problem's type: `lost`, `proof`, `behind-the-floor`, …
        kind: String,
        /// What it said.
        detail: String,
        /// Its pen, as it is now.
        pen: Option<Box<Pen>>,
    },
    /// It did not answer. Whether it did what was asked is not known; ask for its status.
    #[error("{side} does not answer: {source}")]
    Unreachable {
        /// Who did not answer.
        side: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It answered what is no answer of the protocol.
    #[error("{side} answered what the protocol does not have: {detail}")]
    Nonsense {
        /// Who answered.
        side: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Error {
    /// Whether the side refused with this kind of problem.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == wanted)
    }
}

/// One side, seen from outside.
#[derive(Clone)]
pub struct Side {
    name: String,
    base: String,
    token: String,
    http: Client,
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side")
            .field("name", &self.name)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Side {
    /// The side `name` of a module, at `url` (`http://host:port`), which the bearer of `token` may ask.
    pub fn new(name: &str, url: &str, module: &str, token: &str) -> reqwest::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(20))
            .build()?;
        Ok(Self {
            name: name.to_owned(),
            base: format!("{}{PREFIX}/{module}", url.trim_end_matches('/')),
            token: token.to_owned(),
            http,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its status.
    pub async fn status(&self) -> Result<Status, Error> {
        self.get("status", &[], Duration::ZERO).await
    }

    /// Its status once it has reached a position, or after `wait`; which of the two, it says.
    pub async fn status_at(&self, reached: Position, wait: Duration) -> Result<Status, Error> {
        let query = [("reached", reached.to_string()), ("wait", seconds(wait))];
        self.get("status", &query, wait).await
    }

    /// Its status once it has asked its source anew and applied everything, or after `wait`; `follow.current` says which.
    pub async fn status_now(&self, wait: Duration) -> Result<Status, Error> {
        let query = [("current", "true".to_owned()), ("wait", seconds(wait))];
        self.get("status", &query, wait).await
    }

    /// What changed after a cursor. An answer with nothing in it is held back for up to `wait`.
    pub async fn changes(&self, after: Option<&str>, limit: usize, wait: Duration) -> Result<Changes, Error> {
        let mut query = vec![("limit", limit.to_string()), ("wait", seconds(wait))];
        query.extend(after.map(|cursor| ("after", cursor.to_owned())));
        self.get("changes", &query, wait).await
    }

    /// What changed after a cursor that this follower has not committed: nothing is acknowledged by asking.
    pub async fn peek(&self, after: &str, limit: usize) -> Result<Changes, Error> {
        let query = [
            ("limit", limit.to_string()),
            ("after", after.to_owned()),
            ("peek", "true".to_owned()),
        ];
        self.get("changes", &query, Duration::ZERO).await
    }

    /// Rows of a table after a key.
    pub async fn snapshot(&self, table: &str, after: Option<&Key>, limit: usize) -> Result<Snapshot, Error> {
        let mut query = vec![("table", table.to_owned()), ("limit", limit.to_string())];
        query.extend(after.map(|key| ("after", key.text())));
        self.get("snapshot", &query, Duration::ZERO).await
    }

    /// What a range holds, by hash: up to `through`, or where `limit` rows end.
    pub async fn verify(
        &self,
        table: &str,
        after: Option<&Key>,
        through: Option<&Key>,
        limit: Option<usize>,
        detail: Detail,
    ) -> Result<Chunk, Error> {
        let detail = match detail {
            Detail::Chunk => "chunk",
            Detail::Hashes => "hashes",
            Detail::Rows => "rows",
        };
        let mut query = vec![("table", table.to_owned()), ("detail", detail.to_owned())];
        query.extend(after.map(|key| ("after", key.text())));
        query.extend(through.map(|key| ("through", key.text())));
        query.extend(limit.map(|limit| ("limit", limit.to_string())));
        self.get("verify", &query, Duration::ZERO).await
    }

    /// held → fenced.
    pub async fn fence(&self, command: &Fence) -> Result<Pen, Error> {
        let wait = Duration::from_millis(command.wait_ms);
        self.moved("fence", command, wait).await
    }

    /// fenced → granted.
    pub async fn grant(&self, command: &Grant) -> Result<Pen, Error> {
        self.moved("grant", command, Duration::ZERO).await
    }

    /// fenced → held.
    pub async fn abort(&self, command: &Abort) -> Result<Pen, Error> {
        self.moved("abort", command, Duration::ZERO).await
    }

    /// The follower becomes the holder.
    pub async fn accept(&self, command: &Accept) -> Result<Pen, Error> {
        self.moved("accept", command, Duration::ZERO).await
    }

    /// The old holder follows.
    pub async fn turn(&self, command: &Turn) -> Result<Pen, Error> {
        self.moved("turn", command, Duration::ZERO).await
    }

    /// Begins to copy and follow.
    pub async fn copy(&self, command: &Copy) -> Result<Pen, Error> {
        self.moved("copy", command, Duration::ZERO).await
    }

    /// Replaces a range by the holder's rows.
    pub async fn repair(&self, command: &Repair) -> Result<Pen, Error> {
        self.moved("repair", command, Duration::from_secs(30)).await
    }

    /// Changes what its feed keeps.
    pub async fn retention(&self, command: &Retention) -> Result<Pen, Error> {
        self.moved("retention", command, Duration::ZERO).await
    }

    /// Tries, and takes back, what following needs.
    pub async fn rehearse(&self) -> Result<Pen, Error> {
        self.moved("rehearse", &serde_json::json!({}), Duration::from_secs(5))
            .await
    }

    /// Ends the link.
    pub async fn seal(&self, command: &Seal) -> Result<Pen, Error> {
        self.moved("seal", command, Duration::ZERO).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        what: &str,
        query: &[(&str, String)],
        wait: Duration,
    ) -> Result<T, Error> {
        let request = self.http.get(format!("{}/{what}", self.base)).query(query);
        self.send(request, wait).await
    }

    async fn moved<C: Serialize>(&self, what: &str, command: &C, wait: Duration) -> Result<Pen, Error> {
        let request = self
            .http
            .request(Method::POST, format!("{}/{what}", self.base))
            .json(command);
        let moved: Moved = self.send(request, wait).await?;
        Ok(moved.pen)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        wait: Duration,
    ) -> Result<T, Error> {
        let unreachable = |source| Error::Unreachable {
            side: self.name.clone(),
            source,
        };
        let answer = request
            .bearer_auth(&self.token)
            .timeout(wait + PATIENCE)
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status();
        let body = self.body(answer).await?;
        if status != StatusCode::OK {
            return Err(self.refusal(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| self.nonsense(error.to_string()))
    }

    /// The body of an answer, which is refused when it is larger than the protocol allows.
    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let unreachable = |source| Error::Unreachable {
            side: self.name.clone(),
            source,
        };
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + part.len() > ANSWER_LIMIT {
                return Err(self.nonsense(format!("more than {ANSWER_LIMIT} bytes")));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| problem.get(name).and_then(Value::as_str);
        let Some(kind) = text("type").and_then(|kind| kind.strip_prefix("urn:banyan:handover:")) else {
            return self.nonsense(format!("status {status}; is this the address of the hand-over?"));
        };
        Error::Refused {
            side: self.name.clone(),
            status: status.as_u16(),
            kind: kind.to_owned(),
            detail: text("detail").unwrap_or("without a word").to_owned(),
            pen: problem
                .get("pen")
                .and_then(|pen| serde_json::from_value(pen.clone()).ok()),
        }
    }

    fn nonsense(&self, detail: String) -> Error {
        Error::Nonsense {
            side: self.name.clone(),
            detail,
        }
    }
}

fn seconds(wait: Duration) -> String {
    wait.as_secs().to_string()
}
