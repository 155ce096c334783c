//! TCP segments as lines of text, much as packetdrill and tcpdump write them.
//!
//! `S 0 win 65535 <mss 1460>`, `. 1:101 ack 1`, `F 101 ack 1`, `R 1`: the flags but for ACK (`.` for none of them), the
//! sequence numbers of the data, the acknowledgment, which stands for the ACK flag too, and the window as it is in the
//! header. `P`, a PSH, is for what is injected only. All numbers are relative to the initial ones.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use uis_vnic::Frame;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// A segment. What is `None` is not there, or of no matter where a segment is expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Without ACK and PSH.
    pub flags: u8,
    pub seq: i64,
    pub len: usize,
    pub ack: Option<i64>,
    pub win: Option<u16>,
    pub mss: Option<u16>,
    pub wscale: Option<u8>,
    pub sack_ok: bool,
    pub sack: Vec<(i64, i64)>,
}

/// The absolute numbers behind the relative ones: those of who sends, and of who receives.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub src_isn: u32,
    pub dst_isn: u32,
}

impl Segment {
    /// Reads a line.
    ///
    /// # Panics
    ///
    /// If it is none.
    #[track_caller]
    pub fn parse(line: &str) -> Self {
        Self::try_parse(line).unwrap_or_else(|| panic!("no segment: {line}"))
    }

    fn try_parse(line: &str) -> Option<Self> {
        let (line, options) = match line.split_once('<') {
            Some((line, options)) => (line, options.trim().strip_suffix('>')?),
            None => (line, ""),
        };
        let mut words = line.split_whitespace();
        let mut segment = Self::default();
        for flag in words.next()?.chars() {
            segment.flags |= match flag {
                'S' => SYN,
                'F' => FIN,
                'R' => RST,
                'P' => PSH,
                '.' => 0,
                _ => return None,
            };
        }
        let numbers = words.next()?;
        (segment.seq, segment.len) = match numbers.split_once(':') {
            Some((from, to)) => {
                let from: i64 = from.parse().ok()?;
                (from, usize::try_from(to.parse::<i64>().ok()? - from).ok()?)
            }
            None => (numbers.parse().ok()?, 0),
        };
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word {
                "ack" => segment.ack = Some(value.parse().ok()?),
                "win" => segment.win = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            match option.split_once(' ') {
                None if option == "sackOK" => segment.sack_ok = true,
                Some(("mss", value)) => segment.mss = Some(value.parse().ok()?),
                Some(("wscale", value)) => segment.wscale = Some(value.parse().ok()?),
                Some(("sack", value)) => {
                    let (from, to) = value.split_once(':')?;
                    segment.sack.push((from.parse().ok()?, to.parse().ok()?));
                }
                _ => return None,
            }
        }
        Some(segment)
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The number behind its last.
    pub fn end(&self) -> i64 {
        self.seq + self.len as i64 + i64::from(self.has(SYN)) + i64::from(self.has(FIN))
    }

    /// Whether `sent` is what this one says.
    pub fn expects(&self, sent: &Self) -> bool {
        let same = |s: &Self| (s.flags, s.seq, s.len, s.ack);
        same(self) == same(sent)
            && self.win.is_none_or(|win| sent.win == Some(win))
            && self.mss.is_none_or(|mss| sent.mss == Some(mss))
            && self.wscale.is_none_or(|shift| sent.wscale == Some(shift))
            && (!self.sack_ok || sent.sack_ok)
            && (self.sack.is_empty() || self.sack == sent.sack)
    }

    /// The packet, with its data and right checksums.
    pub fn packet(&self, at: &Origin) -> Vec<u8> {
        let mut options = Vec::new();
        if let Some(mss) = self.mss {
            options.extend([2, 4]);
            options.extend(mss.to_be_bytes());
        }
        if let Some(shift) = self.wscale {
            options.extend([1, 3, 3, shift]);
        }
        if self.sack_ok {
            options.extend([1, 1, 4, 2]);
        }
        if !self.sack.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * self.sack.len() as u8]);
            for (from, to) in &self.sack {
                options.extend(at.dst_isn.wrapping_add(*from as u32).to_be_bytes());
                options.extend(at.dst_isn.wrapping_add(*to as u32).to_be_bytes());
            }
        }
        let mut tcp = Vec::new();
        tcp.extend(at.src.port().to_be_bytes());
        tcp.extend(at.dst.port().to_be_bytes());
        tcp.extend(at.src_isn.wrapping_add(self.seq as u32).to_be_bytes());
        tcp.extend(self.ack.map_or(0, |ack| at.dst_isn.wrapping_add(ack as u32)).to_be_bytes());
        tcp.push(((20 + options.len()) as u8 / 4) << 4);
        tcp.push(self.flags | if self.ack.is_some() { ACK } else { 0 });
        tcp.extend(self.win.unwrap_or(u16::MAX).to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(options);
        tcp.extend(stream(self.seq - 1, self.len));
        ip(at.src.ip(), at.dst.ip(), 6, &tcp)
    }

    /// Reads a packet back, and checks that its data is that of the stream. `None` if it is no TCP.
    pub fn of(packet: &[u8], src_isn: u32, dst_isn: u32) -> Option<Self> {
        let (protocol, header) = if packet[0] >> 4 == 4 { (packet[9], 20) } else { (packet[6], 40) };
        if protocol != 6 {
            return None;
        }
        let tcp = &packet[header..];
        let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().expect("four bytes"));
        let relative = |number: u32, isn: u32| i64::from(number.wrapping_sub(isn) as i32);
        let header_len = usize::from(tcp[12] >> 4) * 4;
        let flags = tcp[13];
        let data = &tcp[header_len..];
        let mut segment = Self {
            flags: flags & !(ACK | PSH),
            seq: relative(word(4), src_isn),
            len: data.len(),
            ack: (flags & ACK != 0).then(|| relative(word(8), dst_isn)),
            win: Some(u16::from_be_bytes([tcp[14], tcp[15]])),
            ..Self::default()
        };
        let mut options = &tcp[20..header_len];
        while let Some((&kind, rest)) = options.split_first() {
            options = match (kind, rest) {
                (0, _) => break,
                (1, _) => rest,
                (_, &[len, ..]) => {
                    let value = &options[2..len.into()];
                    match kind {
                        2 => segment.mss = Some(u16::from_be_bytes([value[0], value[1]])),
                        3 => segment.wscale = Some(value[0]),
                        4 => segment.sack_ok = true,
                        5 => {
                            segment.sack = value
                                .chunks(8)
                                .map(|block| {
                                    let edge = |at: usize| {
                                        let bytes = block[at..at + 4].try_into().expect("four bytes");
                                        relative(u32::from_be_bytes(bytes), dst_isn)
                                    };
                                    (edge(0), edge(4))
                                })
                                .collect();
                        }
                        _ => {}
                    }
                    &options[len.into()..]
                }
                (_, []) => break,
            };
        }
        assert!(data == stream(segment.seq - 1, data.len()), "wrong bytes in the segment {segment}");
        Some(segment)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, letter) in [(SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P")] {
            if self.has(flag) {
                f.write_str(letter)?;
            }
        }
        if self.flags == 0 {
            f.write_str(".")?;
        }
        write!(f, " {}", self.seq)?;
        if self.len > 0 {
            write!(f, ":{}", self.seq + self.len as i64)?;
        }
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(win) = self.win {
            write!(f, " win {win}")?;
        }
        let mut options = Vec::new();
        options.extend(self.mss.map(|mss| format!("mss {mss}")));
        options.extend(self.wscale.map(|shift| format!("wscale {shift}")));
        options.extend(self.sack_ok.then(|| "sackOK".into()));
        options.extend(self.sack.iter().map(|(from, to)| format!("sack {from}:{to}")));
        if options.is_empty() { Ok(()) } else { write!(f, " <{}>", options.join(",")) }
    }
}

/// The bytes at `from..from + len` of every stream here, so that data can be checked wherever it turns up.
pub fn stream(from: i64, len: usize) -> Vec<u8> {
    (from..from + len as i64).map(|at| ((at as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()
}

/// An IP packet with right checksums.
pub fn ip(src: IpAddr, dst: IpAddr, protocol: u8, upper: &[u8]) -> Vec<u8> {
    let mut packet = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let len = (20 + upper.len() as u16).to_be_bytes();
            let mut header = vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let len = (upper.len() as u16).to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        _ => panic!("{src} and {dst} are of different families"),
    };
    packet.extend_from_slice(upper);
    let mut frame = Frame::new(packet);
    assert!(frame.fix_checksums());
    frame.into_packet()
}
