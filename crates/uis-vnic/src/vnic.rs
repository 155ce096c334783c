//! The virtual network interface.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

use parking_lot::{Mutex, RwLock};
use uis_clock::{Instant, SharedClock};

use crate::recent::{Changes, Recent};
use crate::{Dispatcher, DropReason, Frame, SendError, Undelivered, VnicId, VnicNetwork, header};
use uis_clock::unwind::Panics;

/// The MTU of Ethernet, in bytes: the usual choice.
pub const MTU_ETHERNET: u32 = 1500;
/// The smallest MTU that IPv6 allows, in bytes (RFC 8200 §5).
pub const MTU_MINIMUM_IPV6: u32 = 1280;
/// The usual MTU where jumbo frames are on, in bytes.
pub const MTU_JUMBO: u32 = 9000;

/// The smallest MTU that a Vnic takes: what every IPv4 host must accept (RFC 791 §3.1).
const MTU_LEAST: u32 = 576;
/// The largest: what the length field of IPv4 can say.
const MTU_MOST: u32 = 65_535;

/// A virtual network interface: where a stack and a network meet.
///
/// What a stack sends goes through [`send`](Self::send) to the [`VnicNetwork`]; what the network delivers comes in at
/// [`inject_frame`](Self::inject_frame) and goes to the attached [`Dispatcher`]. Both happen at once, on the calling
/// thread; nothing is queued here.
///
/// It is a handle: clones are the same interface. It holds its network strongly and its dispatcher weakly, and a
/// network keeps a [`WeakVnic`], so nothing is a cycle. When the last handle goes, the interface is closed as by
/// [`close`](Self::close).
///
/// ```
/// use uis_clock::SystemClock;
/// use uis_vnic::{Frame, MTU_ETHERNET, Vnic, VnicPort};
///
/// let (a, b) = Vnic::pair(MTU_ETHERNET, SystemClock::new())?;
/// let port = VnicPort::new(b, 16)?;
///
/// let mut packet = vec![0; 20];
/// packet[0] = 0x45; // IPv4, a header of five words
/// packet[3] = 20; // total length
/// a.write(packet)?;
///
/// let frame = port.try_recv().unwrap();
/// assert_eq!(frame.sent_by(), Some(a.id()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias("nic", "interface", "netif"))]
pub struct Vnic {
    shared: Arc<Shared>,
}

/// What the handles share. When the last of them goes, the interface closes.
struct Shared {
    inlet: Arc<Inlet>,
    network: Arc<dyn VnicNetwork>,
    clock: SharedClock,
}

/// The side of an interface that faces the network. It holds neither the network nor, strongly, the receiver, so whoever
/// delivers may keep it.
struct Inlet {
    id: VnicId,
    mtu: AtomicU32,
    closed: AtomicBool,
    // Locked to write by `attach`, `detach` and `close` only.
    dispatcher: RwLock<Option<Weak<dyn Dispatcher>>>,
    /// Of the receiver.
    changes: Changes,
    refused: [AtomicU64; DropReason::ALL.len()],
    rare: Mutex<Rare>,
}

thread_local! {
    /// The receivers of the interfaces that this thread has delivered to.
    static RECEIVERS: RefCell<Recent<VnicId, Weak<dyn Dispatcher>>> = const { RefCell::new(Recent::new()) };
}

/// What no frame ever looks at.
#[derive(Default)]
struct Rare {
    name: Option<String>,
    hooks: Vec<(HookId, Hook)>,
    last_hook: HookId,
}

/// Names a close hook of one Vnic.
pub(crate) type HookId = u64;
type Hook = Box<dyn FnOnce() + Send>;

impl Vnic {
    /// An interface that sends to `network` and takes its time stamps from `clock`. `mtu` is the length of the longest
    /// packet it passes, in bytes, IP header included.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `mtu` is not within 576–65,535.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::task::Waker;
    /// use uis_clock::SystemClock;
    /// use uis_vnic::{Frame, MTU_ETHERNET, SendError, Vnic, VnicNetwork};
    ///
    /// /// Where everything that is sent is lost.
    /// struct Void;
    ///
    /// impl VnicNetwork for Void {
    ///     fn send_frame(&self, _frame: Frame) -> Result<(), SendError> {
    ///         Ok(())
    ///     }
    ///     fn on_room(&self, _waker: &Waker) {}
    /// }
    ///
    /// let vnic = Vnic::new(MTU_ETHERNET, Arc::new(Void), SystemClock::new())?;
    /// assert_eq!(vnic.mtu(), 1500);
    /// assert!(Vnic::new(100, Arc::new(Void), SystemClock::new()).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(mtu: u32, network: Arc<dyn VnicNetwork>, clock: impl Into<SharedClock>) -> io::Result<Self> {
        check_mtu(mtu)?;
        Ok(Self {
            shared: Arc::new(Shared {
                inlet: Arc::new(Inlet {
                    id: VnicId::next(),
                    mtu: AtomicU32::new(mtu),
                    closed: AtomicBool::new(false),
                    dispatcher: RwLock::new(None),
                    changes: Changes::default(),
                    refused: Default::default(),
                    rare: Mutex::default(),
                }),
                network,
                clock: clock.into(),
            }),
        })
    }

    /// A handle that does not keep the interface open: what a network keeps.
    #[must_use]
    pub fn downgrade(&self) -> WeakVnic {
        WeakVnic { inlet: self.shared.inlet.clone(), shared: Arc::downgrade(&self.shared) }
    }

    /// Which interface this is.
    #[must_use]
    pub fn id(&self) -> VnicId {
        self.shared.inlet.id
    }

    /// Its name, if it was given one.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// assert_eq!(vnic.name(), None);
    /// vnic.set_name("client");
    /// assert_eq!(vnic.name().as_deref(), Some("client"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.shared.inlet.rare.lock().name.clone()
    }

    /// Gives it a name for people to read, in logs and captures. It need not be unique.
    pub fn set_name(&self, name: &str) {
        let name = Some(name.to_owned());
        self.shared.inlet.rare.lock().name = name;
    }

    /// The clock that its time stamps are from.
    #[must_use]
    pub fn clock(&self) -> SharedClock {
        self.shared.clock.clone()
    }

    /// The length of the longest packet that passes, in either direction, in bytes.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.shared.inlet.mtu.load(Ordering::Relaxed)
    }

    /// Changes the MTU from the next frame on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `mtu` is not within 576–65,535; then nothing changes.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// vnic.set_mtu(MTU_JUMBO)?;
    /// assert!(vnic.set_mtu(0).is_err());
    /// assert_eq!(vnic.mtu(), 9000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_mtu(&self, mtu: u32) -> io::Result<()> {
        check_mtu(mtu)?;
        self.shared.inlet.mtu.store(mtu, Ordering::Relaxed);
        Ok(())
    }

    /// Attaches the receiver of what arrives. It is held weakly: when it is gone, the interface is detached.
    ///
    /// # Errors
    ///
    /// - [`AlreadyExists`](io::ErrorKind::AlreadyExists) if another one is attached and alive.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown) after [`close`](Self::close).
    ///
    /// ```
    /// use std::sync::{Arc, Weak, mpsc};
    /// use uis_vnic::{Dispatcher, Frame, MTU_ETHERNET, Vnic};
    ///
    /// struct Inbox(mpsc::Sender<Frame>);
    ///
    /// impl Dispatcher for Inbox {
    ///     fn receive_frame(&self, frame: Frame) {
    ///         let _ = self.0.send(frame);
    ///     }
    /// }
    ///
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let (sender, frames) = mpsc::channel();
    /// let inbox = Arc::new(Inbox(sender));
    /// let weak: Weak<dyn Dispatcher> = Arc::<Inbox>::downgrade(&inbox);
    /// vnic.attach(weak)?;
    ///
    /// # let mut packet = vec![0; 20];
    /// # packet[0] = 0x45;
    /// # packet[3] = 20;
    /// vnic.inject_frame(Frame::new(packet))?;
    /// assert_eq!(frames.try_recv().unwrap().len(), 20);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn attach(&self, dispatcher: Weak<dyn Dispatcher>) -> io::Result<()> {
        let mut slot = self.shared.inlet.dispatcher.write();
        // Looked at under the lock that `close` takes afterwards, so that nothing stays attached to a closed Vnic.
        if self.is_closed() {
            drop(slot);
            return Err(io::Error::new(io::ErrorKind::NetworkDown, "the interface is closed"));
        }
        if slot.as_ref().is_some_and(is_alive) {
            drop(slot);
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the interface is attached already"));
        }
        *slot = Some(dispatcher);
        drop(slot);
        self.shared.inlet.changes.happened();
        Ok(())
    }

    /// Takes the receiver off. A frame that is on its way in at this moment may still reach it.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let _port = VnicPort::new(vnic.clone(), 8)?;
    /// vnic.detach();
    /// assert!(!vnic.is_attached());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn detach(&self) {
        *self.shared.inlet.dispatcher.write() = None;
        self.shared.inlet.changes.happened();
    }

    /// Whether a receiver is attached and alive.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.shared.inlet.dispatcher.read().as_ref().is_some_and(is_alive)
    }

    /// Delivers a frame to the attached receiver, at once and on this thread: when this returns, the receiver has seen
    /// it. What follows the packet's own length in the frame is taken off first.
    ///
    /// It only looks at the IP header's version and lengths. Addresses, checksums and all above them are for the receiver
    /// to judge.
    ///
    /// # Errors
    ///
    /// The frame and the reason it did not get in, which [`refused`](Self::refused) counts too:
    /// [`Closed`](DropReason::Closed); [`Malformed`](DropReason::Malformed); [`TooBig`](DropReason::TooBig) if the
    /// packet is longer than the MTU; [`Detached`](DropReason::Detached).
    ///
    /// # Panics
    ///
    /// When the receiver does. The interface stays usable.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let error = vnic.inject_frame(Frame::new(*b"what?")).unwrap_err();
    /// assert_eq!(error.reason(), DropReason::Malformed);
    /// assert_eq!(error.into_frame().packet(), b"what?");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "receive")]
    pub fn inject_frame(&self, frame: Frame) -> Result<(), Undelivered> {
        self.shared.inlet.inject(frame)
    }

    /// How many frames [`inject_frame`](Self::inject_frame) has refused for this reason so far.
    ///
    /// A network that delivers later than it takes cannot tell the sender: here is where such losses show.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let _ = vnic.inject_frame(Frame::new([]));
    /// assert_eq!(vnic.refused(DropReason::Malformed), 1);
    /// assert_eq!(vnic.refused(DropReason::TooBig), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn refused(&self, reason: DropReason) -> u64 {
        self.shared.inlet.refused[reason as usize].load(Ordering::Relaxed)
    }

    /// Sends a frame into the network, stamped with this interface and the time by its clock. What follows the packet's
    /// own length in the frame is taken off first.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] with the frame when the network has no room: [`on_room`](Self::on_room) says when to try
    /// again. [`SendError::Dropped`] when it is lost: [`Closed`](DropReason::Closed),
    /// [`Malformed`](DropReason::Malformed), [`TooBig`](DropReason::TooBig), or what the network says.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let mut packet = vec![0; 40]; // a bare IPv6 header
    /// packet[0] = 0x60;
    /// vnic.close();
    /// let error = vnic.send(Frame::new(packet)).unwrap_err();
    /// assert_eq!(error.reason(), DropReason::Closed);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send(&self, mut frame: Frame) -> Result<(), SendError> {
        self.shared.inlet.admit(&mut frame).map_err(SendError::Dropped)?;
        frame.stamp(self.shared.inlet.id, self.shared.clock.now());
        self.shared.network.send_frame(frame)
    }

    /// Sends several frames in their order, all stamped with the time `now`, until the network has no room for one. What is
    /// lost is told to `lost`, frame by frame, with the reasons of [`send`](Self::send).
    ///
    /// Says whether there was room for all; if not, those that were not taken are still in `frames`.
    ///
    /// ```
    /// # use std::collections::VecDeque;
    /// # use uis_vnic::*;
    /// # let (vnic, peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// # let port = VnicPort::new(peer, 2)?;
    /// # let mut packet = vec![0; 40];
    /// # packet[0] = 0x60;
    /// let now = vnic.clock().now();
    /// let mut frames = VecDeque::from([Frame::new(packet), Frame::new("no packet")]);
    /// let mut lost = Vec::new();
    /// assert!(vnic.send_all(&mut frames, now, &mut |reason| lost.push(reason)));
    /// assert_eq!(lost, [DropReason::Malformed]);
    /// assert_eq!(port.try_recv().unwrap().sent_at(), Some(now));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_all(
        &self,
        frames: &mut VecDeque<Frame>,
        now: Instant,
        lost: &mut dyn FnMut(DropReason),
    ) -> bool {
        let inlet = &self.shared.inlet;
        frames.retain_mut(|frame| match inlet.admit(frame) {
            Ok(()) => {
                frame.stamp(inlet.id, now);
                true
            }
            Err(reason) => {
                lost(reason);
                false
            }
        });
        frames.is_empty() || self.shared.network.send_frames(frames, lost)
    }

    /// Sends a packet: [`send`](Self::send) of a [`Frame::new`], so that a receiver verifies its checksums.
    ///
    /// # Errors
    ///
    /// As those of [`send`](Self::send).
    pub fn write(&self, packet: Vec<u8>) -> Result<(), SendError> {
        self.send(Frame::new(packet))
    }

    /// Wakes `waker` once, as soon as the network has room for another frame; at once if it has room already, or if the
    /// interface is closed. See [`VnicNetwork::on_room`].
    ///
    /// A later [`close`](Self::close) wakes nobody by itself: that is what [`on_close`](Self::on_close) is for.
    pub fn on_room(&self, waker: &Waker) {
        if self.is_closed() {
            waker.wake_by_ref();
        } else {
            self.shared.network.on_room(waker);
        }
    }

    /// How many frames wait in the network to be taken out of it, whoever sent them; `None` if it does not say. See
    /// [`VnicNetwork::queued`].
    ///
    /// ```
    /// # use uis_vnic::*;
    /// let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// assert_eq!(vnic.queued(), Some(0), "a pair delivers at once");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn queued(&self) -> Option<usize> {
        self.shared.network.queued()
    }

    /// Calls `hook` once when the interface is closed: by [`close`](Self::close), or when its last handle goes. If it is
    /// closed already, at once.
    ///
    /// Hooks run in the order in which they came, on the thread that closes, with no lock held.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    ///
    /// let told = Arc::new(AtomicBool::new(false));
    /// vnic.on_close({
    ///     let told = told.clone();
    ///     move || told.store(true, Ordering::Relaxed)
    /// });
    /// drop(vnic);
    /// assert!(told.load(Ordering::Relaxed));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_close(&self, hook: impl FnOnce() + Send + 'static) {
        self.add_hook(Box::new(hook));
    }

    /// Closes the interface for good: nothing passes any more, the receiver is taken off, and the hooks are called.
    ///
    /// Closing again does nothing, and does not wait for another thread that is still calling hooks. A frame that is on
    /// its way in or out at this moment may still arrive.
    ///
    /// # Panics
    ///
    /// When a hook does, after all the others have been called.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let other = vnic.clone();
    /// vnic.close();
    /// assert!(other.is_closed());
    /// other.close(); // nothing more happens
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(&self) {
        self.shared.inlet.close();
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.inlet.closed.load(Ordering::Acquire)
    }

    /// As [`on_close`](Self::on_close); the hook can be taken back with [`remove_hook`](Self::remove_hook).
    pub(crate) fn add_hook(&self, hook: Hook) -> HookId {
        let mut rare = self.shared.inlet.rare.lock();
        rare.last_hook += 1;
        let id = rare.last_hook;
        if self.is_closed() {
            drop(rare);
            hook();
        } else {
            rare.hooks.push((id, hook));
        }
        id
    }

    /// Takes a hook back, if it has not been called.
    pub(crate) fn remove_hook(&self, id: HookId) {
        let mut rare = self.shared.inlet.rare.lock();
        let at = rare.hooks.iter().position(|&(other, _)| other == id);
        let hook = at.map(|at| rare.hooks.remove(at));
        drop(rare);
        drop(hook);
    }

    /// [`detach`](Self::detach), if it is still this one that is attached.
    pub(crate) fn detach_this(&self, dispatcher: &Weak<dyn Dispatcher>) {
        let mut slot = self.shared.inlet.dispatcher.write();
        if slot.as_ref().is_some_and(|attached| attached.ptr_eq(dispatcher)) {
            *slot = None;
            self.shared.inlet.changes.happened();
        }
    }
}

impl Inlet {
    fn inject(&self, mut frame: Frame) -> Result<(), Undelivered> {
        let reason = match self.admit(&mut frame) {
            Ok(()) => match self.pass(frame) {
                None => return Ok(()),
                Some(back) => {
                    frame = back;
                    DropReason::Detached
                }
            },
            Err(reason) => reason,
        };
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
        Err(Undelivered::new(reason, frame))
    }

    /// Whether the frame may pass. If so, what is behind the packet is gone from it.
    fn admit(&self, frame: &mut Frame) -> Result<(), DropReason> {
        if self.closed.load(Ordering::Acquire) {
            return Err(DropReason::Closed);
        }
        let len = header::total_len(frame.packet()).ok_or(DropReason::Malformed)?;
        if len > self.mtu.load(Ordering::Relaxed) as usize {
            return Err(DropReason::TooBig);
        }
        if len < frame.len() {
            frame.trim(len);
        }
        Ok(())
    }

    /// Hands a frame to the receiver, without a lock; gives it back if there is none.
    #[inline]
    fn pass(&self, frame: Frame) -> Option<Frame> {
        let at = self.id.number() as usize;
        let mut frame = Some(frame);
        let look_up = || self.dispatcher.read().clone();
        Recent::ask(&RECEIVERS, (at, &self.id), &self.changes, look_up, |receiver| {
            if let Some(receiver) = receiver.upgrade()
                && let Some(frame) = frame.take()
            {
                receiver.receive_frame(frame);
            }
        });
        frame
    }

    fn close(&self) {
        let mut rare = self.rare.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let hooks = mem::take(&mut rare.hooks);
        drop(rare);
        *self.dispatcher.write() = None;
        self.changes.happened();
        let mut panics = Panics::default();
        for (_, hook) in hooks {
            panics.catch(hook);
        }
        panics.resume();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inlet.close();
    }
}

impl fmt::Debug for Vnic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vnic")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("mtu", &self.mtu())
            .field("attached", &self.is_attached())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A handle to a [`Vnic`] that does not keep it open.
///
/// ```
/// # use uis_vnic::*;
/// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
/// let weak = vnic.downgrade();
/// assert_eq!(weak.upgrade().unwrap().id(), weak.id());
/// drop(vnic);
/// assert!(weak.upgrade().is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct WeakVnic {
    inlet: Arc<Inlet>,
    shared: Weak<Shared>,
}

impl WeakVnic {
    /// Which interface it is, or was.
    #[must_use]
    pub fn id(&self) -> VnicId {
        self.inlet.id
    }

    /// Whether the interface is closed, as it is also when nobody has a handle to it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inlet.closed.load(Ordering::Acquire)
    }

    /// Delivers a frame, as [`Vnic::inject_frame`] does: there is no need to [`upgrade`](Self::upgrade) for that.
    ///
    /// # Errors
    ///
    /// As those of [`Vnic::inject_frame`]; [`Closed`](DropReason::Closed) if the interface is gone.
    ///
    /// # Panics
    ///
    /// When the receiver does.
    ///
    /// ```
    /// # use uis_vnic::*;
    /// # let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new())?;
    /// let weak = vnic.downgrade();
    /// drop(vnic);
    /// let error = weak.inject_frame(Frame::new([0x45; 20])).unwrap_err();
    /// assert_eq!(error.reason(), DropReason::Closed);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn inject_frame(&self, frame: Frame) -> Result<(), Undelivered> {
        self.inlet.inject(frame)
    }

    /// The interface, if there is still a handle to it.
    ///
    /// Meanwhile all other handles may go. Then dropping this one closes the interface and calls its hooks: so do not
    /// drop it under a lock that a hook takes.
    #[must_use]
    pub fn upgrade(&self) -> Option<Vnic> {
        self.shared.upgrade().map(|shared| Vnic { shared })
    }
}

impl fmt::Debug for WeakVnic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakVnic").field("id", &self.id()).finish_non_exhaustive()
    }
}

fn check_mtu(mtu: u32) -> io::Result<()> {
    if (MTU_LEAST..=MTU_MOST).contains(&mtu) {
        return Ok(());
    }
    let text = format!("an MTU of {mtu} bytes is not within {MTU_LEAST} to {MTU_MOST}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn is_alive(dispatcher: &Weak<dyn Dispatcher>) -> bool {
    dispatcher.strong_count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VnicPort;

    #[test]
    fn hooks_of_ports_that_are_gone_do_not_pile_up() {
        let (vnic, _peer) = Vnic::pair(MTU_ETHERNET, uis_clock::SystemClock::new()).unwrap();
        vnic.on_close(|| {});
        for _ in 0..10 {
            drop(VnicPort::new(vnic.clone(), 1).unwrap());
        }
        assert_eq!(vnic.shared.inlet.rare.lock().hooks.len(), 1);
    }
}
