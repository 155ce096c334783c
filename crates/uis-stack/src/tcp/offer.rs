//! The receive window to offer (RFC 9293 §3.8.6.2.2, RFC 7323 §2).

use super::seq::Seq;

/// Where the window that a segment offers should end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// The end of what is offered. It never moves back.
    edge: Seq,
    /// The end of what there is room for.
    room: Seq,
    /// By how much windows are shifted.
    scale: u8,
}

impl Offer {
    /// By how much windows are shifted.
    pub(crate) fn scale(&self) -> u8 {
        self.scale
    }

    /// What to offer when there is room up to `room`, and `offered` was the end of the last offer: all of it, unless
    /// that is less than `step` more. A window that grows in small steps is filled with small segments.
    pub(crate) fn new(offered: Seq, room: Seq, step: usize, scale: u8) -> Self {
        let edge = if room.since(offered) as usize >= step { room } else { offered };
        Self { edge, room, scale }
    }

    /// The window field of a segment that acknowledges everything before `ack`.
    pub(crate) fn field(&self, ack: Seq) -> u16 {
        // A shifted window cannot say every length. Rounding up keeps its end from moving back (RFC 7323 §2.4).
        let wanted = self.edge.since(ack).div_ceil(1 << self.scale);
        let most = self.room.since(ack) >> self.scale;
        wanted.min(most).min(u16::MAX.into()) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_are_not_told() {
        let field = |offered, room| Offer::new(Seq(offered), Seq(room), 1460, 0).field(Seq(1000));
        assert_eq!(field(1000, 1000), 0);
        assert_eq!(field(1000, 2459), 0);
        assert_eq!(field(1000, 2460), 1460);
        assert_eq!(field(5000, 6459), 4000);
        assert_eq!(field(5000, 6460), 5460);
        assert_eq!(field(5000, 500_000), 65_535);
    }

    #[test]
    fn the_end_does_not_move_back_for_want_of_digits() {
        // A megabyte is read byte by byte as it comes.
        let (capacity, scale) = (1 << 20, 5);
        let mut edge = Seq(capacity);
        for received in 1..5000 {
            let (ack, room) = (Seq(received), Seq(received + capacity));
            let offer = Offer::new(edge, room, 1460, scale);
            let told = ack + (u32::from(offer.field(ack)) << scale);
            assert!(edge <= told && told <= room, "{received}: {edge:?} {told:?} {room:?}");
            edge = told;
        }
    }
}
