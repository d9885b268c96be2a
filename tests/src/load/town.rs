//! A thousand routes, who should serve each of them, and what its clients have seen.
//!
//! For [`super::switches`]. Whoever switches a route says so before and after, and each client looks before and after its
//! request; so an answer is held to one side exactly if the route stood still meanwhile.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::stub;
use super::wire::Wire;

/// Bytes of an answer's body.
pub(super) const SIZE: usize = 1024;
/// The two modules: the first one's routes are switched by command, the second one's by edits of the file.
pub(super) const MODULES: [&str; 2] = ["north", "south"];
/// The name that the stubs say, and the modes that their routes are in.
pub(super) const SIDES: [&str; 2] = ["monolith", "service"];
/// A switch is under way.
const MOVING: u64 = 2;
/// Failures that are kept word by word; the others are counted.
const KEPT: usize = 20;

/// What the clients and the switches share.
#[derive(Debug)]
pub(super) struct Town {
    /// Per route: the side, or that it is moving, in the low two bits; above them, how often that has changed.
    marks: Vec<AtomicU64>,
    requests: AtomicU64,
    failed: AtomicU64,
    longest_micros: AtomicU64,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Town {
    pub(super) fn new(routes: usize) -> Self {
        Self {
            marks: (0..routes).map(|_| AtomicU64::new(0)).collect(),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            longest_micros: AtomicU64::new(0),
            failures: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// The config file with every route at the monolith.
    pub(super) fn file(&self, workers: usize, monolith: SocketAddr, service: SocketAddr) -> String {
        let mut text = format!(
            "# Switched while it is under load.\n[router]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
             workers = {workers}\n[upstreams]\nmonolith = \"http://{monolith}\"\nservice = \"http://{service}\"\n"
        );
        for module in MODULES {
            text.push_str(&format!("[modules.{module}]\nservice = \"service\"\n"));
            for route in (0..self.marks.len()).filter(|route| MODULES[route % 2] == module) {
                let (name, path) = (name(route), path(route, "{id}"));
                let rule = format!("name = \"{name}\"\nmatch = \"GET {path}\"\nmode = \"monolith\"");
                text.push_str(&format!("[[modules.{module}.routes]]\n{rule}\n"));
            }
        }
        text
    }

    /// From now on either side may serve the route.
    pub(super) fn begin(&self, route: usize) {
        let mark = self.marks[route].load(Ordering::SeqCst);
        self.marks[route].store((mark | 3) + 1 + MOVING, Ordering::SeqCst);
    }

    /// From now on this side must.
    pub(super) fn settle(&self, route: usize, side: usize) {
        let mark = self.marks[route].load(Ordering::SeqCst);
        self.marks[route].store((mark | 3) + 1 + side as u64, Ordering::SeqCst);
    }

    /// The side that a route which stands still is on.
    pub(super) fn side(&self, route: usize) -> usize {
        (self.marks[route].load(Ordering::SeqCst) & 3) as usize
    }

    /// One request, counted, and its answer held to what it must be.
    pub(super) fn visit(&self, wire: &mut Wire, route: usize, id: &str) {
        let path = path(route, id);
        let before = self.marks[route].load(Ordering::SeqCst);
        let began = Instant::now();
        let answer = wire.get(&path);
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let after = self.marks[route].load(Ordering::SeqCst);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.longest_micros.fetch_max(micros, Ordering::Relaxed);
        match answer {
            Ok(answer) if answer.status == 200 => {
                let is = |side: usize| answer.body == stub::body(SIDES[side], &path, SIZE).as_bytes();
                let served = if is(0) { 0 } else { 1 };
                let stood_still = before == after && before & 3 != MOVING;
                if !is(served) {
                    self.fail(format!("GET {path}: a body of nobody's"));
                } else if stood_still && before & 3 != served as u64 {
                    self.fail(format!(
                        "GET {path}: answered by the {}, long after it left",
                        SIDES[served]
                    ));
                }
            }
            Ok(answer) => self.fail(format!("GET {path}: status {}", answer.status)),
            Err(error) => self.fail(format!("GET {path}: {error}")),
        }
    }

    /// Visits routes at random until it is over. `pause` lies between two requests.
    pub(super) fn live(&self, address: SocketAddr, pause: Duration) {
        let mut wire = Wire::new(address);
        while !self.is_over.load(Ordering::Relaxed) {
            self.visit(&mut wire, rand::random_range(0..self.marks.len()), "7");
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }

    /// Notes that something is not as it must be.
    pub(super) fn fail(&self, what: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < KEPT {
            failures.push(what);
        }
    }

    /// Lets the clients end after their present requests.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The first failures, word by word.
    pub(super) fn failures(&self) -> Vec<String> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_micros.load(Ordering::Relaxed))
    }
}

/// A route's name.
pub(super) fn name(route: usize) -> String {
    format!("{}-{route}", MODULES[route % 2])
}

/// A path that a route takes.
pub(super) fn path(route: usize, id: &str) -> String {
    format!("/api/{}/{route}/{id}", MODULES[route % 2])
}

/// The file with a route in the other mode, or nothing if the route is not there.
pub(super) fn flipped(text: &str, route: usize, side: usize) -> Option<String> {
    let at = text.find(&format!("name = \"{}\"", name(route)))?;
    let (before, rest) = text.split_at(at);
    let (from, to) = (SIDES[1 - side], SIDES[side]);
    let mode = rest.find(&format!("mode = \"{from}\""))?;
    let changed = rest[mode..].replacen(from, to, 1);
    Some(format!("{before}{}{changed}", &rest[..mode]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::stub::Manner;

    #[test]
    fn an_answer_of_the_wrong_side_is_a_failure_unless_the_route_moves() {
        let town = Town::new(2);
        let monolith = stub::start("monolith", SIZE, Manner::Fine).unwrap();
        let mut wire = Wire::new(monolith);
        town.visit(&mut wire, 1, "7");
        assert_eq!((town.requests(), town.failed()), (1, 0));
        town.begin(1);
        town.visit(&mut wire, 1, "7");
        assert_eq!(town.failed(), 0);
        town.settle(1, 1);
        town.visit(&mut wire, 1, "7");
        assert_eq!((town.side(1), town.failed()), (1, 1), "{:?}", town.failures());
        town.begin(1);
        town.settle(1, 0);
        town.visit(&mut wire, 1, "7");
        assert_eq!((town.side(1), town.failed()), (0, 1));
    }

    #[test]
    fn a_body_of_another_path_or_no_answer_is_a_failure() {
        let town = Town::new(2);
        let stranger = stub::start("stranger", SIZE, Manner::Fine).unwrap();
        town.visit(&mut Wire::new(stranger), 0, "7");
        let nobody = stub::start("monolith", SIZE, Manner::Reset).unwrap();
        town.visit(&mut Wire::new(nobody), 0, "7");
        assert_eq!((town.requests(), town.failed()), (2, 2));
    }

    #[test]
    fn one_route_is_flipped_and_no_other() {
        let town = Town::new(4);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let text = town.file(1, address, address);
        let changed = flipped(&text, 3, 1).unwrap();
        assert_eq!(changed.matches("mode = \"service\"").count(), 1);
        assert_eq!(flipped(&changed, 3, 0).unwrap(), text);
    }
}
