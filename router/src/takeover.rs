//! Hands the listening sockets to a successor, so that a restart refuses nobody and loses nobody in the accept queue.
//!
//! For `banyan serve --takeover`. Each running router listens on a Unix socket (`handover_socket`, by default beside the
//! config file). The protocol, one step after the other:
//!
//! 1. The successor has read its config and certificate, so that it can start, and connects. Who is not the same user is
//!    sent away.
//! 2. The predecessor sends one byte per socket, and the sockets themselves with it (`SCM_RIGHTS`): clients, operators, and
//!    clients with TLS if there is that port.
//! 3. The successor serves them. Both accept now.
//! 4. The successor says `ready`. Only then does the predecessor stop accepting, and it leaves once its exchanges have ended.
//!
//! If the successor goes away before it has said so, the predecessor goes on as if nothing had happened. Both hold the same
//! sockets, not two on one port (`SO_REUSEPORT`), since the kernel would give each of two a queue of its own, and drop the
//! predecessor's with all that waits in it.

use std::fs::Permissions;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::sync::oneshot;

/// How long a successor may take to start once it has the sockets.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clients, operators, clients with TLS.
const MOST_SOCKETS: usize = 3;
const READY: &[u8; 5] = b"ready";

/// The listening sockets.
#[derive(Debug)]
pub struct Ports {
    /// The clients'.
    pub router: TcpListener,
    /// The operators'.
    pub admin: TcpListener,
    /// The clients' with TLS.
    pub tls: Option<TcpListener>,
}

/// The wait for a successor. Dropping it ends it, and with it this process's second hold on the sockets.
#[derive(Debug)]
pub struct Offer {
    ports: Arc<Mutex<Option<Ports>>>,
    path: PathBuf,
    inode: u64,
    taken: oneshot::Receiver<()>,
}

/// A predecessor that waits to hear that we serve.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Ports {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            router: self.router.try_clone()?,
            admin: self.admin.try_clone()?,
            tls: self.tls.as_ref().map(TcpListener::try_clone).transpose()?,
        })
    }

    fn handles(&self) -> Vec<BorrowedFd<'_>> {
        let sure = [self.router.as_fd(), self.admin.as_fd()];
        sure.into_iter()
            .chain(self.tls.as_ref().map(AsFd::as_fd))
            .collect()
    }

    fn from_handles(handles: Vec<OwnedFd>) -> Option<Self> {
        let mut listeners = handles.into_iter().map(TcpListener::from);
        Some(Self {
            router: listeners.next()?,
            admin: listeners.next()?,
            tls: listeners.next(),
        })
    }
}

/// Where the router with this config file is asked for its sockets.
pub fn path(configured: Option<&Path>, config: &Path) -> PathBuf {
    configured.map_or_else(|| config.with_extension("sock"), Path::to_owned)
}

impl Offer {
    /// Begins to wait at a path, where the last one to begin is the one that is found.
    pub fn begin(ports: &Ports, path: &Path) -> io::Result<Self> {
        let beside = path.with_extension(format!("sock.{}", std::process::id()));
        // Left behind by a process of the same number.
        let _absent = std::fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
        let inode = std::fs::metadata(&beside)?.ino();
        std::fs::rename(&beside, path)?;
        let ports = Arc::new(Mutex::new(Some(ports.try_clone()?)));
        let (tell, taken) = oneshot::channel();
        let offered = Arc::clone(&ports);
        std::thread::Builder::new()
            .name("handover".to_owned())
            .spawn(move || wait(&listener, &offered, tell))?;
        Ok(Self {
            ports,
            path: path.to_owned(),
            inode,
            taken,
        })
    }

    /// Waits until a successor serves. Never, if this process can no longer be asked.
    pub async fn taken(&mut self) {
        if (&mut self.taken).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        *self.ports.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // A successor has put its own socket in this place.
        if std::fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

fn wait(listener: &UnixListener, ports: &Mutex<Option<Ports>>, tell: oneshot::Sender<()>) {
    for stream in listener.incoming() {
        match stream.and_then(|stream| hand_over(&stream, ports)) {
            Ok(()) => {
                // Whoever waited for it may be about to stop anyway.
                let _stopping = tell.send(());
                return;
            }
            Err(error) => tracing::warn!(%error, "a takeover came to nothing; this router goes on"),
        }
    }
}

/// Gives the sockets away and waits until they are served.
fn hand_over(mut stream: &UnixStream, ports: &Mutex<Option<Ports>>) -> io::Result<()> {
    let peer = socket_peercred(stream)?;
    if peer.uid != rustix::process::geteuid() {
        return Err(io::Error::other(format!(
            "user {} is not this router's",
            peer.uid.as_raw()
        )));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    {
        let ports = ports.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = ports
            .as_ref()
            .ok_or_else(|| io::Error::other("this router is stopping"))?;
        let handles = ports.handles();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&handles));
        sendmsg(stream, &[IoSlice::new(b"+")], &mut ancillary, SendFlags::empty())?;
    }
    tracing::info!(
        successor = peer.pid.as_raw_nonzero().get(),
        "sockets handed over; waiting for it to serve"
    );
    let mut said = [0; READY.len()];
    stream.read_exact(&mut said)?;
    if said != *READY {
        return Err(io::Error::other("the successor does not speak this protocol"));
    }
    Ok(())
}

/// Asks for the sockets. `None` if nobody is there to be asked.
pub fn take_over(path: &Path) -> io::Result<Option<(Ports, Predecessor)>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        &stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let messages = ancillary.drain();
    let handles = messages.filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(handles) => Some(handles),
        _ => None,
    });
    let ports = Ports::from_handles(handles.flatten().collect());
    let ports =
        ports.ok_or_else(|| io::Error::other("the router there is stopping, or refuses: see its log"))?;
    Ok(Some((ports, Predecessor(stream))))
}

impl Predecessor {
    /// Lets it go.
    pub fn dismiss(mut self) -> io::Result<()> {
        self.0.write_all(READY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        Ports {
            router: listen(),
            admin: listen(),
            tls: None,
        }
    }

    #[tokio::test]
    async fn a_successor_that_leaves_changes_nothing_and_one_that_serves_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("banyan.sock");
        assert!(take_over(&path).unwrap().is_none());
        let ports = ports();
        let mut offer = Offer::begin(&ports, &path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(take_over(&path).unwrap().unwrap());
        let (taken, predecessor) = take_over(&path).unwrap().unwrap();
        assert_eq!(
            taken.router.local_addr().unwrap(),
            ports.router.local_addr().unwrap()
        );
        assert_eq!(
            taken.admin.local_addr().unwrap(),
            ports.admin.local_addr().unwrap()
        );
        let early = tokio::time::timeout(Duration::from_millis(50), offer.taken()).await;
        assert!(early.is_err(), "it has not served yet");
        predecessor.dismiss().unwrap();
        tokio::time::timeout(Duration::from_secs(10), offer.taken())
            .await
            .unwrap();
    }

    #[test]
    fn the_place_is_the_successors_once_it_has_taken_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("banyan.sock");
        let first = Offer::begin(&ports(), &path).unwrap();
        let second = Offer::begin(&ports(), &path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
