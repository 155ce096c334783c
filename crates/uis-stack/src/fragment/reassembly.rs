//! Putting fragments together (RFC 791 §3.2, RFC 8200 §4.5).

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use uis_clock::Instant;
use uis_vnic::buffer;

use crate::wire::{DiscardReason, FRAGMENT_HEADER, Fragment, IPV6_HEADER, Packet, checksum};

/// How long a datagram may take to be complete, from its first fragment to arrive (RFC 1122 §3.3.2 leaves it to us).
const LIFETIME_V4: Duration = Duration::from_secs(30);
/// The same for IPv6 (RFC 8200 §4.5).
const LIFETIME_V6: Duration = Duration::from_secs(60);
/// How many incomplete datagrams are kept.
const MAX_DATAGRAMS: usize = 256;
/// What keeping a fragment costs besides its bytes, roughly: so that many tiny ones count for what they are.
const OVERHEAD: usize = 64;
/// The most that the length field of either family can say.
const MAX_LEN: usize = 65_535;
/// "Congestion experienced", of the ECN bits.
const CONGESTED: u8 = 3;

/// The fragments of datagrams that are not complete.
#[derive(Debug)]
pub(crate) struct Reassembly {
    limit: usize,
    /// What is kept now, at most `limit`.
    held: usize,
    next_serial: u64,
    datagrams: BTreeMap<Key, Datagram>,
    /// Fragments that were kept and then thrown away.
    discarded: BTreeMap<DiscardReason, u64>,
}

/// What the fragments of a datagram have in common. The protocol is part of it for IPv4 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    protocol: u8,
}

#[derive(Debug)]
struct Datagram {
    /// Datagrams are numbered as they come.
    serial: u64,
    deadline: Instant,
    /// Found to have overlapping or contradictory fragments: it keeps nothing, and is only remembered so that none
    /// of its fragments counts any more (RFC 5722 §4).
    is_spoilt: bool,
    /// By offset; they never overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
    /// How many bytes `pieces` have together.
    received: usize,
    /// The length of it all, known from the last fragment.
    total: Option<usize>,
    /// The headers of the first fragment.
    first: Option<First>,
    /// Whether any fragment was marked "congestion experienced".
    is_congested: bool,
    /// What it counts for in [`Reassembly::held`].
    held: usize,
}

#[derive(Debug)]
struct First {
    /// As [`Fragment::header`].
    header: Vec<u8>,
    next_header_at: usize,
    protocol: u8,
}

impl Reassembly {
    /// Keeps no more than `limit_bytes` of fragments.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit: limit_bytes,
            held: 0,
            next_serial: 0,
            datagrams: BTreeMap::new(),
            discarded: BTreeMap::new(),
        }
    }

    /// Takes a fragment: `Some` whole packet if it was the one that was missing, for
    /// [`parse`](crate::wire::parse) to judge like any other. It is never a fragment itself.
    ///
    /// # Errors
    ///
    /// Why this fragment is discarded. What it took down with it is in [`take_discarded`](Self::take_discarded).
    pub(crate) fn insert(
        &mut self,
        packet: &Packet<'_>,
        fragment: &Fragment<'_>,
        now: Instant,
    ) -> Result<Option<Vec<u8>>, DiscardReason> {
        let v4 = packet.dst.is_ipv4();
        let end = fragment.offset + fragment.payload.len();
        let is_odd = fragment.more && !fragment.payload.len().is_multiple_of(8);
        if fragment.payload.is_empty() || is_odd || counted_header(v4, fragment.header) + end > MAX_LEN {
            return Err(DiscardReason::BadFragment);
        }

        let protocol = if v4 { fragment.protocol } else { 0 };
        let key = Key { src: packet.src, dst: packet.dst, id: fragment.id, protocol };
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            self.next_serial += 1;
            Datagram::new(self.next_serial, now + if v4 { LIFETIME_V4 } else { LIFETIME_V6 })
        });
        match datagram.fit(fragment, end) {
            Fit::Gap => {}
            Fit::Duplicate => return Ok(None),
            Fit::Never(reason) => {
                let lost = datagram.pieces.len();
                self.held -= datagram.spoil();
                self.count(reason, lost);
                return Err(reason);
            }
        }
        self.held += datagram.add(packet, fragment);
        if datagram.is_complete() {
            return self.complete(key).map(Some);
        }
        while self.held > self.limit || self.datagrams.len() > MAX_DATAGRAMS {
            if !self.evict_oldest(key) {
                return Err(DiscardReason::FragmentLimit);
            }
        }
        Ok(None)
    }

    /// How many datagrams are not complete.
    pub(crate) fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.datagrams.values().map(|datagram| datagram.deadline).min()
    }

    /// Gives up the datagrams whose time is over. Returned are, in the order of their age, the first fragments of
    /// those whose first fragment had arrived: the packets to send "time exceeded" about (RFC 792, RFC 8200 §4.5).
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut over: Vec<_> = self
            .datagrams
            .iter()
            .filter(|(_, datagram)| datagram.deadline <= now)
            .map(|(&key, datagram)| (datagram.serial, key))
            .collect();
        over.sort_unstable();
        over.into_iter()
            .filter_map(|(_, key)| self.remove(key, DiscardReason::FragmentTimeout).first_fragment())
            .collect()
    }

    /// How many fragments were kept and then thrown away since this was last asked, by reason. Those that
    /// [`insert`](Self::insert) refused are not among them.
    pub(crate) fn take_discarded(&mut self) -> BTreeMap<DiscardReason, u64> {
        mem::take(&mut self.discarded)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn complete(&mut self, key: Key) -> Result<Vec<u8>, DiscardReason> {
        let datagram = self.datagrams.remove(&key).expect("the datagram that was just completed");
        self.held -= datagram.held;
        datagram.rebuild(key.dst.is_ipv4()).ok_or_else(|| {
            self.count(DiscardReason::BadFragment, datagram.pieces.len() - 1);
            DiscardReason::BadFragment
        })
    }

    /// Throws away the datagram that came first, and says so; or, if there is none but `newest`, that one.
    fn evict_oldest(&mut self, newest: Key) -> bool {
        let others = self.datagrams.iter().filter(|(key, _)| **key != newest);
        match others.min_by_key(|(_, datagram)| datagram.serial) {
            Some((&key, _)) => {
                self.remove(key, DiscardReason::FragmentLimit);
                true
            }
            None => {
                let datagram = self.datagrams.remove(&newest).expect("the datagram that was just added to");
                self.held -= datagram.held;
                self.count(DiscardReason::FragmentLimit, datagram.pieces.len() - 1);
                false
            }
        }
    }

    fn remove(&mut self, key: Key, reason: DiscardReason) -> Datagram {
        let datagram = self.datagrams.remove(&key).expect("a key that was just seen");
        self.held -= datagram.held;
        self.count(reason, datagram.pieces.len());
        datagram
    }

    fn count(&mut self, reason: DiscardReason, fragments: usize) {
        if fragments > 0 {
            *self.discarded.entry(reason).or_default() += fragments as u64;
        }
    }
}

/// How a fragment goes with those that are there.
enum Fit {
    /// It fills a gap.
    Gap,
    /// It is there already, byte for byte (RFC 8200 §4.5 lets it be ignored).
    Duplicate,
    /// It cannot be of the same datagram, so the datagram is spoilt.
    Never(DiscardReason),
}

impl Datagram {
    fn new(serial: u64, deadline: Instant) -> Self {
        Self {
            serial,
            deadline,
            is_spoilt: false,
            pieces: BTreeMap::new(),
            received: 0,
            total: None,
            first: None,
            is_congested: false,
            held: 0,
        }
    }

    fn fit(&self, fragment: &Fragment<'_>, end: usize) -> Fit {
        if self.is_spoilt {
            return Fit::Never(DiscardReason::FragmentOverlap);
        }
        if self.pieces.get(&fragment.offset).is_some_and(|piece| piece == fragment.payload) {
            return Fit::Duplicate;
        }
        let before = self.pieces.range(..end).next_back();
        if before.is_some_and(|(offset, piece)| offset + piece.len() > fragment.offset) {
            return Fit::Never(DiscardReason::FragmentOverlap);
        }
        // Nothing may be behind the end, whichever comes first.
        let is_behind = self.total.is_some_and(|total| end > total);
        let is_before = !fragment.more && self.pieces.range(end..).next().is_some();
        if is_behind || is_before {
            return Fit::Never(DiscardReason::BadFragment);
        }
        Fit::Gap
    }

    /// Keeps the fragment, and says what it costs.
    fn add(&mut self, packet: &Packet<'_>, fragment: &Fragment<'_>) -> usize {
        let mut cost = OVERHEAD + fragment.payload.len();
        if fragment.offset == 0 {
            cost += fragment.header.len();
            self.first = Some(First {
                header: fragment.header.to_vec(),
                next_header_at: fragment.next_header_at,
                protocol: fragment.protocol,
            });
        }
        if !fragment.more {
            self.total = Some(fragment.offset + fragment.payload.len());
        }
        self.is_congested |= packet.ecn == CONGESTED;
        self.received += fragment.payload.len();
        self.pieces.insert(fragment.offset, fragment.payload.to_vec());
        self.held += cost;
        cost
    }

    /// Forgets what it has, for good, and says how much that was.
    fn spoil(&mut self) -> usize {
        self.is_spoilt = true;
        self.pieces.clear();
        self.first = None;
        mem::take(&mut self.held)
    }

    fn is_complete(&self) -> bool {
        // Pieces do not overlap and none is past the end.
        self.total == Some(self.received)
    }

    /// The whole packet, or `None` if it is too long together with the first fragment's header.
    fn rebuild(&self, v4: bool) -> Option<Vec<u8>> {
        let first = self.first.as_ref()?;
        let header =
            if v4 { &first.header[..] } else { &first.header[..first.header.len() - FRAGMENT_HEADER] };
        let len = u16::try_from(counted_header(v4, &first.header) + self.received).ok()?;
        let mut packet = buffer::take(header.len() + self.received);
        packet[..header.len()].copy_from_slice(header);
        for (offset, piece) in &self.pieces {
            packet[header.len() + offset..][..piece.len()].copy_from_slice(piece);
        }
        if v4 {
            packet[2..4].copy_from_slice(&len.to_be_bytes());
            packet[6..8].fill(0);
            // RFC 3168 §5.3: a mark on any fragment must not be lost.
            packet[1] |= if self.is_congested { CONGESTED } else { 0 };
            checksum::fill(&mut packet[..header.len()], 10);
        } else {
            packet[4..6].copy_from_slice(&len.to_be_bytes());
            packet[first.next_header_at] = first.protocol;
            packet[1] |= if self.is_congested { CONGESTED << 4 } else { 0 };
        }
        Some(packet)
    }

    /// The first fragment as it arrived.
    fn first_fragment(&self) -> Option<Vec<u8>> {
        Some([&self.first.as_ref()?.header[..], self.pieces.get(&0)?].concat())
    }
}

/// The bytes of a fragment's header that the length field of the whole packet will count.
fn counted_header(v4: bool, header: &[u8]) -> usize {
    if v4 { header.len() } else { header.len() - IPV6_HEADER - FRAGMENT_HEADER }
}
