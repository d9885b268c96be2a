//! Why a side did not do what the protocol asked, and how that is told.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use chassis::db;
use serde_json::json;

use crate::client;
use crate::wire::Pen;

/// Why it was not done. Nothing was changed, in every case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request has not the form of the protocol.
    #[error("{0}")]
    Malformed(String),
    /// No token, or another one.
    #[error("the token of this hand-over is needed: `Authorization: Bearer …`")]
    Token,
    /// This side does not hand that module over.
    #[error("this side hands over no such module")]
    Module,
    /// The pen is not in the state that the command names.
    #[error("the pen is not where the command says: {0}")]
    Lost(String, Option<Box<Pen>>),
    /// The feed of a side that follows.
    #[error("this side follows; ask `{0}`")]
    NotTheHolder(String),
    /// The cursor is beyond the feed.
    #[error("the cursor is beyond the end of the feed: this database was put back from a backup")]
    Ahead,
    /// The rows after this cursor are gone.
    #[error("the feed does not go back to this cursor: {0}; begin a new copy (`copy` with `again`)")]
    BehindTheFloor(&'static str),
    /// The proof or the receipt does not reach the end of the feed.
    #[error("{0}")]
    Proof(String),
    /// This side cannot do that now.
    #[error("{0}")]
    NotReady(String),
    /// Open transactions did not end in time.
    #[error(
        "transactions that write to the module did not end in {0} ms; they go on, and nothing was changed"
    )]
    Writers(u64),
    /// The pen's row was installed for another side.
    #[error(
        "the database's pen belongs to the side `{is}`, and the settings say `{told}`: two processes share a database, or it was \
             copied"
    )]
    OtherSide {
        /// What the row says.
        is: String,
        /// What the settings say.
        told: String,
    },
    /// The other side did not do what it was asked.
    #[error(transparent)]
    Peer(#[from] client::Error),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] db::Error),
    /// An attempt that was never meant to stay.
    #[error("taken back, as it was meant to be")]
    TakenBack,
    /// Something that cannot be.
    #[error("{0}")]
    Defect(String),
}

chassis::database_failure!(Error);

impl Error {
    pub(crate) fn defect(error: impl std::fmt::Display) -> Self {
        Self::Defect(error.to_string())
    }

    /// The command lost against the pen as it is.
    pub(crate) fn lost(pen: &Pen, wanted: &str) -> Self {
        let is = format!(
            "it is {} by `{}` in epoch {}, and {wanted} was asked for",
            pen.state.word(),
            pen.holder,
            pen.epoch
        );
        Self::Lost(is, Some(Box::new(pen.clone())))
    }

    /// The end of the problem's type, its title and its status.
    fn kind(&self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::Malformed(_) => (
                "malformed",
                "The request has not the form of the protocol",
                StatusCode::BAD_REQUEST,
            ),
            Self::Token => (
                "token",
                "The token is missing or another",
                StatusCode::UNAUTHORIZED,
            ),
            Self::Module => ("module", "There is no such module here", StatusCode::NOT_FOUND),
            Self::Lost(..) => (
                "lost",
                "The pen is not in the state that was named",
                StatusCode::CONFLICT,
            ),
            Self::NotTheHolder(_) => ("not-the-holder", "This side follows", StatusCode::CONFLICT),
            Self::Ahead => ("ahead", "The cursor is beyond the feed", StatusCode::CONFLICT),
            Self::BehindTheFloor(_) => (
                "behind-the-floor",
                "The feed does not go back that far",
                StatusCode::GONE,
            ),
            Self::Proof(_) => (
                "proof",
                "The end of the feed is not reached",
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            Self::NotReady(_) => (
                "not-ready",
                "This side cannot do that now",
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            Self::Writers(_) => (
                "writers",
                "Transactions did not end in time",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::Database(db::Error::Busy) => {
                ("busy", "The database is busy", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Peer(_) => (
                "peer",
                "The other side did not do its part",
                StatusCode::BAD_GATEWAY,
            ),
            Self::OtherSide { .. } | Self::Database(_) | Self::TakenBack | Self::Defect(_) => (
                "internal",
                "Something went wrong on this side",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.kind().2
    }

    fn error_response(&self) -> HttpResponse {
        let (kind, title, status) = self.kind();
        let detail = if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = ?self, "a request of the hand-over failed");
            "The log of this side says more.".to_owned()
        } else {
            self.to_string()
        };
        let mut problem = json!({
            "type": format!("urn:banyan:handover:{kind}"), "title": title, "status": status.as_u16(), "detail": detail,
        });
        if let Self::Lost(_, Some(pen)) = self {
            problem["pen"] = json!(pen);
        }
        let mut answer = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header(("retry-after", "1"));
        }
        answer
            .content_type("application/problem+json")
            .body(problem.to_string())
    }
}
