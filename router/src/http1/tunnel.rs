//! A client's connection after it has left HTTP, still under watch.
//!
//! For [`crate::upgrade`].

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::carrier::Carrier;
use crate::watch::Connection;

/// Bytes that pass both ways.
#[derive(Debug)]
pub struct Tunnel {
    /// What carries them.
    pub carrier: Carrier,
    /// Where is noted that they move.
    pub connection: Rc<Connection>,
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.check()?;
        self.connection.park(context);
        let polled = Pin::new(&mut self.carrier).poll_read(context, buffer);
        if polled.is_ready() {
            self.connection.heard();
        }
        polled
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.check()?;
        let polled = Pin::new(&mut self.carrier).poll_write(context, bytes);
        if polled.is_ready() {
            self.connection.wrote();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_shutdown(context)
    }
}
