//! A router on a thread of its own.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use futures_lite::future::block_on;
use parking_lot::Mutex;
use uis_vnic::Frame;

use crate::Internet;

impl Internet {
    /// Runs [`route`](Self::route) on a thread of its own, until the guard is dropped or the internet is closed.
    ///
    /// For tests that are not async, or that should not care. The thread does not keep the internet open.
    ///
    /// With tokio's paused time route in a task instead, and see [`Internet::new`]: tokio moves its time whenever its
    /// tasks wait, and does not know that a thread is still moving packets. The same holds for a `VirtualClock`.
    ///
    /// # Panics
    ///
    /// If the system cannot start a thread. A panic in `each` ends the thread, and [`RouterGuard::stop`] reports it.
    ///
    /// ```
    /// use uis_internet::Internet;
    /// # use uis_vnic::{MTU_ETHERNET, VnicPort};
    ///
    /// let internet = Internet::new();
    /// let router = internet.spawn_router(Internet::deliver);
    /// # let a = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
    /// # let b = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
    /// # internet.add_route(b.vnic(), ["::1".parse().unwrap()])?;
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// # packet[39] = 1;
    /// a.send(packet)?;
    /// assert!(futures_lite::future::block_on(b.recv()).is_some());
    /// router.stop().expect("no panic");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spawn_router<R>(&self, each: impl FnMut(&Internet, Frame) -> R + Send + 'static) -> RouterGuard {
        let internet = Self::handle(self.inner.clone(), false);
        let stop = Arc::new(Stop::default());
        let told = stop.clone();
        let run = move || {
            let mut route = pin!(internet.route(each));
            block_on(poll_fn(|cx| {
                if told.poll(cx).is_ready() { Poll::Ready(()) } else { route.as_mut().poll(cx) }
            }));
        };
        let thread =
            thread::Builder::new().name("uis-router".into()).spawn(run).expect("a thread can be started");
        RouterGuard { stop, thread: Some(thread) }
    }
}

/// Keeps the thread of [`Internet::spawn_router`] running: dropping it stops the thread and waits for its end.
///
/// The packet in hand is still handled; what is queued stays queued. If the guard is dropped on the router's thread
/// itself, from inside the closure, the thread is told to stop and not waited for.
#[must_use = "dropping the guard stops the router: `let _ = …` stops it at once, `let _router = …` at the end of the scope"]
pub struct RouterGuard {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl RouterGuard {
    /// Stops the router, waits for its end, and says how it ended.
    ///
    /// # Errors
    ///
    /// The panic of the closure, if that is how it ended.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// let internet = Internet::new();
    /// internet.spawn_router(Internet::deliver).stop().expect("no panic");
    /// ```
    pub fn stop(mut self) -> thread::Result<()> {
        self.end()
    }

    fn end(&mut self) -> thread::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.stop.request();
        if thread.thread().id() == thread::current().id() {
            return Ok(());
        }
        thread.join()
    }
}

/// A panic of the closure is not passed on here: whoever wants to know calls [`RouterGuard::stop`].
impl Drop for RouterGuard {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl fmt::Debug for RouterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        f.debug_struct("RouterGuard").field("running", &running).finish()
    }
}

#[derive(Default)]
struct Stop {
    requested: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Stop {
    fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        let waker = self.waiting.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        // Only one thread waits here, with one waker. It is put there before looking, so that no request is missed.
        let absent = self.waiting.lock().is_none();
        if absent {
            let waker = cx.waker().clone(); // not under the lock
            *self.waiting.lock() = Some(waker);
        }
        if self.requested.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}
