//! What is being done and how long it still takes, on standard error, if a person is watching there.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How wide the bar is.
const BAR: usize = 24;

/// How much of the line the name of the case may take.
const NAME: usize = 60;

#[derive(Debug)]
pub(crate) struct Progress {
    on: bool,
    began: Instant,
    /// How many seconds all is expected to take, and the cases that are done.
    planned: f64,
    done: f64,
}

impl Progress {
    /// For as many seconds as are planned.
    pub(crate) fn new(planned: f64) -> Self {
        Self { on: io::stderr().is_terminal(), began: Instant::now(), planned, done: 0.0 }
    }

    /// Shows that this share of a case, planned for so many seconds, is done.
    pub(crate) fn show(&self, case: &str, seconds: f64, share: f64) {
        if self.on {
            let line = line(case, self.done + seconds * share, self.planned, self.began.elapsed());
            // Nobody reading it is no reason to stop.
            let _ = write!(io::stderr(), "\r{line}\x1b[K");
        }
    }

    /// A case, planned for so many seconds, is done. Leaves nothing on the line.
    pub(crate) fn done(&mut self, seconds: f64) {
        self.done += seconds;
        if self.on {
            // Carriage return, then clear to the end of the line.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// A bar, the share that is done, the time that is left, the name of what is under way.
fn line(case: &str, done: f64, planned: f64, elapsed: Duration) -> String {
    let share = if planned > 0.0 { (done / planned).clamp(0.0, 1.0) } else { 0.0 };
    let full = (share * BAR as f64) as usize;
    // At first as planned; then as slow as it has been until now.
    let pace = if done > 2.0 { elapsed.as_secs_f64() / done } else { 1.0 };
    let left = ((planned - done).max(0.0) * pace).ceil() as u64;
    let left = if left >= 60 { format!("{}:{:02} min", left / 60, left % 60) } else { format!("{left} s") };
    let name: String = case.chars().take(NAME).collect();
    format!("  {}{} {:3.0} %, {left} left: {name}", "█".repeat(full), "░".repeat(BAR - full), share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_planned_at_first_and_then_measured() {
        let at = |done, elapsed| line("bulk", done, 100.0, Duration::from_secs(elapsed));
        assert_eq!(at(0.0, 0), "  ░░░░░░░░░░░░░░░░░░░░░░░░   0 %, 1:40 min left: bulk");
        assert_eq!(at(50.0, 60), "  ████████████░░░░░░░░░░░░  50 %, 1:00 min left: bulk");
        assert_eq!(at(100.0, 300), "  ████████████████████████ 100 %, 0 s left: bulk");
        assert_eq!(at(75.0, 75), "  ██████████████████░░░░░░  75 %, 25 s left: bulk");
    }

    #[test]
    fn nothing_planned_and_long_names_do_no_harm() {
        let text = line(&"x".repeat(500), 3.0, 0.0, Duration::from_secs(1));
        assert!(text.contains("  0 %, 0 s left") && text.chars().count() < 130, "{text}");
    }
}
