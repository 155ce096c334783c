//! `PcapTrace`, the handle that routers share, and its builder.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uis_clock::{SharedClock, SystemClock};

use crate::format::{Format, Precision};
use crate::queue::Queue;
use crate::writer;

/// How many packets may wait for the writer when nothing else is asked for.
pub const DEFAULT_BUFFER: usize = 4096;

/// How long a packet may wait for room when nothing else is asked for.
const DEFAULT_PATIENCE: Duration = Duration::from_millis(2);

/// How long dropping the last handle waits for a writer that gets nothing done.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// A capture being written: a pcap file of raw IPv4 and IPv6 packets.
///
/// A cheap handle: clones share one capture. [`dump`](Self::dump) never hangs, whatever the writer does;
/// what that costs is counted by [`dropped`](Self::dropped). [`close`](Self::close) completes the file and
/// says how it went. Dropping the last handle completes the file as well, but nobody learns of an error;
/// a writer that is stuck is then given up after a few seconds.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let dir = std::env::temp_dir().join(format!("uis-pcap-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let path = dir.join("trace.pcap");
/// use uis_pcap::PcapTrace;
///
/// let trace = PcapTrace::create(&path, 0)?;
/// trace.dump(&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0x65, 0xeb, 10, 0, 0, 1, 10, 0, 0, 2]);
/// trace.close()?;
///
/// assert_eq!(std::fs::metadata(&path)?.len(), 24 + 16 + 20);
/// assert_eq!(trace.dropped(), 0);
/// # std::fs::remove_dir_all(&dir)
/// # }
/// ```
#[doc(alias = "tcpdump")]
#[derive(Clone)]
pub struct PcapTrace {
    inner: Arc<Inner>,
}

/// What all clones of a handle share; the writer's thread holds the queue alone, so that this is dropped
/// with the last handle.
struct Inner {
    queue: Arc<Queue>,
    clock: SharedClock,
    format: Format,
}

impl PcapTrace {
    /// Captures into the file at `path`, replacing one that is there.
    ///
    /// `snap_len` is the number of bytes kept of each packet; 0 stands for
    /// [`DEFAULT_SNAP_LEN`](crate::DEFAULT_SNAP_LEN), see [`PcapTraceBuilder::snap_len`].
    ///
    /// # Errors
    ///
    /// When the file cannot be created, for instance because its directory does not exist. Errors in
    /// writing to it are reported by [`close`](Self::close).
    pub fn create(path: impl AsRef<Path>, snap_len: u32) -> io::Result<Self> {
        Self::builder().snap_len(snap_len).create(path)
    }

    /// Captures into any writer: a pipe, a compressor, a buffer shared with the test.
    ///
    /// The writer moves to a thread of its own, gets the records in large pieces (it needs no `BufWriter`
    /// around it), is flushed once, at the end, and dropped before [`close`](Self::close) returns. It may
    /// block, fail or panic: the traffic goes on. `snap_len` as in [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```
    /// use uis_pcap::PcapTrace;
    ///
    /// let trace = PcapTrace::new(std::io::sink(), 256);
    /// trace.dump(&[0x60; 1280]);
    /// trace.close()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use = "a capture that is dropped ends"]
    pub fn new(writer: impl io::Write + Send + 'static, snap_len: u32) -> Self {
        Self::builder().snap_len(snap_len).build(writer)
    }

    /// For everything that can be chosen: the clock, the snap length, the buffer, the precision.
    ///
    /// # Examples
    ///
    /// ```
    /// use uis_pcap::PcapTrace;
    ///
    /// let trace = PcapTrace::builder().snap_len(96).build(std::io::sink());
    /// trace.close()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn builder() -> PcapTraceBuilder {
        PcapTraceBuilder::new()
    }

    /// Records `packet`, stamped with what the trace's clock says now.
    ///
    /// Copies it, or the first bytes of it, and returns; the writing is done by another thread. The
    /// record says how long the packet was even where it kept less of it. When the buffer is full, or the
    /// capture has been closed or has failed, the packet is [counted](Self::dropped) instead.
    ///
    /// Never hangs: a writer that keeps up costs no wait at all, one that falls behind at most two
    /// milliseconds for each piece it does get written, one that stands still nothing more; see
    /// [`PcapTraceBuilder::patience`].
    ///
    /// Packets are in the file in the order in which these calls were made.
    ///
    /// # Examples
    ///
    /// ```
    /// use uis_pcap::PcapTrace;
    ///
    /// let trace = PcapTrace::new(std::io::sink(), 0);
    /// trace.dump(&[0x45; 20]);
    /// trace.close()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn dump(&self, packet: &[u8]) {
        let clock = &self.inner.clock;
        self.dump_at(clock.system_time(clock.now()), packet);
    }

    /// Records `packet`, stamped with the time given: when it was sent, say, and not when it was seen.
    ///
    /// The format counts from 1970 to 2106; times outside become the nearest that it can express. The file
    /// keeps the order of the calls also where the stamps say otherwise. As [`dump`](Self::dump) in
    /// everything else.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use uis_pcap::PcapTrace;
    ///
    /// let trace = PcapTrace::new(std::io::sink(), 0);
    /// trace.dump_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1), &[0x45; 20]);
    /// trace.close()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn dump_at(&self, at: SystemTime, packet: &[u8]) {
        let (header, kept) = self.inner.format.record(at, packet);
        self.inner.queue.push(&header, kept);
    }

    /// How many packets are not in the capture: those that found the buffer full, those that came after
    /// an error or after [`close`](Self::close), and those that were waiting when the writer failed (of
    /// these the first few may have got through).
    ///
    /// # Examples
    ///
    /// ```
    /// use uis_pcap::PcapTrace;
    ///
    /// let trace = PcapTrace::new(std::io::sink(), 0);
    /// trace.close()?;
    /// trace.dump(&[0x45; 20]); // too late
    /// assert_eq!(trace.dropped(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.queue.dropped()
    }

    /// Writes what is buffered, flushes, closes the writer, and returns the first error that the capture
    /// met. Further calls, on any clone, return `Ok`.
    ///
    /// Blocks until the writer is done, so long as that takes. Packets dropped for lack of room are
    /// no error; [`dropped`](Self::dropped) has their number.
    ///
    /// # Errors
    ///
    /// What the writer returned first, be it for the file's header, for a packet or for the flush. A panic
    /// of the writer comes as [`io::ErrorKind::Other`]. [`io::ErrorKind::Deadlock`] when called by the
    /// capture's own writer, which cannot wait for itself; the error proper is then kept for another call.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use uis_pcap::PcapTrace;
    ///
    /// struct Full;
    ///
    /// impl io::Write for Full {
    ///     fn write(&mut self, _: &[u8]) -> io::Result<usize> {
    ///         Err(io::ErrorKind::StorageFull.into())
    ///     }
    ///     fn flush(&mut self) -> io::Result<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let trace = PcapTrace::new(Full, 0);
    /// assert_eq!(trace.close().unwrap_err().kind(), io::ErrorKind::StorageFull);
    /// assert!(trace.close().is_ok()); // told once
    /// ```
    pub fn close(&self) -> io::Result<()> {
        self.inner.queue.close()
    }
}

impl fmt::Debug for PcapTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapTrace")
            .field("format", &self.inner.format)
            .field("clock", &self.inner.clock)
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close_unless_stuck(STUCK_AFTER);
    }
}

/// Makes a [`PcapTrace`] other than the default one.
///
/// # Examples
///
/// A capture on virtual time, of headers only:
///
/// ```
/// use uis_clock::VirtualClock;
/// use uis_pcap::{PcapTrace, Precision};
///
/// let time = VirtualClock::new();
/// let trace = PcapTrace::builder()
///     .clock(time.handle())
///     .snap_len(96)
///     .buffer(100_000)
///     .precision(Precision::Microseconds)
///     .build(std::io::sink());
/// trace.dump(&[0x45; 1500]);
/// trace.close()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `create` or `build`"]
pub struct PcapTraceBuilder {
    clock: Option<SharedClock>,
    snap_len: u32,
    buffer: usize,
    patience: Duration,
    precision: Precision,
}

impl PcapTraceBuilder {
    fn new() -> Self {
        Self {
            clock: None,
            snap_len: 0,
            buffer: 0,
            patience: DEFAULT_PATIENCE,
            precision: Precision::default(),
        }
    }

    /// The clock that stamps the packets; by default the system's. For an internet on virtual or paused
    /// time, give that internet's clock.
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// How many bytes of each packet are kept, at most [`MAX_SNAP_LEN`](crate::MAX_SNAP_LEN), which a
    /// larger value stands for. 0, the default, stands for [`DEFAULT_SNAP_LEN`](crate::DEFAULT_SNAP_LEN):
    /// all of any packet that a stack sends.
    pub fn snap_len(mut self, bytes: u32) -> Self {
        self.snap_len = bytes;
        self
    }

    /// How many packets may wait to be written before further ones are dropped. 0, the default, stands for
    /// [`DEFAULT_BUFFER`]. Memory is taken as it is needed, up to this number times the snap length.
    pub fn buffer(mut self, packets: usize) -> Self {
        self.buffer = packets;
        self
    }

    /// How long, in real time, a packet that finds the buffer full waits for a writer that is at work; by
    /// default two milliseconds. When that was in vain, it is dropped, and so are those after it, without
    /// a wait, until the writer has got something written again.
    ///
    /// So a disk that is as fast as the traffic loses nothing, and one that is not slows the traffic only a
    /// little. Zero never waits. Much longer is for captures that must be complete: the traffic then runs at
    /// the pace of the writer.
    pub fn patience(mut self, at_most: Duration) -> Self {
        self.patience = at_most;
        self
    }

    /// The precision of the time stamps; by default nanoseconds.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Starts a capture into the file at `path`, replacing one that is there.
    ///
    /// # Errors
    ///
    /// As [`PcapTrace::create`].
    pub fn create(self, path: impl AsRef<Path>) -> io::Result<PcapTrace> {
        Ok(self.build(File::create(path)?))
    }

    /// Starts a capture into a writer, as [`PcapTrace::new`] does.
    #[must_use = "a capture that is dropped ends"]
    pub fn build(self, writer: impl io::Write + Send + 'static) -> PcapTrace {
        let capacity = if self.buffer == 0 { DEFAULT_BUFFER } else { self.buffer };
        let format = Format::new(self.snap_len, self.precision);
        let queue = Arc::new(Queue::new(capacity, self.patience));
        writer::spawn(&queue, format, writer);
        let clock = self.clock.unwrap_or_else(|| SystemClock::new().into());
        PcapTrace { inner: Arc::new(Inner { queue, clock, format }) }
    }
}
