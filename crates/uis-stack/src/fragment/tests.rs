//! What is cut, and what becomes of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use uis_clock::Instant;

use super::split::TooBig;
use super::*;
use crate::wire::DiscardReason::{self, *};
use crate::wire::testing::{self, Rng, edit, extended, fragment_header, udp_datagram};
use crate::wire::{self, Body, UdpFields, be16, parse, protocol};

const MIB: usize = 1 << 20;

fn start() -> Instant {
    Instant::default() + Duration::from_secs(1000)
}

/// A datagram of `len` bytes of noise.
fn datagram(v4: bool, len: usize) -> Vec<u8> {
    let fields = UdpFields {
        src: SocketAddr::new(testing::src(v4), 1000),
        dst: SocketAddr::new(testing::dst(v4), 53),
        hop_limit: 64,
        ecn: 1,
        ident: 77,
        dont_fragment: false,
    };
    wire::udp(&fields, &Rng(len as u64).bytes(len))
}

fn cut(packet: &[u8], mtu: usize, ident: u32) -> Vec<Vec<u8>> {
    let mut fragments = Vec::new();
    split(packet.to_vec(), mtu, ident, |fragment| fragments.push(fragment)).unwrap();
    fragments
}

fn insert(reassembly: &mut Reassembly, bytes: &[u8], now: Instant) -> Result<Option<Vec<u8>>, DiscardReason> {
    let packet = parse(bytes, false)?;
    let Body::Fragment(fragment) = packet.body else { panic!("{packet:?}") };
    reassembly.insert(&packet, &fragment, now)
}

/// Inserts all in turn; none may be refused. What came out of it.
fn insert_all<'a>(
    reassembly: &mut Reassembly,
    fragments: impl IntoIterator<Item = &'a Vec<u8>>,
) -> Vec<Vec<u8>> {
    fragments.into_iter().filter_map(|bytes| insert(reassembly, bytes, start()).unwrap()).collect()
}

/// A fragment of bytes that depend on nothing but their place.
fn part(v4: bool, id: u16, offset: usize, len: usize, more: bool) -> Vec<u8> {
    let bytes: Vec<u8> = (offset..offset + len).map(|at| ((at * 31) >> 3) as u8).collect();
    part_of(v4, id, offset, &bytes, more)
}

fn part_of(v4: bool, id: u16, offset: usize, bytes: &[u8], more: bool) -> Vec<u8> {
    if v4 {
        edit(testing::ip(true, protocol::UDP, bytes), |p| {
            let placement = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
            p[4..6].copy_from_slice(&id.to_be_bytes());
            p[6..8].copy_from_slice(&placement.to_be_bytes());
        })
    } else {
        // Protocol 0 leaves the bytes as they are.
        let header = fragment_header(protocol::UDP, offset as u16, more, id.into());
        extended(protocol::FRAGMENT, &header, 0, bytes)
    }
}

#[test]
fn what_fits_stays_whole() {
    for v4 in [true, false] {
        let packet = datagram(v4, 1000);
        assert!(cut(&packet, packet.len(), 1) == [&packet[..]]);
        assert_eq!(cut(&packet, packet.len() - 1, 1).len(), 2);
    }
}

#[test]
fn fragments_are_well_formed() {
    for (v4, header_len) in [(true, 20), (false, 48)] {
        let packet = datagram(v4, 5000);
        for mtu in [68, 576, 1280, 1281, 1499, 1500, 4000] {
            let fragments = cut(&packet, mtu, 0xdead_beef);
            let mut at = 0;
            for (i, bytes) in fragments.iter().enumerate() {
                let parsed = parse(bytes, false).unwrap();
                assert_eq!((parsed.bytes.len(), parsed.hop_limit, parsed.ecn), (bytes.len(), 64, 1));
                let Body::Fragment(fragment) = parsed.body else { panic!("{parsed:?}") };
                let is_last = i + 1 == fragments.len();
                assert_eq!(
                    (fragment.offset, fragment.more, fragment.protocol),
                    (at, !is_last, protocol::UDP)
                );
                assert_eq!(fragment.id, if v4 { 77 } else { 0xdead_beef });
                assert!(bytes.len() <= mtu && (is_last || bytes.len() + 8 > mtu), "as long as can be");
                assert_eq!(fragment.header.len(), header_len);
                assert!(v4 || bytes[41] == 0, "a reserved field");
                at += fragment.payload.len();
            }
            assert_eq!(at, 5008);
        }
    }
}

#[test]
fn too_big() {
    let never = |_| panic!("nothing may come out");
    for (v4, least) in [(true, 28), (false, 56)] {
        assert_eq!(split(datagram(v4, 1000), least - 1, 1, never), Err(TooBig));
        assert_eq!(split(datagram(v4, 1000), 0, 1, never), Err(TooBig));
        assert_eq!(cut(&datagram(v4, 1000), least, 1).len(), 1008 / 8);
    }
    let dont_fragment = edit(datagram(true, 1000), |p| p[6] |= 0x40);
    assert_eq!(split(dont_fragment.clone(), 1000, 1, never), Err(TooBig));
    assert_eq!(cut(&dont_fragment, 1028, 1), [dont_fragment]);
}

#[test]
fn what_was_cut_becomes_whole_in_any_order() {
    let mut rng = Rng(5);
    let mut reassembly = Reassembly::new(4 * MIB);
    for v4 in [true, false] {
        let most = if v4 { 65_507 } else { 65_527 };
        let mut sizes = vec![most, most - 1, 65_000, 1473, 1472 * 2, 4096, 600];
        sizes.extend((0..40).map(|_| 600 + rng.below(9000)));
        for len in sizes {
            let packet = datagram(v4, len);
            for mtu in [576, 1280 + rng.below(300), 9000, 65_535] {
                let mut fragments = cut(&packet, mtu, rng.next() as u32);
                if fragments.len() == 1 {
                    continue;
                }
                rng.shuffle(&mut fragments);
                // Some come twice, all before the last one of them.
                let again = fragments[rng.below(fragments.len() - 1)].clone();
                fragments.insert(fragments.len() - 1, again);
                let whole = insert_all(&mut reassembly, &fragments);
                assert!(
                    whole == [&packet[..]],
                    "IPv4 {v4}, {len} bytes, MTU {mtu}: {} came out",
                    whole.len()
                );
                assert_eq!((reassembly.deadline(), reassembly.take_discarded()), (None, BTreeMap::new()));
            }
        }
    }
}

#[test]
fn datagrams_do_not_mix() {
    let mut rng = Rng(6);
    let mut reassembly = Reassembly::new(4 * MIB);
    let mut packets = Vec::new();
    for i in 0..20 {
        for v4 in [true, false] {
            let mut packet = datagram(v4, 3000 + i);
            if v4 {
                packet = edit(packet, |p| p[5] = i as u8);
            }
            packets.push(packet);
        }
    }
    let ids = packets.iter().enumerate().map(|(i, packet)| (i as u32, packet));
    let mut fragments: Vec<_> = ids.flat_map(|(id, packet)| cut(packet, 576, id)).collect();
    rng.shuffle(&mut fragments);
    let mut whole = insert_all(&mut reassembly, &fragments);
    whole.sort();
    packets.sort();
    assert!(whole == packets);

    // The same number from another host, to another address or of another protocol is another datagram.
    for v4 in [true, false] {
        let at = if v4 { 15 } else { 23 };
        let one = part(v4, 7, 0, 64, true);
        let other = edit(part(v4, 7, 64, 64, false), |p| p[at] ^= 0x40);
        assert_eq!(insert_all(&mut reassembly, [&one, &other]), [] as [Vec<u8>; 0]);
    }
    let other = edit(part(true, 7, 64, 64, false), |p| p[9] = protocol::TCP);
    assert_eq!(insert(&mut reassembly, &other, start()), Ok(None));
    // But for IPv6, only the first fragment says which protocol it is (RFC 8200 §4.5).
    let other = edit(part(false, 7, 64, 64, false), |p| p[40] = protocol::TCP);
    let whole = insert(&mut reassembly, &other, start()).unwrap().unwrap();
    assert_eq!((whole[6], whole.len()), (protocol::UDP, 40 + 128));
}

/// Offset, length, and whether more follow.
type Piece = (usize, usize, bool);

/// The pieces of one datagram in this order, and what each is answered with: `Ok(true)` is a whole datagram. Then
/// what is lost besides those that were refused.
#[track_caller]
fn check(name: &str, pieces: &[(Piece, Result<bool, DiscardReason>)], discarded: &[(DiscardReason, u64)]) {
    for v4 in [true, false] {
        let mut reassembly = Reassembly::new(4 * MIB);
        for &((offset, len, more), expected) in pieces {
            let found = insert(&mut reassembly, &part(v4, 1, offset, len, more), start());
            assert_eq!(found.map(|whole| whole.is_some()), expected, "{name}, IPv4 {v4}, {offset}+{len}");
        }
        assert_eq!(reassembly.take_discarded(), discarded.iter().copied().collect(), "{name}, IPv4 {v4}");
    }
}

#[test]
fn overlaps_and_contradictions() {
    const M: bool = true; // more
    const L: bool = false; // last
    let gap = Ok(false);
    let whole = Ok(true);
    let overlap = Err(FragmentOverlap);
    let bad = Err(BadFragment);
    check("in order", &[((0, 64, M), gap), ((64, 64, M), gap), ((128, 5, L), whole)], &[]);
    check("backwards", &[((128, 5, L), gap), ((64, 64, M), gap), ((0, 64, M), whole)], &[]);
    check("duplicates", &[((0, 64, M), gap), ((0, 64, M), gap), ((64, 9, L), whole), ((64, 9, L), gap)], &[]);
    check("duplicate last", &[((64, 9, L), gap), ((64, 9, L), gap), ((0, 64, M), whole)], &[]);
    let one = [(FragmentOverlap, 1)];
    check("into the one before", &[((0, 64, M), gap), ((56, 64, M), overlap)], &one);
    check("into the one after", &[((64, 64, M), gap), ((0, 72, M), overlap)], &one);
    check("inside another", &[((0, 64, M), gap), ((8, 16, M), overlap)], &one);
    check("around another", &[((64, 64, M), gap), ((0, 256, M), overlap)], &one);
    check("shorter", &[((0, 64, M), gap), ((0, 56, M), overlap)], &one);
    check("longer", &[((0, 64, M), gap), ((0, 72, M), overlap)], &one);
    check(
        "around two",
        &[((0, 64, M), gap), ((128, 64, M), gap), ((56, 80, M), overlap)],
        &[(FragmentOverlap, 2)],
    );
    check("over the end", &[((64, 9, L), gap), ((64, 16, M), overlap)], &one);
    let nothing_more =
        [((0, 64, M), gap), ((56, 8, M), overlap), ((64, 8, L), overlap), ((0, 64, M), overlap)];
    check("nothing after an overlap counts", &nothing_more, &one);
    let one = [(BadFragment, 1)];
    check("behind the end", &[((64, 8, L), gap), ((72, 8, M), bad)], &one);
    check("a second end behind the first", &[((64, 8, L), gap), ((128, 8, L), bad)], &one);
    check("a second end before the first", &[((64, 8, L), gap), ((8, 8, L), bad)], &one);
    check("the end before what is there", &[((64, 8, M), gap), ((8, 8, L), bad)], &one);
    check("spoilt for good", &[((64, 8, M), gap), ((8, 8, L), bad), ((0, 64, M), overlap)], &one);
    check("not a multiple of 8", &[((0, 60, M), bad), ((0, 64, M), gap), ((64, 1, L), whole)], &[]);
    check("empty", &[((64, 0, M), bad), ((64, 0, L), bad), ((0, 64, M), gap)], &[]);
    check(
        "8 bytes at a time",
        &[((16, 8, M), gap), ((0, 8, M), gap), ((24, 1, L), gap), ((8, 8, M), whole)],
        &[],
    );
    check("past 65,535", &[((65_528, 8, L), bad), ((65_528, 64, L), bad), ((65_520, 16, M), bad)], &[]);
}

#[test]
fn the_same_place_with_other_bytes_is_an_overlap() {
    for v4 in [true, false] {
        let mut reassembly = Reassembly::new(MIB);
        assert_eq!(insert(&mut reassembly, &part_of(v4, 1, 0, &[1; 64], true), start()), Ok(None));
        let found = insert(&mut reassembly, &part_of(v4, 1, 0, &[2; 64], true), start());
        assert_eq!(found, Err(FragmentOverlap));
    }
}

#[test]
fn no_packet_becomes_longer_than_a_packet_can_be() {
    // The payload of the last may end where 65,535 bytes do, counted with the headers of the whole packet.
    for (v4, most) in [(true, 65_515), (false, 65_535)] {
        for (end, expected) in [(most, Ok(None)), (most + 1, Err(BadFragment))] {
            let mut reassembly = Reassembly::new(MIB);
            assert_eq!(insert(&mut reassembly, &part(v4, 1, 65_504, end - 65_504, false), start()), expected);
        }
    }
    // The first fragment's options make it too long; the others had none.
    let mut reassembly = Reassembly::new(MIB);
    let mut fragments = vec![];
    for offset in (1000..65_515).step_by(1000) {
        fragments.push(part(true, 1, offset, (65_515 - offset).min(1000), offset + 1000 < 65_515));
    }
    assert_eq!(insert_all(&mut reassembly, &fragments), [] as [Vec<u8>; 0]);
    let first = edit(part(true, 1, 0, 1000, true), |p| {
        p[0] += 1;
        p.splice(20..20, [1; 4]);
    });
    assert_eq!(insert(&mut reassembly, &first, start()), Err(BadFragment));
    assert_eq!(reassembly.take_discarded(), BTreeMap::from([(BadFragment, 65)]));
}

#[test]
fn headers_come_from_the_first_fragment() {
    let mut reassembly = Reassembly::new(MIB);
    let options = |byte: u8| {
        move |p: &mut Vec<u8>| {
            p[0] += 1;
            p.splice(20..20, [1, 1, 1, byte]);
        }
    };
    let second = edit(part(true, 1, 64, 8, false), |p| p[8] = 9);
    let first = edit(edit(part(true, 1, 0, 64, true), options(0)), |p| p[8] = 33);
    let whole = insert_all(&mut reassembly, [&second, &first]).remove(0);
    assert_eq!((whole[0], whole[8], be16(&whole, 2), be16(&whole, 6)), (0x46, 33, 24 + 72, 0));
    assert_eq!(whole[20..24], [1, 1, 1, 0]);
    assert!(wire::checksum::is_valid(&whole[..24]));

    // Headers before the fragment header stay, and the last of them announces what the fragment header did.
    let payload = udp_datagram(&[5; 64]);
    let padding = [protocol::FRAGMENT, 0, 1, 4, 0, 0, 0, 0];
    let piece = |offset: u16, bytes: &[u8], more| {
        let header = [&padding[..], &fragment_header(protocol::UDP, offset, more, 3)].concat();
        extended(protocol::DESTINATION_OPTIONS, &header, 0, bytes)
    };
    let whole =
        insert_all(&mut reassembly, [&piece(0, &payload[..64], true), &piece(64, &payload[64..], false)])
            .remove(0);
    assert_eq!((whole[6], whole[40], be16(&whole, 4)), (protocol::DESTINATION_OPTIONS, protocol::UDP, 80));
    assert_eq!(whole[48..], payload);
    assert!(matches!(parse(&whole, true).unwrap().body, Body::Udp(_)));
}

#[test]
fn a_congestion_mark_is_kept() {
    for (v4, at, mark) in [(true, 1, 3), (false, 1, 0x30)] {
        for marked in [0, 1, 2] {
            let mut reassembly = Reassembly::new(MIB);
            let packet = datagram(v4, 2000);
            let mut fragments = cut(&packet, 1000, 4);
            fragments[marked] = edit(fragments[marked].clone(), |p| p[at] |= mark);
            let whole = insert_all(&mut reassembly, &fragments).remove(0);
            assert_eq!(parse(&whole, false).unwrap().ecn, 3, "IPv4 {v4}, fragment {marked}");
        }
    }
}

#[test]
fn what_is_never_complete_expires() {
    let second = Duration::from_secs(1);
    for (v4, seconds) in [(true, 30), (false, 60)] {
        let mut reassembly = Reassembly::new(MIB);
        assert_eq!(reassembly.deadline(), None);
        let first = part(v4, 1, 0, 64, true);
        insert(&mut reassembly, &part(v4, 1, 64, 64, true), start()).unwrap();
        insert(&mut reassembly, &first, start() + second).unwrap();
        insert(&mut reassembly, &part(v4, 2, 64, 64, true), start() + second * 2).unwrap();
        let deadline = start() + second * seconds;
        assert_eq!(reassembly.deadline(), Some(deadline), "counted from the first to arrive");
        assert_eq!(reassembly.expire(deadline - Duration::from_nanos(1)), [] as [Vec<u8>; 0]);
        assert_eq!(reassembly.take_discarded(), BTreeMap::new());
        assert_eq!(reassembly.expire(deadline), [&first[..]], "as it arrived");
        assert_eq!(reassembly.take_discarded(), BTreeMap::from([(FragmentTimeout, 2)]));
        assert_eq!(reassembly.deadline(), Some(deadline + second * 2));
        assert_eq!(
            reassembly.expire(deadline + second * 2),
            [] as [Vec<u8>; 0],
            "its first fragment is missing"
        );
        assert_eq!((reassembly.deadline(), reassembly.held()), (None, 0));

        // What is left of a datagram is of no use to a later one of the same number.
        assert_eq!(insert(&mut reassembly, &part(v4, 1, 128, 8, false), deadline), Ok(None));
        assert_eq!(insert(&mut reassembly, &part(v4, 1, 0, 64, true), deadline), Ok(None));
        assert_eq!(
            insert(&mut reassembly, &part(v4, 1, 64, 64, true), deadline).map(|w| w.is_some()),
            Ok(true)
        );
    }
}

#[test]
fn what_is_spoilt_expires_in_silence() {
    let mut reassembly = Reassembly::new(MIB);
    insert(&mut reassembly, &part(true, 1, 0, 64, true), start()).unwrap();
    insert(&mut reassembly, &part(true, 1, 8, 64, true), start()).unwrap_err();
    assert_eq!((reassembly.held(), reassembly.take_discarded().len()), (0, 1));
    let deadline = reassembly.deadline().unwrap();
    assert_eq!(reassembly.expire(deadline), [] as [Vec<u8>; 0]);
    assert_eq!((reassembly.take_discarded(), reassembly.deadline()), (BTreeMap::new(), None));
}

#[test]
fn first_fragments_expire_in_the_order_they_came() {
    let mut reassembly = Reassembly::new(MIB);
    let firsts: Vec<_> = [5, 3, 9, 1].map(|id| part(id % 2 == 0, id, 0, 64, true)).into();
    insert_all(&mut reassembly, &firsts);
    assert_eq!(reassembly.expire(start() + Duration::from_secs(3600)), firsts);
}

#[test]
fn the_number_of_datagrams_is_bounded() {
    for v4 in [true, false] {
        let mut reassembly = Reassembly::new(4 * MIB);
        for id in 0..10_000 {
            assert_eq!(insert(&mut reassembly, &part(v4, id, 0, 8, true), start()), Ok(None));
        }
        assert_eq!(reassembly.take_discarded(), BTreeMap::from([(FragmentLimit, 10_000 - 256)]));
        // The oldest had to go: the newest can still be completed.
        let ends = |id| part(v4, id, 8, 8, false);
        assert_eq!(insert(&mut reassembly, &ends(9_999), start()).map(|whole| whole.is_some()), Ok(true));
        assert_eq!(insert(&mut reassembly, &ends(9_744), start()).map(|whole| whole.is_some()), Ok(true));
        assert_eq!(insert(&mut reassembly, &ends(9_743), start()), Ok(None));
    }
}

#[test]
fn memory_is_bounded() {
    let limit = 100_000;
    for (len, v4) in [(1400, true), (8, false), (7_000, true)] {
        let mut reassembly = Reassembly::new(limit);
        for i in 0..2_000 {
            // 8 fragments of each, the first one missing.
            let fragment = part(v4, (i / 8) as u16, (i % 8 + 1) * len, len, true);
            let found = insert(&mut reassembly, &fragment, start());
            assert_eq!(found, Ok(None));
            assert!(reassembly.held() <= limit);
        }
        assert!(reassembly.take_discarded()[&FragmentLimit] > 0);
        reassembly.expire(start() + Duration::from_secs(3600));
        assert_eq!(reassembly.held(), 0);
    }
}

#[test]
fn one_datagram_beyond_the_limit_is_given_up() {
    let mut reassembly = Reassembly::new(1000);
    assert_eq!(insert(&mut reassembly, &part(true, 1, 0, 400, true), start()), Ok(None));
    assert_eq!(insert(&mut reassembly, &part(true, 1, 400, 400, true), start()), Ok(None));
    assert_eq!(insert(&mut reassembly, &part(true, 1, 800, 400, true), start()), Err(FragmentLimit));
    assert_eq!(reassembly.take_discarded(), BTreeMap::from([(FragmentLimit, 2)]));
    assert_eq!((reassembly.held(), reassembly.deadline()), (0, None));
    // What completes a datagram needs no room.
    assert_eq!(insert(&mut reassembly, &part(true, 2, 0, 800, true), start()), Ok(None));
    assert!(insert(&mut reassembly, &part(true, 2, 800, 8000, false), start()).unwrap().is_some());
}

#[test]
fn noise_keeps_to_the_bounds() {
    let mut rng = Rng(11);
    let mut reassembly = Reassembly::new(10_000);
    let (mut taken, mut whole, mut refused, mut first) = (0, 0, 0, 0);
    let mut now = start();
    for _ in 0..100_000 {
        let (offset, more) = (rng.below(4) * 8, rng.below(3) > 0);
        let fragment =
            part(rng.below(2) == 0, rng.below(150) as u16, offset, [8, 8, 8, 16, 5, 0][rng.below(6)], more);
        // A whole packet, or a first fragment without a UDP header, does not get here.
        if let Ok((packet, Body::Fragment(fragment))) =
            parse(&fragment, false).map(|packet| (packet, packet.body))
        {
            match reassembly.insert(&packet, &fragment, now) {
                Ok(Some(bytes)) => {
                    whole += 1;
                    let found = parse(&bytes, true);
                    assert!(
                        !matches!(found, Ok(packet) if matches!(packet.body, Body::Fragment(_))),
                        "{found:?}"
                    );
                }
                Ok(None) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        now += Duration::from_secs(if rng.below(100) == 0 { 35 } else { 0 });
        if reassembly.deadline().is_some_and(|at| at <= now) {
            first += reassembly.expire(now).len();
            assert!(reassembly.deadline().is_none_or(|at| at > now));
        }
        assert!(reassembly.held() <= 10_000);
    }
    let discarded = reassembly.take_discarded();
    let all = [whole, taken, refused, first];
    assert!(all.iter().all(|&n| n > 300) && discarded.values().all(|&n| n > 300), "{all:?} {discarded:?}");
    assert_eq!(discarded.len(), 4, "{discarded:?}");
}
