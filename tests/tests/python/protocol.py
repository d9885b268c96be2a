"""The protocol over HTTP: questions, commands, and how they are refused.

For shop.py, which says what this is all about.
"""

import contextlib
import hashlib
import hmac
import json
import re
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler

import follow
import pen as pens
from data import (MODULE, OPTIONS, PEER, REQUEST_LIMIT, SIDE, TABLES, KEYS, Problem, canonical, fitting, key_of, reading, rows_of,
                  stamp, table_of, wait_until, writing)
from follow import AT_THE_END, MOST_ROWS, ROWS, pull
from pen import acknowledge, changes, cursor_at, end_of_feed, follow_of, head, order, pen_of, register, require_holder

WAITS = threading.BoundedSemaphore(16)


@contextlib.contextmanager
def waiting(query):
    """How long this request may wait: not at all while too many do."""
    seconds = query.get("wait", 0)
    may = seconds > 0 and WAITS.acquire(blocking=False)
    try:
        yield seconds if may else 0
    finally:
        if may:
            WAITS.release()


def limit_of(query):
    return min(query.get("limit", ROWS), MOST_ROWS)


def get_changes(query):
    limit = limit_of(query)
    if "cursor" not in query:
        with writing() as db:  # The place to begin; from here on everything is kept for whoever asked.
            pen = pen_of(db)
            require_holder(pen)
            register(db, PEER, cursor_at(pen, end_of_feed(db)))
            return changes(db, cursor_at(pen, end_of_feed(db)), limit)

    def look():
        with reading() as db:
            answer = changes(db, query["cursor"], limit)
        last.append(answer)
        return answer["changes"] or answer["pen"]["state"] != "held" or answer["pen"] != last[0]["pen"]

    last = []
    with waiting(query) as seconds:
        is_news = look()
        acknowledge(query["cursor"])
        if not is_news:
            wait_until(look, seconds)
    return last[-1]


def get_snapshot(query):
    table, limit = table_of(query), limit_of(query)
    with reading() as db:
        pen = pen_of(db)
        require_holder(pen)
        rows, more = fitting(rows_of(db, table, query.get("after"), limit=limit + 1), limit)
    return {"table": table, "rows": rows, "through": key_of(table, rows[-1]) if more else None, "feed": pen["feed"], "pen": pen}


def get_verify(query):
    table, after, through, detail = table_of(query), query.get("after"), query.get("through"), query.get("detail", "chunk")
    limit = limit_of(query) if "limit" in query else MOST_ROWS * 1000
    with reading() as db:
        pen, follow = pen_of(db), follow_of(db)
        rows, reached = rows_of(db, table, after, through, limit + 1), follow["reached"] if follow else None
        if pen["holder"] == SIDE or pen["state"] == "granted":
            reached = head(db, pen)
    rows, more = fitting(rows, limit) if detail == "rows" else (rows[:limit], len(rows) > limit)
    lines = [canonical(row) for row in rows]
    answer = {"table": table, "after": after, "through": key_of(table, rows[-1]) if more else through, "rows": len(rows),
              "sha256": hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest(),
              "reached": reached}
    if detail != "chunk":
        answer["hashes"] = [{"key": key_of(table, row), "sha256": hashlib.sha256(line).hexdigest()} for row, line in zip(rows, lines)]
    if detail == "rows":
        answer["items"] = rows
    return answer


def missing(pen, follow):
    """Why this side could not take the pen, in sentences."""
    if pen["holder"] == SIDE:
        return ["It has the pen."]
    if pen["state"] == "granted":
        return ["It has given the pen away and has not turned yet."]
    if follow is None:
        return ["It does not follow; ask it to `copy`."]
    if follow["phase"] != "following":
        return [f"It is {follow['phase']} and not following yet."]
    return []


def describe():
    with reading() as db:
        pen, follow, end = pen_of(db), follow_of(db), end_of_feed(db)
        followers = [dict(row) for row in db.execute("SELECT side, cursor, seen_at FROM followers_catalog")]
        position = head(db, pen) if pen["holder"] == SIDE or pen["state"] == "granted" else f"{pen['epoch']}-{end}"
    lag = time.monotonic() - AT_THE_END["since"] if AT_THE_END["since"] else None
    told = follow and {
        "source": follow["source"], "feed": follow["feed"] or str(uuid.UUID(int=0)), "phase": follow["phase"],
        "reached": follow["reached"], "lag_seconds": lag,
        "copied": follow["copy_table"] and {"table": follow["copy_table"], "rows": follow["copied_rows"]},
        "parked": json.loads(follow["parked"]) if follow["parked"] else None}
    lacks = missing(pen, follow)
    return {"protocol": 1, "module": MODULE, "side": SIDE, "peer": PEER, "pen": pen,
            "feed": {"id": pen["feed"], "head": position, "followers": followers}, "follow": told,
            "ready": {"take": not lacks, "missing": lacks},
            "tables": [{"name": table, "key": [{"name": name, "type": TABLES[table][name]} for name in KEYS[table]]} for table in TABLES],
            "now": stamp()}


def get_status(query):
    def has_reached():
        with reading() as db:
            follow = follow_of(db)
        return follow is not None and order(follow["reached"]) >= order(query["reached"])

    current = None
    with waiting(query) as seconds:
        if "reached" in query:
            wait_until(has_reached, seconds)
        if query.get("current"):
            # Asked here rather than by the follower's thread: if both apply an answer, the second finds another cursor.
            current = wait_until(lambda: pull()[0], seconds)
    told = describe()
    if told["follow"] and current is not None:
        told["follow"]["current"] = current
    return told


# --- The form of requests. A member that is not known is refused, so that a new question is noticed.

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
POSITION = r"[0-9]{1,18}-[0-9]{1,18}"
TEXTS = {"pass": UUID, "reached": POSITION, "detail": "chunk|hashes|rows", "table": ".*", "forget": ".*", "to": ".*"}
NUMBERS = {"epoch": (1, 2**53), "expires_ms": (1000, 60000), "wait_ms": (10, 10000), "limit": (1, 2**53), "wait": (0, 30)}

GET = {"status": (get_status, [], ["reached", "current", "wait"]), "changes": (get_changes, [], ["cursor", "limit", "wait"]),
       "snapshot": (get_snapshot, ["table"], ["after", "limit"]),
       "verify": (get_verify, ["table"], ["after", "through", "limit", "detail"])}
POST = {"fence": (pens.fence, ["pass", "epoch", "to", "expires_ms", "wait_ms"], []),
        "grant": (pens.grant, ["pass", "epoch", "proof"], []), "abort": (pens.abort, ["pass", "epoch"], []),
        "accept": (pens.accept, ["receipt"], []), "turn": (pens.turn, ["receipt"], []),
        "copy": (follow.copy, ["pass"], ["again"]), "repair": (follow.repair, ["table"], ["after", "through"]),
        "retention": (follow.retention, [], ["forget", "new_feed"]), "rehearse": (follow.rehearse, [], []),
        "seal": (follow.seal, ["epoch"], [])}


def is_sound(name, value):
    """Whether a member of a command has its form. Keys are looked at where their table is known."""
    if name in NUMBERS:
        least, most = NUMBERS[name]
        return type(value) is int and least <= value <= most
    if name in ("again", "new_feed", "current"):
        return isinstance(value, bool)
    if name == "proof":
        return isinstance(value, dict) and value.keys() == {"side", "feed", "reached"} and \
            (value["reached"] is None or is_sound("reached", value["reached"]))
    if name == "receipt":
        wanted = {"side", "holder", "epoch", "state", "pass", "position", "feed", "feed_start", "sequences"}
        return isinstance(value, dict) and wanted <= value.keys() and is_sound("epoch", value["epoch"])
    if name in ("after", "through", "cursor"):
        return value is None or isinstance(value, str if name == "cursor" else list)
    return isinstance(value, str) and re.fullmatch(TEXTS[name], value) is not None


def checked(members, required, optional):
    """Members of which all are known, none is missing, and each has its form."""
    unknown, absent = members.keys() - {*required, *optional}, set(required) - members.keys()
    wrong = [name for name in members.keys() - unknown if not is_sound(name, members[name])]
    for names, what in ((unknown, "is not known"), (absent, "is missing"), (wrong, "has not its form")):
        for name in names:
            raise Problem(400, "malformed", f"`{name}` {what}")
    return members


def query_of(what, text):
    """A question's parameters, as commands have them: numbers as such, keys as lists."""
    query = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
    for name in query.keys() & {"wait", "limit"}:
        if not re.fullmatch("[0-9]{1,9}", query[name]):
            raise Problem(400, "malformed", f"`{name}` must be a number")
        query[name] = int(query[name])
    if "current" in query:
        query["current"] = query["current"] == "true"
    if what == "changes" and "after" in query:  # The same word, and here it is no key.
        query["cursor"] = query.pop("after")
    for name in query.keys() & {"after", "through"}:
        query[name] = parsed(query[name])
    return query


def parsed(text):
    try:
        return json.loads(text)
    except ValueError as error:
        raise Problem(400, "malformed", f"this is no JSON: {error}") from error


class Requests(BaseHTTPRequestHandler):
    """What both servers need: bodies in, answers out, connections that stay."""

    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def body(self):
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > REQUEST_LIMIT:
            self.close_connection = True
            raise Problem(400, "malformed", "a body needs a Content-Length, of 1 MiB at the most")
        return self.rfile.read(int(length))

    def answer(self, status, body=None, kind="application/json", **headers):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
        try:
            self.end_headers()
            self.wfile.write(data)
        except ConnectionError:  # Whoever asked has given up, as a follower does when it is told to look at once.
            self.close_connection = True

    def log_message(self, *_):
        """Says nothing of requests that went well."""


class Protocol(Requests):
    """The second port: for the peer and the coordinator alone."""

    def do_GET(self):
        self.reply(GET)

    def do_POST(self):
        self.reply(POST)

    def reply(self, known):
        try:
            body = self.body()
            path, _, text = self.path.partition("?")
            token = self.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(token, f"Bearer {OPTIONS.token}".encode()):
                raise Problem(401, "token", "the token of this hand-over is needed: `Authorization: Bearer …`")
            what = path.removeprefix(f"/handover/v1/{MODULE}/")
            if what == path or what not in known:
                raise Problem(404, "module", "this side has no such module, or no such question")
            work, required, optional = known[what]
            if known is POST:
                members = parsed(body)
                if not isinstance(members, dict):
                    raise Problem(400, "malformed", "a command is a JSON object")
                self.answer(200, {"pen": work(checked(members, required, optional))})
            else:
                self.answer(200, work(checked(query_of(what, text), required, optional)))
        except Problem as problem:
            self.refuse(problem)
        except Exception as error:
            print(f"{self.path}: {error!r}", flush=True)
            self.refuse(Problem(500, "internal", "the log of this side says more"))

    def refuse(self, problem):
        told = {"type": f"urn:banyan:handover:{problem.kind}", "title": problem.kind, "status": problem.status,
                "detail": problem.detail}
        if problem.kind not in ("token", "module"):
            with reading() as db:
                told["pen"] = pen_of(db)
        headers = {"Retry_After": "1"} if problem.status == 503 else {}
        self.answer(problem.status, told, "application/problem+json", **headers)
