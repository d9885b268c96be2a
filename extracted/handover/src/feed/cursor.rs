//! Where a follower stands in the feed: on SQLite a number, on PostgreSQL a snapshot (decision 25).

use chassis::db::Conn;
use diesel::prelude::*;
use diesel::sql_types::Text;
use uuid::Uuid;

use crate::{Error, Names, pen, sql};

/// A place in this side's feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// SQLite: everything up to this number has been read.
    Number(i64),
    /// PostgreSQL: everything that this snapshot sees has been read.
    Snapshot(Seen),
    /// PostgreSQL, in the middle of a window: what `from` sees, and of what `to` sees the entries up to `seq`.
    Window { from: Seen, to: Seen, seq: i64 },
}

/// The text of a `pg_snapshot` (`xmin:xmax:in progress`), and its two bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) xmin: i64,
    xmax: i64,
}

impl Seen {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax, rest) = (
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            parts.next()?,
        );
        let is_list = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        (is_list && parts.next().is_none() && xmin <= xmax).then(|| Self {
            text: text.to_owned(),
            xmin,
            xmax,
        })
    }
}

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Text)]
    text: String,
}

impl Cursor {
    /// The feed's present end.
    pub(crate) fn present(conn: &mut Conn, names: &Names) -> Result<Self, Error> {
        if matches!(conn, Conn::Sqlite(_)) {
            let query = format!("SELECT {} AS n", pen::last_number(names));
            return Ok(Self::Number(sql::number(conn, &query)?));
        }
        let Told { text } =
            diesel::sql_query("SELECT pg_current_snapshot()::text AS text").get_result(conn)?;
        let seen = Seen::read(&text).ok_or_else(|| Error::defect("the server's snapshot cannot be read"))?;
        Ok(Self::Snapshot(seen))
    }

    /// Reads a cursor that a follower sent: `FEED.PLACE`.
    pub(crate) fn read(conn: &Conn, feed: Uuid, text: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed("`after` is no cursor of this feed".to_owned());
        let (of, place) = text.split_once('.').ok_or_else(malformed)?;
        let of: Uuid = of.parse().map_err(|_| malformed())?;
        if of != feed {
            return Err(Error::BehindTheFloor("it is of another feed"));
        }
        if matches!(conn, Conn::Sqlite(_)) {
            return place
                .parse()
                .ok()
                .filter(|n| *n >= 0)
                .map(Self::Number)
                .ok_or_else(malformed);
        }
        let parts: Vec<&str> = place.split('|').collect();
        let read = match parts.as_slice() {
            [seen] => Seen::read(seen).map(Self::Snapshot),
            [from, to, seq] => (|| {
                Some(Self::Window {
                    from: Seen::read(from)?,
                    to: Seen::read(to)?,
                    seq: seq.parse().ok()?,
                })
            })(),
            _ => None,
        };
        read.ok_or_else(malformed)
    }

    /// The cursor as followers keep it.
    pub(crate) fn text(&self, feed: Uuid) -> String {
        match self {
            Self::Number(n) => format!("{feed}.{n}"),
            Self::Snapshot(seen) => format!("{feed}.{}", seen.text),
            Self::Window { from, to, seq } => format!("{feed}.{}|{}|{seq}", from.text, to.text),
        }
    }

    /// Refuses a cursor that lies beyond the feed's present end.
    pub(crate) fn hold_against(&self, present: &Self) -> Result<(), Error> {
        let beyond = match (self, present) {
            (Self::Number(n), Self::Number(end)) => n > end,
            (Self::Snapshot(seen) | Self::Window { to: seen, .. }, Self::Snapshot(end)) => {
                seen.xmax > end.xmax
            }
            _ => true,
        };
        if beyond { Err(Error::Ahead) } else { Ok(()) }
    }

    /// The cursor after the entry `seq` of a window that begins here and ends at `present`, or where it ended when it began.
    pub(crate) fn beyond(&self, present: &Self, seq: i64) -> Self {
        match (self, present) {
            (Self::Snapshot(from), Self::Snapshot(to)) => Self::Window {
                from: from.clone(),
                to: to.clone(),
                seq,
            },
            (Self::Window { from, to, .. }, _) => Self::Window {
                from: from.clone(),
                to: to.clone(),
                seq,
            },
            _ => Self::Number(seq),
        }
    }

    /// Where a window that began at an earlier state ends. What came after it is another one, which must be asked for at once:
    /// the pen that is read with its last page may be of a later state than its rows.
    pub(crate) fn end_of_window(&self) -> Option<Self> {
        match self {
            Self::Window { to, .. } => Some(Self::Snapshot(to.clone())),
            Self::Number(_) | Self::Snapshot(_) => None,
        }
    }

    /// The last number of which everything before it has been read: of a follower's position, and of what may be pruned.
    pub(crate) fn reached(&self) -> u64 {
        let number = match self {
            Self::Number(n) => *n,
            Self::Snapshot(seen) | Self::Window { from: seen, .. } => seen.xmin - 1,
        };
        number.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_snapshots_are_read_as_snapshots() {
        assert!(Seen::read("812:815:813,814").is_some() && Seen::read("812:812:").is_some());
        for bad in [
            "",
            "812",
            "812:815",
            "815:812:",
            "812:815:813;drop",
            "a:b:",
            "1:2:3:4",
        ] {
            assert_eq!(Seen::read(bad), None, "{bad}");
        }
    }
}
