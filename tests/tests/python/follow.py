"""The follower: how this side copies the other's rows and stays beside them, as the page *Following* says it.

For shop.py, which says what this is all about.
"""

import json
import sqlite3
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from data import (ANSWER_LIMIT, KEYS, MODULE, OPTIONS, PEER, REQUEST_LIMIT, SIDE, TABLES, Problem, between, key_in, key_of,
                  reading, row_in, rows_of, stamp, table_of, writing)
from pen import abort, accept, follow_anew, follow_of, lost, pen_of, raise_sequences, sequences, turn

ROWS, MOST_ROWS = 500, 1000
# The end of the feed is asked for at least this often, which is also what `lag_seconds` can grow to without any lag.
LONG_POLL = 2

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
AT_THE_END = {"since": None}  # When this side was last told that it is at the feed's end (monotonic).


def ask(what, query=None, timeout=10):
    """Asks the peer, whose address and token are in the configuration alone."""
    url = f"{OPTIONS.peer_url}/handover/v1/{MODULE}/{what}?{urllib.parse.urlencode(query or {})}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {OPTIONS.token}"})
    try:
        with DIRECT.open(request, timeout=timeout) as answer:
            return json.loads(answer.read(ANSWER_LIMIT))
    except urllib.error.HTTPError as error:
        problem = json.loads(error.read(REQUEST_LIMIT) or b"{}")
        kind = problem.get("type", "").removeprefix("urn:banyan:handover:")
        raise Problem(error.code, kind, problem.get("detail", "")) from error


def step_to(db, was, **new):
    """Moves the follower's row on, if the pen is elsewhere and the row is still what it was before the question; says whether it did."""
    pen = pen_of(db)
    if pen["holder"] == SIDE or pen["state"] != "held":
        return False
    sets = ", ".join(f"{name} = ?" for name in new)
    same = "feed = ? AND epoch = ? AND cursor = ? AND phase = ? AND copy_table IS ? AND copy_key IS ?"
    known = [was[name] for name in ("feed", "epoch", "cursor", "phase", "copy_table", "copy_key")]
    return db.execute(f"UPDATE follow_catalog SET {sets} WHERE {same}", [*new.values(), *known]).rowcount == 1


def put(db, table, row):
    """OR REPLACE removes what stands in the way with another key. At the holder that row has changed since it was read here, or
    this one could not be as it is; so it comes later in the feed, before the window's end."""
    places = ", ".join("?" for _ in TABLES[table])
    db.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(TABLES[table])}) VALUES ({places})", row_in(table, row))


def remove(db, table, key):
    where = " AND ".join(f"{name} = ?" for name in KEYS[table])
    db.execute(f"DELETE FROM {table} WHERE {where}", key_in(table, key))


def replace(db, table, after, chunk):
    condition, values = between(table, after, chunk["through"])
    db.execute(f"DELETE FROM {table} WHERE {condition}", values)
    for row in chunk["rows"]:
        put(db, table, row)


def park(was, error, table=None, key=None):
    """No further: nothing is skipped, and a `copy` with `again` begins anew."""
    with writing() as db:
        step_to(db, was, phase="parked", parked=json.dumps({"table": table, "key": key, "error": str(error)}))


def begin():
    """Takes the cursor before any row is read; from then on the holder keeps everything for this side."""
    with reading() as db:
        was = follow_of(db)
    answer = ask("changes")
    with writing() as db:
        step_to(db, was, feed=answer["feed"], cursor=answer["cursor"])


def copy_chunk():
    with reading() as db:
        was = follow_of(db)
    table, after = was["copy_table"], json.loads(was["copy_key"]) if was["copy_key"] else None
    chunk = ask("snapshot", {"table": table, "limit": ROWS, **({"after": json.dumps(after)} if after else {})})
    if chunk["feed"] != was["feed"]:
        return park(was, "the source has begun a new feed")
    new = {"copy_key": json.dumps(chunk["through"]) if chunk["through"] else None}
    if chunk["through"] is None:
        rest = list(TABLES)[list(TABLES).index(table) + 1:]
        new |= {"copy_table": rest[0]} if rest else {"copy_table": None, "phase": "catching-up"}
    try:
        with writing(as_follower=True) as db:
            if step_to(db, was, copied_rows=was["copied_rows"] + len(chunk["rows"]), **new):
                replace(db, table, after, chunk)
    except (sqlite3.IntegrityError, ValueError) as error:
        park(was, error, table)


def pull(wait=0):
    """Asks for changes and applies the answer with its cursor. Says whether this side was at the feed's end then, and the holder's pen."""
    with reading() as db:
        was = follow_of(db)
    if was is None or not was["cursor"] or was["phase"] in ("parked", "sealed"):
        return False, None
    asked = time.monotonic()
    try:
        answer = ask("changes", {"after": was["cursor"], "limit": ROWS, "wait": wait}, timeout=wait + 10)
    except Problem as problem:
        if problem.kind in ("behind-the-floor", "ahead"):
            park(was, problem.detail)
        raise
    new, item = {"cursor": answer["cursor"]}, {"table": None, "key": None}
    if not answer["more"] and was["phase"] in ("catching-up", "following"):
        new |= {"phase": "following", "reached": answer["reached"]}
    try:
        with writing(as_follower=True) as db:
            # Looked at here, and not when the question was asked: another answer may have been applied since.
            if not step_to(db, was, **new):
                return False, None
            parents_first = sorted(answer["changes"], key=lambda change: list(TABLES).index(change["table"]))
            for item in reversed(parents_first):
                if item["row"] is None:
                    remove(db, item["table"], item["key"])
            for item in parents_first:
                if item["row"] is not None:
                    put(db, item["table"], item["row"])
    except (sqlite3.IntegrityError, ValueError) as error:
        park(was, error, item["table"], item["key"])
        return False, None
    if not answer["more"]:
        AT_THE_END["since"] = asked
    return not answer["more"], answer["pen"]


def follow_on():
    """One step of the follower; says how long to rest after it."""
    with reading() as db:
        pen, was = pen_of(db), follow_of(db)
    if was is None or was["phase"] in ("parked", "sealed"):
        return 0.1
    if not was["cursor"]:
        begin()
        return 0
    is_following = was["phase"] == "following"
    at_the_end, source = pull(LONG_POLL if is_following else 0)
    if was["phase"] == "copying":
        copy_chunk()
    if at_the_end and source["state"] == "granted" and source["holder"] == SIDE and source["epoch"] > pen["epoch"]:
        accept({"receipt": source})  # Whether or not a coordinator is still there to say so.
    # While the pen is on the move the holder answers at once.
    return 0.02 if source and source["state"] != "held" else 0


def tend():
    """What the holder does by itself: an expired fence ends, and whoever has given the pen away turns when it has arrived."""
    with reading() as db:
        pen = pen_of(db)
    if pen["state"] == "fenced" and pen["expires_at"] < stamp():
        abort({"pass": pen["pass"], "epoch": pen["epoch"]})
    if pen["state"] == "granted":
        theirs = ask("status")["pen"]
        if (theirs["holder"], theirs["state"], theirs["epoch"]) == (PEER, "held", pen["epoch"]):
            turn({"receipt": theirs})
    return 0.2


def for_ever(work):
    """A worker's thread. It rests after each step, and longer while the peer does not answer."""
    pause = 0.1
    while True:
        try:
            rest, pause = work(), 0.1
        except Exception as error:  # Whatever it was, the next step finds the database as the last commit left it.
            print(f"{work.__name__}: {error}", flush=True)
            rest, pause = pause, min(pause * 2, 4)
        time.sleep(rest)


def copy(asked):
    with writing(as_follower=True) as db:
        pen, follow = pen_of(db), follow_of(db)
        if pen["holder"] == SIDE or pen["state"] != "held":
            raise lost(pen, "a copy of the other side's rows")
        if follow and follow["phase"] == "sealed":
            raise Problem(422, "not-ready", "the link has been sealed, which is for good")
        if follow and not asked.get("again"):
            return pen
        if follow is None:  # These rows came from elsewhere, with other ids.
            for table in reversed(TABLES):
                db.execute(f"DELETE FROM {table}")
        follow_anew(db, pen["holder"], pen["epoch"])
        return pen


def repair(asked):
    table, after, through = table_of(asked), asked.get("after"), asked.get("through")
    last = through and key_in(table, through)
    while True:
        with reading() as db:
            pen, was = pen_of(db), follow_of(db)
        if was is None or not was["cursor"]:
            raise lost(pen, "a repair of a side that follows")
        chunk = ask("snapshot", {"table": table, "limit": MOST_ROWS, **({"after": json.dumps(after)} if after else {})})
        is_last = chunk["through"] is None or bool(last and key_in(table, chunk["through"]) >= last)
        if is_last:
            chunk["through"] = through
            chunk["rows"] = [row for row in chunk["rows"] if not last or key_in(table, key_of(table, row)) <= last]
        with writing(as_follower=True) as db:
            # The same rule as for a chunk of a copy: if the cursor has moved on, this answer may be older than the rows.
            is_done = chunk["feed"] == was["feed"] and step_to(db, was, cursor=was["cursor"])
            if is_done:
                replace(db, table, after, chunk)
        if is_done and is_last:
            return pen
        after = chunk["through"] if is_done else after


def retention(asked):
    with writing() as db:
        if asked.get("forget"):
            db.execute("DELETE FROM followers_catalog WHERE side = ?", [asked["forget"]])
        if asked.get("new_feed"):
            db.execute("DELETE FROM followers_catalog")
            db.execute("UPDATE pen_catalog SET feed = ?", [str(uuid.uuid4())])
        return pen_of(db)


def rehearse(_asked):
    class TakenBack(Exception):
        """Ends a transaction that was never meant to stay."""

    try:
        with writing(as_follower=True) as db:
            for table in TABLES:
                for row in rows_of(db, table, limit=1):
                    put(db, table, row)
            raise_sequences(db, sequences(db))
            raise TakenBack
    except TakenBack:
        pass
    except sqlite3.Error as error:
        raise Problem(422, "not-ready", f"this side cannot follow: {error}") from error
    try:
        ask("status")
    except (OSError, Problem) as error:
        raise Problem(422, "not-ready", f"`{PEER}` cannot be reached: {error}") from error
    with reading() as db:
        return pen_of(db)


def seal(asked):
    """The holder first, then the follower, which stands still only once the holder has forgotten it."""
    with writing() as db:
        pen = pen_of(db)
        if pen["holder"] == SIDE:
            if pen["state"] != "held" or pen["epoch"] != asked["epoch"]:
                raise lost(pen, f"a seal in epoch {asked['epoch']}")
            db.execute("DELETE FROM followers_catalog WHERE side = ?", [PEER])
            return pen
    for _ in range(10):
        with reading() as db:
            pen, was = pen_of(db), follow_of(db)
        if pen["holder"] == SIDE or pen["state"] != "held":
            raise lost(pen, "a seal of a follower")
        if was is None or not was["cursor"]:
            raise Problem(422, "not-ready", "this side does not follow")
        if was["phase"] == "sealed":
            return pen
        theirs = ask("status")
        holds = theirs["pen"]["holder"] == PEER and theirs["pen"]["state"] == "held" and theirs["pen"]["epoch"] == asked["epoch"]
        if not holds or any(known["side"] == SIDE for known in theirs["feed"]["followers"]):
            raise Problem(422, "not-ready", "the holder comes first")
        with writing() as db:
            if step_to(db, was, phase="sealed"):
                return pen
    raise Problem(422, "not-ready", "this side still applies what it had asked for; ask again")
