//! Clients' connections under watch: stalled ones are cut.
//!
//! For [`crate::http1`], which reports what happens on a connection. Each connection notes when it last moved (a number
//! written, no timer armed), and once per [`TICK`] each worker looks over its connections. A cut connection fails its next
//! read or write, which drops the exchange and with it the upstream's request; one whose head takes too long is told so.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::clock::{Clock, TICK};
use crate::config::Settings;
use crate::limits::Seat;
use crate::origin::{Origin, Scheme};
use crate::problem::Kind;
use crate::strict::Refusal;

/// How long a client that has been refused may take to read why.
const LINGERING: Duration = Duration::from_secs(2);

/// All connections of a worker.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    max_head: Cell<usize>,
    is_stopping: Cell<bool>,
    connections: RefCell<Vec<Weak<Connection>>>,
}

/// What is known of one connection.
#[derive(Debug)]
pub struct Connection {
    clock: Clock,
    /// A request is being served.
    serving: Cell<bool>,
    /// Whether the client is listened to while it waits.
    listens: Cell<bool>,
    /// Something of the answer to the last request has been written.
    spoken: Cell<bool>,
    /// When the request that is being served was handed over, if its time is limited.
    begun_at: Cell<Option<u64>>,
    /// The client has been told by an answer that it is refused.
    told: Cell<bool>,
    /// To be closed once it is between two requests.
    leaving: Cell<bool>,
    /// The head took too long.
    slow: Cell<bool>,
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
            is_stopping: Cell::new(false),
            connections: RefCell::default(),
        }
    }

    /// Takes a new connection under watch, and tells how long a head on it may be, in bytes.
    pub fn over(&self, is_secure: bool, seat: Option<Seat>) -> (Rc<Connection>, usize) {
        let connection = Rc::new(Connection {
            clock: self.clock.clone(),
            serving: Cell::new(false),
            listens: Cell::new(true),
            spoken: Cell::new(false),
            begun_at: Cell::new(None),
            told: Cell::new(false),
            leaving: Cell::new(self.is_stopping.get()),
            slow: Cell::new(false),
            refusal: Cell::new(None),
            lingering_since: Cell::new(None),
            head_since: Cell::new(None),
            last_moved: Cell::new(self.clock.now()),
            cut: Cell::new(false),
            waker: RefCell::default(),
            scheme: match is_secure {
                true => Scheme::Https,
                false => Scheme::Http,
            },
            origin: RefCell::default(),
            _seat: seat,
        });
        self.connections.borrow_mut().push(Rc::downgrade(&connection));
        (connection, self.max_head.get())
    }

    /// Lets go of connections that are idle, from now on.
    pub fn stop(&self) {
        self.is_stopping.set(true);
        for connection in self.connections.borrow().iter().filter_map(Weak::upgrade) {
            connection.leaving.set(true);
            connection.wake();
        }
    }

    /// Forgets closed connections, cuts stalled ones, and has those listened to that wait.
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
            if is_stuck || has_lingered || is_endless || connection.rests_for(settings.keep_alive) {
                connection.cut();
            } else if is_slow && !connection.slow.replace(true)
                || connection.serving.get() && !connection.listens.replace(true)
            {
                connection.wake();
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
        self.spoken.set(false);
        self.begun_at.set(Some(self.clock.now()));
        self.head_since.set(None);
        self.last_moved.set(self.clock.now());
        Turn(Rc::clone(self))
    }

    /// How the client has reached us.
    pub fn scheme(&self) -> Scheme {
        self.scheme
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

    /// From now on nothing more is read; what was let through before is served first.
    pub(crate) fn end(&self, refusal: Refusal) {
        self.refusal.set(Some(refusal));
    }

    /// Whether nothing more is read.
    pub(crate) fn is_ending(&self) -> bool {
        self.refusal.get().is_some()
    }

    /// Why nothing more is read, if that is so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get()
    }

    /// Whether the connection ends with the answer, which tells the client that it is refused or that the router stops.
    pub(crate) fn is_parting(&self) -> bool {
        self.told.get() || self.leaving.get()
    }

    /// Whether it is to be closed once it is between two requests.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Whether a client that waits is listened to by now.
    pub(crate) fn listens(&self) -> bool {
        self.listens.get()
    }

    /// Whether the head that it sends has taken too long.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.get()
    }

    /// Between two requests: whether a part of the next has arrived.
    pub(crate) fn waits_for_head(&self, has_begun: bool) {
        let since = self.head_since.get().unwrap_or(self.clock.now());
        self.head_since.set(has_begun.then_some(since));
    }

    /// The client has been told that it is refused, and has a moment to read that.
    pub(crate) fn linger(&self) {
        if self.lingering_since.get().is_none() {
            self.lingering_since.set(Some(self.clock.now()));
        }
    }

    /// Notes that something was written of an answer.
    pub(crate) fn wrote(&self) {
        self.moved();
        self.spoken.set(true);
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
    /// Has the client listened to from the next look over all connections on, and not before: most answers are there by then, and to ask
    /// the runtime to tell of each client's end costs more than to read for one that has gone.
    pub(crate) fn listen_later(&self) {
        self.0.listens.set(false);
    }

    /// Reads nothing more from the client, whose request has been refused half way.
    pub(crate) fn stop_reading(&self) {
        self.0.told.set(true);
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
        self.0.listens.set(true);
        self.0.moved();
        if self.0.is_ending() {
            self.0.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::config::Config;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_client_is_listened_to_at_once_or_from_the_next_look_on() {
        let text = b"[router]\nlisten = \"127.0.0.1:0\"\n[upstreams]\nmonolith = \"http://127.0.0.1:1\"\n";
        let settings = Config::parse("f", text).unwrap().router;
        let woken = Arc::new(Woken::default());
        let watch = Watch::new(Clock::new(), &settings);
        let (connection, _) = watch.over(false, None);
        let waker = Waker::from(Arc::clone(&woken));
        let turn = connection.begin();
        connection.park(&Context::from_waker(&waker));
        watch.look_over(&settings);
        assert!(connection.listens(), "nobody has asked for later");
        turn.listen_later();
        assert!(!connection.listens());
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        watch.look_over(&settings);
        assert!(connection.listens());
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "who sleeps does not listen");
        // What one exchange put off is not put off for the next.
        turn.listen_later();
        drop(turn);
        assert!(connection.listens());
    }
}
