//! Packets, byte by byte: what no builder would make.

use std::net::IpAddr;

use uis_vnic::Frame;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// A packet of `protocol` with right checksums, as far as it is whole.
pub fn ip(src: IpAddr, dst: IpAddr, protocol: u8, upper: &[u8]) -> Vec<u8> {
    let mut packet = header(src, dst, protocol, upper.len());
    packet.extend_from_slice(upper);
    sealed(packet)
}

/// A fixed IP header before `len` bytes. The IPv4 one allows fragments and has no checksum yet.
pub fn header(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let [high, low] = ((20 + len) as u16).to_be_bytes();
            let mut header = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let [high, low] = (len as u16).to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, high, low, protocol, 64];
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        _ => panic!("{src} and {dst} are of different families"),
    }
}

/// The packet with right checksums.
pub fn sealed(packet: Vec<u8>) -> Vec<u8> {
    let mut frame = Frame::new(packet);
    frame.fix_checksums();
    frame.into_packet()
}

/// A TCP segment, without its IP header and its checksum.
#[derive(Clone, Debug, Default)]
pub struct Tcp<'a> {
    pub src: u16,
    pub dst: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub urgent: u16,
    /// At most 40 bytes, which are filled up to words with zeros.
    pub options: &'a [u8],
    pub payload: &'a [u8],
}

impl Tcp<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let words = self.options.len().min(40).div_ceil(4);
        let mut bytes = Vec::with_capacity(20 + words * 4 + self.payload.len());
        bytes.extend(self.src.to_be_bytes());
        bytes.extend(self.dst.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        bytes.extend([((5 + words) << 4) as u8, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.urgent.to_be_bytes());
        bytes.extend_from_slice(&self.options[..self.options.len().min(40)]);
        bytes.resize(20 + words * 4, 0);
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

/// A UDP datagram, without its IP header and its checksum.
pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend(src.to_be_bytes());
    bytes.extend(dst.to_be_bytes());
    bytes.extend(((8 + payload.len()) as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

/// What is to be known of a TCP segment that a stack has sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub src: (IpAddr, u16),
    pub dst: (IpAddr, u16),
    pub seq: u32,
    /// The number behind it.
    pub end: u32,
    pub payload: usize,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub scale: Option<u8>,
}

/// Reads a TCP segment without IP options, extension headers and fragments, as stacks send them.
pub fn read_tcp(frame: &Frame) -> Option<Sent> {
    let tcp = match frame.packet() {
        [0x45, _, _, _, _, _, 0 | 0x40, 0, _, 6, ..] => frame.packet().get(20..)?,
        [first, _, _, _, _, _, 6, ..] if first >> 4 == 6 => frame.packet().get(40..)?,
        _ => return None,
    };
    if tcp.len() < 20 || !(20..=tcp.len()).contains(&(usize::from(tcp[12] >> 4) * 4)) {
        return None;
    }
    let word = |i: usize| u16::from_be_bytes([tcp[i], tcp[i + 1]]);
    let long = |i: usize| u32::from(word(i)) << 16 | u32::from(word(i + 2));
    let (flags, offset) = (tcp[13], usize::from(tcp[12] >> 4) * 4);
    let payload = tcp.len() - offset;
    let len = payload as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    let options = &tcp[20..offset];
    let scale = options.windows(3).find(|o| o[..2] == [3, 3]).map(|o| o[2]);
    Some(Sent {
        src: (frame.src()?, word(0)),
        dst: (frame.dst()?, word(2)),
        seq: long(4),
        end: long(4).wrapping_add(len),
        payload,
        ack: long(8),
        flags,
        window: word(14),
        scale,
    })
}
