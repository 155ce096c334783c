//! The classic pcap format: one global header, then per packet a record header and its bytes.
//!
//! Everything is little-endian whatever the machine, so that two runs of a deterministic scenario give
//! the same file, byte for byte, wherever they ran.

use std::io;
use std::time::{Duration, SystemTime};

use pcap_file::pcap::PcapHeader;
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};

/// The snap length used when none is asked for: every IPv4 packet, and every IPv6 one but jumbograms, fits.
pub const DEFAULT_SNAP_LEN: u32 = 65_535;

/// The largest snap length: `MAXIMUM_SNAPLEN` of libpcap, above which readers call a file damaged.
pub const MAX_SNAP_LEN: u32 = 262_144;

/// Length of a record header.
pub(crate) const RECORD_HEADER_LEN: usize = 16;

/// Of what unit the fraction of a time stamp is.
///
/// Nanoseconds, the default, are read by Wireshark, tcpdump and every library of the last decade.
/// Microseconds are the original format, for tools older than that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Magic number `0xa1b23c4d`; what a virtual clock counts in.
    #[default]
    Nanoseconds,
    /// Magic number `0xa1b2c3d4`; time stamps are rounded down.
    Microseconds,
}

/// How a trace lays its packets out: what [`crate::PcapTraceBuilder`] was told, made sense of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    snap_len: u32,
    precision: Precision,
}

impl Format {
    /// A `snap_len` of 0 stands for the default; one above the maximum, for the maximum.
    pub(crate) fn new(snap_len: u32, precision: Precision) -> Self {
        let snap_len = match snap_len {
            0 => DEFAULT_SNAP_LEN,
            n => n.min(MAX_SNAP_LEN),
        };
        Self { snap_len, precision }
    }

    /// The global header.
    pub(crate) fn header(&self) -> io::Result<Vec<u8>> {
        let header = PcapHeader {
            version_major: 2,
            version_minor: 4,
            ts_correction: 0,
            ts_accuracy: 0,
            snaplen: self.snap_len,
            // A packet starts with its IPv4 or IPv6 header; the version nibble tells them apart.
            datalink: DataLink::RAW,
            ts_resolution: match self.precision {
                Precision::Nanoseconds => TsResolution::NanoSecond,
                Precision::Microseconds => TsResolution::MicroSecond,
            },
            endianness: Endianness::Little,
        };
        let mut bytes = Vec::with_capacity(24);
        header.write_to(&mut bytes).map_err(|error| match error {
            PcapError::IoError(error) => error,
            other => io::Error::other(other),
        })?;
        Ok(bytes)
    }

    /// The record header of `packet` seen at `at`, and the part of it that is kept.
    pub(crate) fn record<'a>(&self, at: SystemTime, packet: &'a [u8]) -> ([u8; RECORD_HEADER_LEN], &'a [u8]) {
        let (seconds, fraction) = self.time_stamp(at);
        let kept = &packet[..packet.len().min(self.snap_len as usize)];
        let original_len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let mut header = [0; RECORD_HEADER_LEN];
        // `kept` is no longer than a snap length, which is a `u32`.
        let fields = [seconds, fraction, kept.len() as u32, original_len];
        for (bytes, field) in header.chunks_exact_mut(4).zip(fields) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        (header, kept)
    }

    /// Seconds since 1970 and the fraction. The format's 32 unsigned bits of seconds end in 2106; times
    /// outside saturate, so that an odd clock costs the time stamp and not the packet.
    fn time_stamp(&self, at: SystemTime) -> (u32, u32) {
        let since_1970 = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (seconds, nanoseconds) = match u32::try_from(since_1970.as_secs()) {
            Ok(seconds) => (seconds, since_1970.subsec_nanos()),
            Err(_) => (u32::MAX, 999_999_999),
        };
        match self.precision {
            Precision::Nanoseconds => (seconds, nanoseconds),
            Precision::Microseconds => (seconds, nanoseconds / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_stamp(precision: Precision, at: SystemTime) -> (u32, u32) {
        Format::new(0, precision).time_stamp(at)
    }

    #[test]
    fn headers_are_the_documented_bytes() {
        let header = |snap_len, precision| Format::new(snap_len, precision).header().unwrap();
        #[rustfmt::skip]
        assert_eq!(header(0, Precision::Nanoseconds), [
            0x4d, 0x3c, 0xb2, 0xa1, // magic number, nanoseconds
            2, 0, 4, 0,             // version 2.4
            0, 0, 0, 0,             // correction
            0, 0, 0, 0,             // accuracy
            0xff, 0xff, 0, 0,       // snap length
            101, 0, 0, 0,           // LINKTYPE_RAW
        ]);
        let micro = header(256, Precision::Microseconds);
        assert_eq!(micro[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
        assert_eq!(micro[16..20], [0, 1, 0, 0]);
    }

    #[test]
    fn snap_lengths_are_made_sense_of() {
        for (asked, kept) in [(0, 65_535), (1, 1), (1500, 1500), (262_144, 262_144), (u32::MAX, 262_144)] {
            let format = Format::new(asked, Precision::Nanoseconds);
            assert_eq!(format.snap_len, kept, "{asked}");
            let packet = vec![0; 300_000];
            assert_eq!(format.record(SystemTime::UNIX_EPOCH, &packet).1.len(), kept as usize, "{asked}");
        }
    }

    #[test]
    fn records_keep_the_original_length() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(0x0102, 0x0304);
        let (header, kept) = Format::new(2, Precision::Nanoseconds).record(at, &[0x45, 1, 2]);
        assert_eq!(header, [2, 1, 0, 0, 4, 3, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(kept, [0x45, 1]);
    }

    #[test]
    fn times_saturate() {
        let epoch = SystemTime::UNIX_EPOCH;
        let last = epoch + Duration::new(u32::MAX.into(), 999_999_999);
        let nano = |at| time_stamp(Precision::Nanoseconds, at);
        let micro = |at| time_stamp(Precision::Microseconds, at);
        assert_eq!(nano(epoch - Duration::from_nanos(1)), (0, 0));
        assert_eq!(nano(epoch - Duration::from_secs(1 << 32)), (0, 0));
        assert_eq!(nano(epoch + Duration::new(7, 1_999)), (7, 1_999));
        assert_eq!(micro(epoch + Duration::new(7, 1_999)), (7, 1));
        assert_eq!(nano(last), (u32::MAX, 999_999_999));
        assert_eq!(nano(last + Duration::from_nanos(1)), (u32::MAX, 999_999_999));
        assert_eq!(micro(last + Duration::from_secs(1)), (u32::MAX, 999_999));
    }
}
