"""The pen, the feed and the moves between them: the pages' *Moving the pen* and *Why the feed skips nothing*.

For shop.py, which says what this is all about. Each move is one transaction, and finds out by itself whether it was made already.
"""

import json
import sqlite3
import uuid
from datetime import timedelta

from data import KEYS, MODULE, NUMBERED, PEER, SIDE, TABLES, Problem, fitting, key_in, now, row_out, stamp, writing

KEEP_FOR_A_FOLLOWER = timedelta(days=7)

def lost(pen, wanted):
    told = f"it is {pen['state']} by `{pen['holder']}` in epoch {pen['epoch']}, and {wanted} was asked for"
    return Problem(409, "lost", f"the pen is not where the command says: {told}")


def install_pen(db):
    db.execute("INSERT INTO pen_catalog (side, holder, epoch, state, feed, since) VALUES (?, 'monolith', 1, 'held', ?, ?) "
               "ON CONFLICT DO NOTHING", [SIDE, str(uuid.uuid4()), stamp()])


def pen_of(db):
    pen = {"module": MODULE, **db.execute("SELECT * FROM pen_catalog").fetchone()}
    pen["sequences"] = json.loads(pen["sequences"]) if pen["sequences"] else None
    return pen


def is_here(pen):
    return pen["holder"] == SIDE and pen["state"] == "held"


def set_pen(db, was, **new):
    """The compare-and-set: it changes the row that was read, or none."""
    new = {**new, "since": stamp()}
    sets = ", ".join(f"{name} = ?" for name in new)
    was = [was["epoch"], was["state"], was["pass"]]
    cursor = db.execute(f"UPDATE pen_catalog SET {sets} WHERE epoch = ? AND state = ? AND pass IS ?", [*new.values(), *was])
    if cursor.rowcount != 1:
        raise lost(pen_of(db), "what another was quicker to do")
    return pen_of(db)


def order(position):
    """Positions are ordered by epoch, then by number; none is less than all."""
    return tuple(int(part) for part in position.split("-")) if position else (-1, -1)


def sequences(db):
    last = dict(db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    return {f"{table}.id": str(last.get(table, 0)) for table in NUMBERED}


def raise_sequences(db, past):
    for table in NUMBERED:
        number = max(int(past.get(f"{table}.id", 0)), db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])
        if db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", [number, table]).rowcount == 0:
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [table, number])


def follow_of(db):
    row = db.execute("SELECT * FROM follow_catalog").fetchone()
    return row and dict(row)


def follow_anew(db, source, epoch, feed="", cursor="", phase="copying", reached=None):
    db.execute("DELETE FROM follow_catalog")
    db.execute("INSERT INTO follow_catalog (source, feed, epoch, cursor, phase, reached, copy_table) VALUES (?, ?, ?, ?, ?, ?, ?)",
               [source, feed, epoch, cursor, phase, reached, next(iter(TABLES)) if phase == "copying" else None])


# --- The feed
# One transaction writes at a time, so the outbox's numbers are in the order of commits: cursor and position are such a number.


def end_of_feed(db):
    """From `sqlite_sequence`, since the outbox may have been pruned empty."""
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox_catalog'").fetchone()
    return found[0] if found else 0


def head(db, pen):
    # Once it is granted the epoch is the next one already, and the end is still where the fence was.
    return pen["position"] if pen["state"] != "held" else f"{pen['epoch']}-{end_of_feed(db)}"


def cursor_at(pen, number):
    return f"{pen['feed']}.{number}"


def number_in(pen, cursor):
    feed, _, number = cursor.partition(".")
    if feed != pen["feed"] or not number.isdecimal():
        raise Problem(410, "behind-the-floor", "the cursor is of another feed; begin a new copy (`copy` with `again`)")
    return int(number)


def require_holder(pen):
    """Whose rows are the ones to copy: the holder's, also while they are on the move."""
    if pen["holder"] != SIDE and pen["state"] == "held":
        raise Problem(409, "not-the-holder", f"this side follows; ask `{pen['holder']}`")


def register(db, side, cursor):
    db.execute("INSERT OR REPLACE INTO followers_catalog (side, cursor, seen_at) VALUES (?, ?, ?)", [side, cursor, stamp()])


def changes(db, after, limit):
    """What has changed since a cursor: each row once, as it is now."""
    pen, end = pen_of(db), end_of_feed(db)
    require_holder(pen)
    from_number = number_in(pen, after)
    # What a follower has acknowledged may be gone, and this is the floor; one that was forgotten has none.
    known = db.execute("SELECT cursor FROM followers_catalog WHERE side = ?", [PEER]).fetchone()
    if from_number > end:
        raise Problem(409, "ahead", "the cursor is beyond the end of the feed: this database was put back from a backup")
    if known is None or from_number < number_in(pen, known[0]):
        raise Problem(410, "behind-the-floor", "what comes after the cursor may be gone; begin a new copy (`copy` with `again`)")
    found = db.execute("SELECT tbl, key, min(seq) AS seq FROM outbox_catalog WHERE seq > ? GROUP BY tbl, key ORDER BY min(seq) "
                       "LIMIT ?", [from_number, limit + 1]).fetchall()
    items = []
    for table, text, seq in found:
        key = json.loads(text)
        where = " AND ".join(f"{name} = ?" for name in KEYS[table])
        row = db.execute(f"SELECT * FROM {table} WHERE {where}", key_in(table, key)).fetchone()
        items.append({"table": table, "key": key, "row": row and row_out(table, row), "seq": seq})
    items, more = fitting(items, limit)
    # Each row that was noted up to the last one's number is in this page, since they come by their first number.
    cursor = cursor_at(pen, items[-1]["seq"] if more else end)
    for item in items:
        del item["seq"]
    return {"feed": pen["feed"], "cursor": cursor, "reached": None if more else head(db, pen), "more": more,
            "head": head(db, pen), "pen": pen, "changes": items}


def acknowledge(cursor):
    """The cursor of a question says what is committed at the follower. A question that was slow on its way takes nothing back."""
    with writing() as db:
        pen = pen_of(db)
        known = db.execute("SELECT cursor FROM followers_catalog WHERE side = ?", [PEER]).fetchone()
        if known and number_in(pen, cursor) >= number_in(pen, known[0]):
            register(db, PEER, cursor)


def prune():
    """Removes what the followers have acknowledged, and forgets one that has not come for a week."""
    with writing() as db:
        db.execute("DELETE FROM followers_catalog WHERE seen_at < ?", [stamp(now() - KEEP_FOR_A_FOLLOWER)])
        pen = pen_of(db)
        kept = [number_in(pen, cursor) for (cursor,) in db.execute("SELECT cursor FROM followers_catalog")]
        db.execute("DELETE FROM outbox_catalog WHERE seq <= ?", [min(kept, default=end_of_feed(db))])
    return 10


# --- The moves

def fence(asked):
    try:
        with writing(asked["wait_ms"] / 1000) as db:  # The one writer has ended once this transaction has begun.
            pen = pen_of(db)
            if pen["pass"] == asked["pass"]:
                return pen
            if not is_here(pen) or pen["epoch"] != asked["epoch"]:
                raise lost(pen, f"a fence in epoch {asked['epoch']}")
            if asked["to"] != PEER or not db.execute("SELECT 1 FROM followers_catalog WHERE side = ?", [PEER]).fetchone():
                raise Problem(422, "not-ready", f"`{asked['to']}` does not follow this feed")
            until = stamp(now() + timedelta(milliseconds=asked["expires_ms"]))
            return set_pen(db, pen, **{"state": "fenced", "pass": asked["pass"], "position": head(db, pen), "expires_at": until,
                                       "sequences": json.dumps(sequences(db))})
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise Problem(503, "writers", f"the open transaction did not end in {asked['wait_ms']} ms") from error


def grant(asked):
    with writing() as db:
        pen, proof = pen_of(db), asked["proof"]
        if pen["pass"] == asked["pass"] and pen["epoch"] == asked["epoch"] + 1:
            return pen
        if (pen["state"], pen["pass"], pen["epoch"]) != ("fenced", asked["pass"], asked["epoch"]):
            raise lost(pen, f"a grant in epoch {asked['epoch']}")
        if proof["side"] != PEER or proof["feed"] != pen["feed"] or order(proof["reached"]) < order(pen["position"]):
            raise Problem(422, "proof", f"`{PEER}` has not reached {pen['position']} of this feed")
        return set_pen(db, pen, state="granted", holder=PEER, epoch=pen["epoch"] + 1, expires_at=None)


def abort(asked):
    with writing() as db:
        pen = pen_of(db)
        if is_here(pen) and pen["pass"] == asked["pass"] and pen["epoch"] == asked["epoch"] + 2:
            return pen
        if (pen["state"], pen["pass"], pen["epoch"]) != ("fenced", asked["pass"], asked["epoch"]):
            raise lost(pen, f"an abort in epoch {asked['epoch']}")
        return set_pen(db, pen, state="held", epoch=pen["epoch"] + 2, position=None, expires_at=None, sequences=None)


def accept(asked):
    receipt = asked["receipt"]
    with writing() as db:
        pen, follow = pen_of(db), follow_of(db)
        if receipt["state"] != "granted" or receipt["holder"] != SIDE:
            raise Problem(422, "proof", "the receipt is not that of a pen granted to this side")
        if pen["epoch"] == receipt["epoch"]:
            return pen
        if pen["epoch"] > receipt["epoch"] or pen["holder"] == SIDE or pen["state"] != "held":
            raise lost(pen, f"an acceptance of epoch {receipt['epoch']}")
        # Against what this database has, and not against what somebody said.
        is_there = follow and follow["phase"] == "following" and follow["feed"] == receipt["feed"]
        if not is_there or not receipt["position"] or order(follow["reached"]) < order(receipt["position"]):
            raise Problem(422, "proof", f"this side has not reached {receipt['position']} yet; it goes on, ask again")
        raise_sequences(db, receipt["sequences"] or {})
        start = cursor_at(pen, end_of_feed(db))
        db.execute("DELETE FROM follow_catalog")
        register(db, PEER, start)  # Or the feed could be pruned before the peer has asked for the first time.
        return set_pen(db, pen, **{"holder": SIDE, "state": "held", "epoch": receipt["epoch"], "pass": receipt["pass"],
                                   "feed_start": start, "position": None, "expires_at": None, "sequences": None})


def turn(asked):
    receipt = asked["receipt"]
    with writing() as db:
        pen = pen_of(db)
        if pen["state"] == "held" and (pen["holder"], pen["epoch"]) == (receipt["side"], receipt["epoch"]):
            return pen
        is_its = receipt["state"] != "granted" and receipt["side"] == receipt["holder"] == pen["holder"]
        if pen["state"] != "granted" or not is_its or receipt["epoch"] != pen["epoch"]:
            raise lost(pen, f"a turn in epoch {receipt['epoch']}")
        if not receipt["feed_start"]:
            raise Problem(422, "proof", "the receipt does not say where the new feed begins")
        # At the fence both sides had the same rows, so there is nothing to copy.
        follow_anew(db, PEER, receipt["epoch"], feed=receipt["feed"], cursor=receipt["feed_start"], phase="following",
                    reached=pen["position"])
        return set_pen(db, pen, state="held", position=None, feed_start=None, sequences=None)
