//! Moving packets: the loop behind `route`, `route_until` and `spawn_router`.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use uis_clock::{Instant, Sleep};
use uis_vnic::Frame;

use crate::Internet;
use crate::in_flight::Wait;

/// How many frames are handled before other tasks of the thread get their turn. Larger bursts fall out of the cache.
const BATCH: usize = 64;
/// How often in a row nothing may be under way before `route_until` returns.
const QUIET_ROUNDS: u32 = 8;
/// How long `route_until` goes on at most when its future is ready.
const LINGER: Duration = Duration::from_secs(2);

impl Internet {
    /// Hands every packet in flight to `each`, in the order in which they were sent, until the internet is closed and
    /// the queue is empty.
    ///
    /// What `each` returns is dropped, so that [`deliver`](Self::deliver) fits: `internet.route(Internet::deliver)`. It may
    /// take its time, but it stands in the way of all other packets meanwhile.
    ///
    /// After each 64 packets other tasks of the same thread get their turn. Cancel-safe: packets that `each` has not
    /// been given are still queued, in their place, when the future is dropped, also after a panic in `each`. Several
    /// routers share the work, but then packets may overtake each other.
    ///
    /// # Panics
    ///
    /// When `each` does. The packet that it had is lost; the internet stays usable.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// # use uis_vnic::MTU_ETHERNET;
    /// # futures_lite::future::block_on(async {
    /// # let internet = Internet::new();
    /// # let vnic = internet.new_vnic(MTU_ETHERNET)?;
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// # vnic.write(packet.clone())?;
    /// # vnic.write(packet)?;
    /// # internet.close();
    /// let mut bytes = 0;
    /// internet.route(|internet, frame| {
    ///     bytes += frame.len();
    ///     internet.deliver(frame)
    /// }).await;
    /// assert_eq!(bytes, 80);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn route<R>(&self, each: impl FnMut(&Internet, Frame) -> R) {
        let mut router = Router::new(self, each);
        poll_fn(|cx| {
            let mut left = BATCH;
            while left > 0 {
                match router.poll_turn(cx, left) {
                    Poll::Ready(0) => return Poll::Ready(()),
                    Poll::Ready(n) => left -= n,
                    Poll::Pending => return Poll::Pending,
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Hands every packet in flight to `each`, as [`route`](Self::route) does, while `until` runs; then returns what that
    /// returned.
    ///
    /// Everything happens in this one future, so the whole scenario can run under any executor, without a thread or a
    /// spawned task.
    ///
    /// When `until` is ready it goes on, so that the last packets of what has just ended are seen by `each` as well,
    /// until nothing was in flight or in the delay line for 8 rounds, yielding to other tasks between them, but for no more
    /// than [`max_in_flight`](Self::max_in_flight) packets and 2 s of the clock. If the internet is closed meanwhile, it goes
    /// on running `until`.
    ///
    /// Dropping it loses no packet that is queued.
    ///
    /// # Panics
    ///
    /// When `each` or `until` does.
    ///
    /// ```
    /// # use uis_internet::Internet;
    /// # use uis_vnic::{MTU_ETHERNET, VnicPort};
    /// # futures_lite::future::block_on(async {
    /// # let internet = Internet::new();
    /// # let a = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
    /// # let b = VnicPort::new(internet.new_vnic(MTU_ETHERNET)?, 16)?;
    /// # internet.add_route(b.vnic(), ["::1".parse().unwrap()])?;
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// # packet[39] = 1;
    /// let test = async {
    ///     a.send(packet)?;
    ///     Ok::<_, std::io::Error>(b.recv().await.expect("open"))
    /// };
    /// let frame = internet.route_until(test, Internet::deliver).await?;
    /// assert_eq!(frame.sent_by(), Some(a.vnic().id()));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn route_until<F: Future, R>(
        &self,
        until: F,
        each: impl FnMut(&Internet, Frame) -> R,
    ) -> F::Output {
        let mut router = Router::new(self, each);
        let output = {
            // In a block of its own: it is dropped when it is ready, so that what it holds closes while packets move.
            let mut until = pin!(until);
            let signal = Signal::new();
            let waker = Waker::from(signal.0.clone());
            poll_fn(|cx| {
                signal.enter(cx.waker());
                let mut left = BATCH;
                loop {
                    if signal.take()
                        && let Poll::Ready(output) = until.as_mut().poll(&mut Context::from_waker(&waker))
                    {
                        return Poll::Ready(output);
                    }
                    let n = match router.poll_turn(cx, left) {
                        Poll::Ready(n) => n,
                        Poll::Pending => 0,
                    };
                    left -= n;
                    if n == 0 {
                        // Nothing is in flight, or the others should have their turn.
                        if signal.leave() || left == 0 {
                            cx.waker().wake_by_ref();
                        }
                        return Poll::Pending;
                    }
                }
            })
            .await
        };
        let mut drain = Drain::new(self);
        poll_fn(|cx| drain.poll(&mut router, cx)).await;
        output
    }
}

/// Takes frames in batches, and hands them to a closure one by one. Those that it has taken and not handled yet go back
/// to the front of the queue when it is dropped.
struct Router<'a, E> {
    internet: &'a Internet,
    wait: Wait<'a>,
    each: E,
    batch: VecDeque<Frame>,
    /// How many of `batch` were sent, for those who count.
    taken: Arc<AtomicU64>,
}

impl<'a, E, R> Router<'a, E>
where
    E: FnMut(&Internet, Frame) -> R,
{
    fn new(internet: &'a Internet, each: E) -> Self {
        let queue = &internet.inner.queue;
        Self { internet, wait: Wait::new(queue), each, batch: VecDeque::new(), taken: queue.add_router() }
    }

    /// Handles up to `max` frames and says how many; 0 if there never will be any. If there are none now it waits for
    /// them, except that with a `max` of 0 it does nothing.
    fn poll_turn(&mut self, cx: &Context<'_>, max: usize) -> Poll<usize> {
        if max == 0 {
            return Poll::Pending;
        }
        let queue = self.wait.queue;
        let (batch, taken) = (&mut self.batch, &self.taken);
        let polled = queue.poll_take(&mut self.wait.key, Some(cx), max, |frames, n, sent| {
            if n == frames.len() {
                std::mem::swap(frames, batch); // which is empty
            } else {
                batch.extend(frames.drain(..n));
            }
            taken.store(sent, Ordering::Relaxed);
        });
        while let Some(frame) = self.batch.pop_front() {
            if frame.sent_by().is_some() {
                // Nobody else writes it.
                self.taken.store(self.taken.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
            }
            (self.each)(self.internet, frame);
        }
        polled
    }
}

impl<E> Drop for Router<'_, E> {
    fn drop(&mut self) {
        self.wait.queue.remove_router(&self.taken);
        if !self.batch.is_empty() {
            self.wait.queue.put_back(self.batch.drain(..)); // last, since a waker may panic
        }
    }
}

/// What is left to do when the future of `route_until` is ready.
struct Drain<'a> {
    internet: &'a Internet,
    left: usize,
    quiet: u32,
    deadline: Instant,
    sleep: Option<Sleep>,
}

impl<'a> Drain<'a> {
    fn new(internet: &'a Internet) -> Self {
        let deadline = internet.inner.clock.now() + LINGER;
        Self { internet, left: internet.max_in_flight(), quiet: 0, deadline, sleep: None }
    }

    fn poll<E, R>(&mut self, router: &mut Router<'_, E>, cx: &mut Context<'_>) -> Poll<()>
    where
        E: FnMut(&Internet, Frame) -> R,
    {
        let n = match router.poll_turn(cx, BATCH.min(self.left)) {
            Poll::Ready(n) => n,
            Poll::Pending => 0,
        };
        self.left -= n;
        if n > 0 {
            self.quiet = 0;
        } else if self.internet.inner.line.is_empty() {
            self.quiet += 1;
        } else {
            // Going round would keep a virtual clock from moving. The delay line wakes receivers when it runs empty.
            self.quiet = 0;
            let clock = &self.internet.inner.clock;
            let sleep = self.sleep.get_or_insert_with(|| clock.sleep_until(self.deadline));
            return Pin::new(sleep).poll(cx);
        }
        if self.quiet == QUIET_ROUNDS || self.left == 0 || self.internet.inner.clock.now() >= self.deadline {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Somebody has woken the future inside.
const WOKEN: u8 = 1;
/// The task is being polled, and looks before it returns: it need not be woken.
const POLLED: u8 = 2;

/// The waker of a future that runs inside another one: it is polled again only when it asked for it, and the task
/// is woken at most once.
struct Signal(Arc<Flags>);

struct Flags {
    flags: AtomicU8,
    task: Mutex<Option<Waker>>,
}

impl Signal {
    /// It is woken to begin with.
    fn new() -> Self {
        Self(Arc::new(Flags { flags: AtomicU8::new(WOKEN), task: Mutex::new(None) }))
    }

    /// The task is polled, with this waker.
    fn enter(&self, waker: &Waker) {
        let known = self.0.task.lock().as_ref().is_some_and(|task| task.will_wake(waker));
        if !known {
            // Cloning and dropping wakers is foreign code, so not under the lock.
            let waker = waker.clone();
            let old = self.0.task.lock().replace(waker);
            drop(old);
        }
        self.0.flags.fetch_or(POLLED, Ordering::AcqRel);
    }

    /// Whether the future was woken since this was asked last.
    fn take(&self) -> bool {
        self.0.flags.fetch_and(!WOKEN, Ordering::AcqRel) & WOKEN != 0
    }

    /// The task is about to wait. True if it must not, since the future was woken.
    fn leave(&self) -> bool {
        self.0.flags.fetch_and(!POLLED, Ordering::AcqRel) & WOKEN != 0
    }
}

/// Wakers of the future may live on; the task need not.
impl Drop for Signal {
    fn drop(&mut self) {
        let task = self.0.task.lock().take();
        drop(task);
    }
}

impl Wake for Flags {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.flags.fetch_or(WOKEN, Ordering::AcqRel) == 0 {
            // Taken, not cloned, which the lock forbids. Until the task is polled, and puts it there again, it need not
            // be woken once more.
            let task = self.task.lock().take();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}
