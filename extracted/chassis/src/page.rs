//! Keyset paging: an opaque cursor that says where the last page ended.
//!
//! A cursor holds the sort key of the last item, so that a page costs the same at any depth and items that come
//! or go in between shift nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// Items per page when the client does not say.
pub const DEFAULT_LIMIT: i64 = 20;
/// Items per page at the most.
pub const MAX_LIMIT: i64 = 100;

/// The paging parameters of a list operation. Flatten does not work in query strings: take it as a second `Query`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items per page, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// Where to go on: the `next` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// How many items to give.
    pub fn limit(&self) -> Result<i64, Problem> {
        match self.limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            _ => Err(Problem::bad_request("A query parameter is out of range.")
                .field("limit", format!("must be 1 to {MAX_LIMIT}"))),
        }
    }

    /// The sort key after which to go on, if this is not the first page.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            // No sort key holds U+0000, and PostgreSQL takes none.
            .filter(|bytes| !bytes.windows(6).any(|six| six == b"\\u0000"))
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .map(Some)
            .ok_or_else(|| {
                Problem::bad_request("A query parameter could not be read.")
                    .field("cursor", "must be the `next` of an earlier page of this list")
            })
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of `rows`, which were asked for with `limit + 1`: the one too many says that there is more.
    pub fn of<K: Serialize>(mut rows: Vec<T>, limit: i64, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).and_then(|last| cursor(&key(last)));
        Self { items: rows, next }
    }

    /// The same page with each item made into something else.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

fn cursor<K: Serialize>(key: &K) -> Option<String> {
    serde_json::to_vec(key)
        .ok()
        .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_of_a_page_is_the_start_of_the_next() {
        let page = Page::of(vec!["a", "b", "c"], 2, |item| (*item).to_owned());
        assert_eq!(page.items, ["a", "b"]);
        let query = PageQuery {
            limit: None,
            cursor: page.next,
        };
        assert_eq!(query.after::<String>().unwrap().as_deref(), Some("b"));
    }

    #[test]
    fn the_last_page_has_no_next() {
        assert_eq!(Page::of(vec![1, 2], 2, |item| *item).next, None);
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        for made_up in ["nonsense!".to_owned(), cursor(&"a\0").unwrap()] {
            let query = PageQuery {
                limit: None,
                cursor: Some(made_up),
            };
            assert_eq!(query.after::<String>().unwrap_err().errors[0].field, "cursor");
        }
    }
}
