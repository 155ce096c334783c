//! Listening: the backlog of half-open and not yet accepted connections, and the socket over it.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;
use parking_lot::Mutex;

use super::flow::{End, Flow};
use super::stream::TcpStream;
use crate::Stack;
use crate::host::{Host, StackHandle};
use crate::{ToEndpoint, endpoint};
use uis_clock::unwind::{Panics, in_drop};
use uis_vnic::wakers::{WakerSet, Wakeup, wait};

/// The connections that have come to a listener and were not accepted yet.
#[derive(Debug)]
pub(crate) struct Backlog {
    pub(crate) local: SocketAddr,
    only_v6: bool,
    capacity: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// By number, so that closing the listener resets them in a fixed order.
    half_open: BTreeMap<u64, Weak<Flow>>,
    ready: VecDeque<Arc<Flow>>,
    acceptors: WakerSet,
    closed: bool,
}

impl Backlog {
    /// A backlog of at most `capacity` connections.
    pub(crate) fn new(local: SocketAddr, only_v6: bool, capacity: usize) -> Arc<Self> {
        Arc::new(Self { local, only_v6, capacity, queue: Mutex::default() })
    }

    /// Whether it stands for both families.
    pub(crate) fn is_dual_stack(&self) -> bool {
        self.local.is_ipv6() && self.local.ip().is_unspecified() && !self.only_v6
    }

    /// Counts a half-open flow, if there is room.
    pub(crate) fn admit(&self, flow: &Arc<Flow>) -> bool {
        let mut queue = self.queue.lock();
        let room = !queue.closed && queue.half_open.len() + queue.ready.len() < self.capacity;
        if room {
            queue.half_open.insert(flow.id, Arc::downgrade(flow));
        }
        room
    }

    /// Whether a SYN that comes now would be dropped.
    pub(crate) fn is_full(&self) -> bool {
        let queue = self.queue.lock();
        queue.closed || queue.half_open.len() + queue.ready.len() >= self.capacity
    }

    /// The handshake of an admitted flow is complete. `false` if the listener is closed.
    pub(crate) fn push(&self, flow: &Arc<Flow>, wake: &mut Wakeup) -> bool {
        let mut queue = self.queue.lock();
        let open = !queue.closed;
        if queue.half_open.remove(&flow.id).is_some() && open {
            queue.ready.push_back(flow.clone());
            queue.acceptors.drain_into(wake);
        }
        open
    }

    /// A flow ended before its handshake was complete.
    pub(crate) fn forget(&self, flow: &Flow) {
        self.queue.lock().half_open.remove(&flow.id);
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arc<Flow>>> {
        wait(cx.waker(), |waiting| {
            let mut queue = self.queue.lock();
            if let Some(flow) = queue.ready.pop_front() {
                return Poll::Ready(Ok(flow));
            }
            if queue.closed {
                return Poll::Ready(Err(closed()));
            }
            queue.acceptors.insert(waiting);
            Poll::Pending
        })
    }

    /// Takes it out of the table, wakes who waits, and resets what was not accepted.
    pub(crate) fn close(self: &Arc<Self>, host: &Host) {
        host.tcp.unlisten(self);
        let mut wake = Wakeup::default();
        let flows: Vec<Arc<Flow>> = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            queue.acceptors.drain_into(&mut wake);
            let half_open =
                std::mem::take(&mut queue.half_open).into_values().filter_map(|flow| flow.upgrade());
            let flows = half_open.collect::<Vec<_>>();
            flows.into_iter().chain(queue.ready.drain(..)).collect()
        };
        let mut panics = Panics::default();
        for flow in flows {
            panics.catch(|| flow.abort(host, End::ABORTED));
        }
        drop(wake);
        panics.resume();
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the listener is closed")
}

/// A socket that accepts TCP connections.
///
/// Cloning gives another handle to the same listener; several tasks may accept at once. When the last handle is
/// dropped, the listener closes.
///
/// ```
/// # futures_lite::future::block_on(async {
/// # use uis_stack::{Stack, TcpListener, TcpStream};
/// # let (a, _b) = uis_vnic::Vnic::pair(1500, uis_clock::SystemClock::new())?;
/// # let stack = Stack::new(a, ["10.0.0.1".parse().unwrap()])?;
/// let listener = TcpListener::bind(&stack, "10.0.0.1:80")?;
/// let dialled = TcpStream::connect(&stack, "10.0.0.1:80").await?;
/// let (accepted, peer) = listener.accept().await?;
/// assert_eq!(peer, dialled.local_addr()?);
/// # drop(accepted);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TcpListener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backlog: Arc<Backlog>,
    stack: Arc<StackHandle>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        in_drop(|| self.backlog.close(self.stack.host()));
    }
}

impl TcpListener {
    /// Listens at `at`, as [`Stack::listen_tcp`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::listen_tcp`].
    pub fn bind(stack: &Stack, at: impl ToEndpoint) -> io::Result<Self> {
        stack.listen_tcp(at)
    }

    pub(crate) fn new(backlog: Arc<Backlog>, stack: Arc<StackHandle>) -> Self {
        Self { shared: Arc::new(Shared { backlog, stack }) }
    }

    /// Waits for the next connection, and gives it and its peer's address. Connections come in the order in which
    /// their handshakes were completed. A listener at `[::]` shows IPv4 peers as v4-mapped addresses, as Linux does.
    ///
    /// Cancel safe: a connection that is not returned stays in the backlog.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the listener is closed, `NetworkDown` once its stack is.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Polls for the next connection. Every distinct waker is kept until the next wake.
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let host = self.shared.stack.host();
        if host.is_closed() {
            return Poll::Ready(Err(host.closed_error()));
        }
        self.shared.backlog.poll_next(cx).map_ok(|flow| {
            let mapped = self.shared.backlog.is_dual_stack();
            let stream = TcpStream::new(flow, self.shared.stack.clone(), mapped);
            let peer = endpoint::shown(stream.flow().remote, mapped);
            (stream, peer)
        })
    }

    /// The connections as a stream, which never ends but with the error that says that the listener is closed.
    pub fn incoming(&self) -> Incoming {
        Incoming { listener: self.clone(), failed: false }
    }

    /// The address that it listens at. Its port is never 0.
    ///
    /// # Errors
    ///
    /// None at present; it is a `Result` as elsewhere.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.shared.backlog.local)
    }

    /// Closes the listener for all of its handles: those who wait in [`accept`](Self::accept) get an error, connections
    /// not yet accepted are reset, and its address is free. Accepted connections are not touched.
    pub fn close(&self) {
        self.shared.backlog.close(self.shared.stack.host());
    }
}

/// The connections that come to a [`TcpListener`], see [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming {
    listener: TcpListener,
    failed: bool,
}

impl Stream for Incoming {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        self.listener.poll_accept(cx).map(|accepted| {
            self.failed = accepted.is_err();
            Some(accepted.map(|(stream, _)| stream))
        })
    }
}
