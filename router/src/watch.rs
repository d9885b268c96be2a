//! Clients' connections under watch: stalled ones are cut.
//!
//! For the server, and for [`crate::stream`], which reports what happens on a connection. actix limits the time for the
//! head of the *first* request of a connection only, and knows no limit for a body that stands still. So each connection
//! notes when it last moved (a number written, no timer armed), and once per [`TICK`] each worker looks over its
//! connections. A cut connection fails its next read or write, which ends the dispatcher and with it the upstream's request.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::carrier::Carrier;
use crate::clock::{Clock, TICK};
use crate::config::Settings;
use crate::limits::Seat;
use crate::origin::{Origin, Scheme};
use crate::problem::Kind;
use crate::stream::ClientStream;
use crate::strict::Refusal;

/// How long a client that has been refused may take to read why.
const LINGERING: Duration = Duration::from_secs(2);

/// All connections of a worker.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    max_head: Cell<usize>,
    connections: RefCell<Vec<Weak<Connection>>>,
}

/// What is known of one connection.
#[derive(Debug)]
pub struct Connection {
    clock: Clock,
    /// A request is being served.
    serving: Cell<bool>,
    /// No request has been handed over since the last answer was written whole.
    fresh: Cell<bool>,
    /// Something of the answer to the last request has been written.
    spoken: Cell<bool>,
    /// When the request that is being served was handed over, if its time is limited.
    begun_at: Cell<Option<u64>>,
    /// How many requests have been handed over.
    begun: Cell<u64>,
    /// Why a request has been refused; nothing more is read after that.
    refusal: Cell<Option<Refusal>>,
    /// Since when the client has had time to read why it was refused.
    lingering_since: Cell<Option<u64>>,
    /// When the first byte of a head arrived that is not complete yet.
    head_since: Cell<Option<u64>>,
    last_moved: Cell<u64>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    scheme: Scheme,
    origin: RefCell<Option<Rc<Origin>>>,
    _seat: Option<Seat>,
}

/// Held while a request is served, to the last byte of its answer.
#[derive(Debug)]
pub struct Turn(Rc<Connection>);

impl Watch {
    /// Watches nothing yet.
    pub fn new(clock: Clock, settings: &Settings) -> Self {
        Self {
            clock,
            max_head: Cell::new(settings.max_header_bytes),
            connections: RefCell::default(),
        }
    }

    /// Takes a new connection under watch.
    pub fn over(&self, carrier: Carrier, seat: Option<Seat>) -> ClientStream {
        let connection = Rc::new(Connection {
            clock: self.clock.clone(),
            serving: Cell::new(false),
            fresh: Cell::new(true),
            spoken: Cell::new(false),
            begun_at: Cell::new(None),
            begun: Cell::new(0),
            refusal: Cell::new(None),
            lingering_since: Cell::new(None),
            head_since: Cell::new(None),
            last_moved: Cell::new(self.clock.now()),
            cut: Cell::new(false),
            waker: RefCell::default(),
            scheme: match carrier.is_secure() {
                true => Scheme::Https,
                false => Scheme::Http,
            },
            origin: RefCell::default(),
            _seat: seat,
        });
        self.connections.borrow_mut().push(Rc::downgrade(&connection));
        ClientStream::new(carrier, connection, self.max_head.get())
    }

    /// Forgets closed connections and cuts stalled ones.
    pub fn look_over(&self, settings: &Settings) {
        self.max_head.set(settings.max_header_bytes);
        let idle = standstill(settings);
        self.connections.borrow_mut().retain(|connection| {
            let Some(connection) = connection.upgrade() else {
                return false;
            };
            let head_since = connection.head_since.get();
            let is_slow =
                head_since.is_some_and(|then| self.clock.is_past(then, settings.header_timeout + TICK));
            let is_stuck = connection.serving.get() && self.clock.is_past(connection.last_moved.get(), idle);
            let lingering_since = connection.lingering_since.get();
            let has_lingered = lingering_since.is_some_and(|then| self.clock.is_past(then, LINGERING));
            let is_endless = settings.edge.request_timeout.is_some_and(|limit| {
                // Before an answer has begun the exchange itself ends, with words; this may come in the same tick.
                let is_answering = connection.serving.get() && connection.spoken.get();
                let begun_at = connection.begun_at.get().filter(|_| is_answering);
                begun_at.is_some_and(|then| self.clock.is_past(then, limit + 2 * TICK))
            });
            if is_slow || is_stuck || has_lingered || is_endless || connection.rests_for(settings.keep_alive)
            {
                connection.cut();
            }
            true
        });
    }
}

/// How long nothing may move in the middle of an exchange. Waiting for an upstream's answer is standing still too, and has
/// its own, more telling limit.
pub(crate) fn standstill(settings: &Settings) -> Duration {
    let idle = settings.idle_timeout;
    idle.max(settings.response_timeout + settings.connect_timeout) + 4 * TICK
}

impl Connection {
    /// Whether nothing has come or gone for so long between two requests.
    fn rests_for(&self, limit: Duration) -> bool {
        let is_resting = !self.serving.get() && self.head_since.get().is_none();
        is_resting && self.clock.is_past(self.last_moved.get(), limit)
    }

    /// Begins to serve a request.
    pub fn begin(self: &Rc<Self>) -> Turn {
        self.serving.set(true);
        self.fresh.set(false);
        self.spoken.set(false);
        self.begun.set(self.begun.get() + 1);
        self.begun_at.set(Some(self.clock.now()));
        self.head_since.set(None);
        self.last_moved.set(self.clock.now());
        Turn(Rc::clone(self))
    }

    /// The origin of a request on this connection.
    pub fn origin(&self, peer: IpAddr, host: Option<&str>) -> Result<Rc<Origin>, &'static str> {
        let mut last = self.origin.borrow_mut();
        match last
            .as_ref()
            .filter(|last| last.peer == peer && last.host.as_deref() == host)
        {
            Some(last) => Ok(Rc::clone(last)),
            None => Ok(Rc::clone(last.insert(Rc::new(Origin::new(
                peer,
                host,
                self.scheme,
            )?)))),
        }
    }

    /// Whether all requests of which the heads were let through have been served.
    pub(crate) fn has_served(&self, heads: u64) -> bool {
        !self.serving.get() && self.has_begun(heads)
    }

    /// Whether the last request of which the head was let through is the one that is being served.
    pub(crate) fn has_begun(&self, heads: u64) -> bool {
        self.begun.get() == heads
    }

    /// Whether a request is being served.
    pub(crate) fn is_serving(&self) -> bool {
        self.serving.get()
    }

    /// From now on nothing more is read; what was let through before is served first.
    pub(crate) fn end(&self, refusal: Refusal) {
        self.refusal.set(Some(refusal));
    }

    /// Whether nothing more is read.
    pub(crate) fn is_ending(&self) -> bool {
        self.refusal.get().is_some()
    }

    /// Whether no request waits for its answer, so that what is written now is not an answer of ours.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh.get()
    }

    /// Whether something of the answer to the last request has been written.
    pub(crate) fn has_spoken(&self) -> bool {
        self.spoken.get()
    }

    /// The client has been told that it is refused, and has a moment to read that.
    pub(crate) fn linger(&self) {
        if self.lingering_since.get().is_none() {
            self.lingering_since.set(Some(self.clock.now()));
        }
    }

    /// Notes what was written of an answer.
    pub(crate) fn wrote(&self, is_final: bool, is_whole: bool) {
        self.moved();
        if is_final {
            self.spoken.set(true);
        }
        if is_whole && !self.serving.get() {
            self.fresh.set(true);
        }
    }

    fn moved(&self) {
        self.last_moved.set(self.clock.now());
    }

    /// Notes that something arrived.
    pub(crate) fn heard(&self) {
        self.moved();
        if !self.serving.get() && self.head_since.get().is_none() {
            self.head_since.set(Some(self.clock.now()));
        }
    }

    fn cut(&self) {
        self.cut.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Wakes this task when the connection is cut, or is to end and has no more to serve.
    pub(crate) fn park(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
    }

    /// Fails once the connection has been cut.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.cut.get() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client stood still for too long",
            ));
        }
        Ok(())
    }
}

impl Turn {
    /// Reads nothing more from the client, whose request has been refused half way.
    pub(crate) fn stop_reading(&self) {
        self.0.end(Refusal {
            kind: Kind::ContentTooLarge,
            detail: "the body is too long",
        });
    }

    /// The connection has left HTTP: there is no whole exchange whose time could be limited.
    pub(crate) fn leave_http(&self) {
        self.0.begun_at.set(None);
    }

    /// Why what the client sent after the head was refused, if it was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.0.refusal.get()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.serving.set(false);
        self.0.moved();
        if self.0.is_ending() {
            self.0.wake();
        }
    }
}
