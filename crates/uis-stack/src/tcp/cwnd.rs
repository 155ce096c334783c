//! The congestion window: how much may be in flight (RFC 5681, RFC 9438).
//!
//! smoltcp's own is switched off: it begins with less than two segments whatever their size, is cut once per hole of a
//! loss, and cannot be told anything. The engine holds smoltcp to this one by the windows that it lets it see.

use std::time::Duration;

use uis_clock::Instant;

use crate::config::Congestion;

/// RFC 9438 §4.1 and §4.6.
const C: f64 = 0.4;
const BETA_CUBIC: f64 = 0.7;
/// RFC 9438 §4.3: what makes CUBIC take as much as Reno would.
const ALPHA_CUBIC: f64 = 3.0 * (1.0 - BETA_CUBIC) / (1.0 + BETA_CUBIC);

/// The window of one sender. All sizes are bytes.
#[derive(Debug)]
pub(crate) struct Cwnd {
    control: Congestion,
    mss: f64,
    window: f64,
    ssthresh: f64,
    cubic: Cubic,
}

/// CUBIC's curve since the last loss.
#[derive(Debug, Default)]
struct Cubic {
    /// When the window began to follow it.
    epoch: Option<Instant>,
    w_max: f64,
    /// How many seconds after the epoch the curve is back at `w_max`.
    k: f64,
    /// What Reno's window would be.
    w_est: f64,
    /// The window at the last loss, up to which `w_est` grows more slowly than Reno's (§4.3).
    prior: f64,
}

impl Cwnd {
    /// RFC 6928: ten segments at first, or 14,600 bytes if that is less but two segments.
    pub(crate) fn new(control: Congestion, mss: usize) -> Self {
        let mss = mss as f64;
        Self {
            control,
            mss,
            window: (10.0 * mss).min(14_600_f64.max(2.0 * mss)),
            ssthresh: f64::INFINITY,
            cubic: Cubic::default(),
        }
    }

    /// How much may be in flight.
    pub(crate) fn window(&self) -> usize {
        match self.control {
            Congestion::None => usize::MAX,
            _ => self.window as usize,
        }
    }

    /// The segments got smaller.
    pub(crate) fn set_mss(&mut self, mss: usize) {
        self.mss = mss as f64;
        self.window = self.window.max(self.mss);
    }

    /// `acked` bytes were acknowledged while `in_flight` were under way. `most` is what the window need not exceed.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        acked: usize,
        in_flight: usize,
        srtt: Option<Duration>,
        most: usize,
    ) {
        let (acked, in_flight) = (acked as f64, in_flight as f64);
        let slow_start = self.window < self.ssthresh;
        // RFC 7661 §4.1: a window that is not used says nothing about the path. In slow start half of it is enough, since
        // what is acknowledged now was sent when the window was half as large.
        let used = if slow_start { 2.0 * in_flight } else { in_flight + 2.0 * self.mss };
        if self.window >= most as f64 || self.window > used {
            return;
        }
        if slow_start {
            self.window += acked; // RFC 5681 §3.1, and as Linux counts
            return;
        }
        match self.control {
            Congestion::Reno => self.window += self.mss * acked.min(self.window) / self.window,
            _ => self.window = self.cubic.grow(now, self.window, acked, self.mss, srtt.unwrap_or_default()),
        }
    }

    /// A loss was noticed: RFC 5681 §3.2, RFC 9438 §4.6.
    pub(crate) fn on_loss(&mut self, now: Instant) {
        self.cut();
        self.window = self.ssthresh;
        self.cubic.restart(now, self.window, self.mss);
    }

    /// The retransmission timer fired (RFC 5681 §3.1, RFC 9438 §4.8). `again` if it did so before for the same segment.
    pub(crate) fn on_timeout(&mut self, again: bool) {
        if !again {
            self.cut();
        }
        self.window = self.mss;
        self.cubic.epoch = None;
    }

    /// RFC 5681 §4.1: after a pause of more than a time-out, the path has to be felt out anew.
    pub(crate) fn on_idle(&mut self) {
        let initial = Self::new(self.control, self.mss as usize).window;
        self.ssthresh = self.ssthresh.max(self.window * 0.75);
        self.window = self.window.min(initial);
        self.cubic.epoch = None;
    }

    fn cut(&mut self) {
        let (beta, cubic) = match self.control {
            Congestion::Reno => (0.5, false),
            _ => (BETA_CUBIC, true),
        };
        if cubic {
            // §4.7: a loss below the last one's window makes room for others.
            let full = self.window >= self.cubic.w_max;
            self.cubic.w_max = if full { self.window } else { self.window * (1.0 + BETA_CUBIC) / 2.0 };
            self.cubic.prior = self.window;
        }
        self.ssthresh = (self.window * beta).max(2.0 * self.mss);
    }
}

impl Cubic {
    /// §4.2: the curve begins where the window stands.
    fn restart(&mut self, now: Instant, window: f64, mss: f64) {
        self.epoch = Some(now);
        self.w_est = window;
        self.k = cube_root((self.w_max - window).max(0.0) / mss / C);
    }

    /// The window after an acknowledgment in congestion avoidance.
    fn grow(&mut self, now: Instant, window: f64, acked: f64, mss: f64, srtt: Duration) -> f64 {
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => {
                self.w_max = self.w_max.max(window);
                self.restart(now, window, mss);
                now
            }
        };
        let at = |t: f64| C * cube(t - self.k) * mss + self.w_max;
        let t = (now - epoch).as_secs_f64();
        // §4.3
        let alpha = if self.w_est < self.prior { ALPHA_CUBIC } else { 1.0 };
        self.w_est += alpha * mss * acked / window;
        if at(t) < self.w_est {
            return self.w_est.max(window);
        }
        // §4.4: towards where the curve will be one round trip from now, but no faster than slow start.
        let target = at(t + srtt.as_secs_f64()).clamp(window, 1.5 * window);
        window + (target - window) * acked / window
    }
}

// What `f64::powi` and `f64::cbrt` return depends on the machine's libraries and on the compiler, and windows decide what is
// on the wire. The basic operations are exact everywhere (IEEE 754), so these are a function of their input.

fn cube(x: f64) -> f64 {
    x * x * x
}

/// The cube root of a number that is not negative, by Newton's method.
fn cube_root(x: f64) -> f64 {
    if x < f64::MIN_POSITIVE {
        return 0.0;
    }
    // A third of the exponent, with its bias put right: within 5 %, and each step squares the error.
    let mut root = f64::from_bits(x.to_bits() / 3 + (715_094_163 << 32));
    for _ in 0..5 {
        root = (2.0 * root + x / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1000;
    const ALL: usize = usize::MAX;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Acknowledges a whole window, one segment at a time.
    fn round(cwnd: &mut Cwnd, now: Instant) {
        let window = cwnd.window();
        for _ in 0..window / MSS {
            cwnd.on_ack(now, MSS, window, Some(Duration::from_millis(10)), ALL);
        }
    }

    #[test]
    fn the_initial_window_is_that_of_rfc_6928() {
        for (mss, window) in [(536, 5360), (1460, 14_600), (8960, 17_920), (65_495, 130_990)] {
            assert_eq!(Cwnd::new(Congestion::Cubic, mss).window(), window);
        }
        assert_eq!(Cwnd::new(Congestion::None, 1460).window(), usize::MAX);
    }

    #[test]
    fn slow_start_doubles_a_window_that_is_used() {
        let mut cwnd = Cwnd::new(Congestion::Cubic, MSS);
        round(&mut cwnd, at(0));
        assert_eq!(cwnd.window(), 20 * MSS);
        cwnd.on_ack(at(0), MSS, MSS, None, ALL);
        assert_eq!(cwnd.window(), 20 * MSS);
        cwnd.on_ack(at(0), MSS, 20 * MSS, None, 20 * MSS);
        assert_eq!(cwnd.window(), 20 * MSS);
    }

    #[test]
    fn reno_halves_and_grows_by_a_segment_a_round() {
        let mut cwnd = Cwnd::new(Congestion::Reno, MSS);
        round(&mut cwnd, at(0));
        cwnd.on_loss(at(0));
        assert_eq!(cwnd.window(), 10 * MSS);
        round(&mut cwnd, at(10));
        assert!((10_900..=11_000).contains(&cwnd.window()), "{}", cwnd.window());
    }

    #[test]
    fn cubic_comes_back_to_its_old_window_after_k_seconds() {
        let mut cwnd = Cwnd::new(Congestion::Cubic, MSS);
        while cwnd.window() < 1000 * MSS {
            round(&mut cwnd, at(0));
        }
        let before = cwnd.window();
        cwnd.on_loss(at(0));
        assert_eq!(cwnd.window(), (before as f64 * 0.7) as usize);
        // K = cbrt(W_max · 0.3 / 0.4), §4.2.
        let k = (before as f64 / MSS as f64 * 0.3 / 0.4).cbrt();
        let mut ms = 0;
        while cwnd.window() < before * 99 / 100 {
            ms += 10;
            round(&mut cwnd, at(ms));
        }
        let took = ms as f64 / 1000.0;
        assert!((0.6 * k..1.1 * k).contains(&took), "{took} s instead of {k} s");
    }

    #[test]
    fn a_time_out_starts_over_and_cuts_once() {
        let mut cwnd = Cwnd::new(Congestion::Cubic, MSS);
        round(&mut cwnd, at(0));
        cwnd.on_timeout(false);
        cwnd.on_timeout(true);
        assert_eq!((cwnd.window(), cwnd.ssthresh), (MSS, 14_000.0));
    }

    #[test]
    fn a_pause_leads_back_to_the_initial_window() {
        let mut cwnd = Cwnd::new(Congestion::Cubic, MSS);
        round(&mut cwnd, at(0));
        cwnd.on_idle();
        assert_eq!(cwnd.window(), 10 * MSS);
    }

    #[test]
    fn cube_roots_are_close_and_the_same_everywhere() {
        assert_eq!([0.0, 1.0, 8.0, 27.0, 1e9].map(cube_root), [0.0, 1.0, 2.0, 3.0, 1000.0]);
        for x in [1e-12, 0.3, 2.0, 123.456, 7e8, 1e15] {
            assert!((cube(cube_root(x)) / x - 1.0).abs() < 1e-14, "{x}");
        }
        assert_eq!(cube_root(2.0).to_bits(), 0x3ff4_28a2_f98d_728b);
    }
}
