//! Memory, as a fresh process sees it: in one that has measured before there is memory to be used again.

use std::io;
use std::process::Command;
use std::str::FromStr;

use super::{idle, stacks};
use crate::args::RESIDENT;

/// What is weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resident {
    /// Both ends of so many idle connections, with small buffers or the default ones.
    Pairs { count: usize, small: bool },
    /// So many stacks.
    Stacks(usize),
}

/// As the command line of that process has it: "10000", "10000,small", "1000,stacks".
impl FromStr for Resident {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (count, what) = text.split_once(',').unwrap_or((text, ""));
        let count = count.parse().ok().filter(|count| (1..=1_000_000).contains(count)).ok_or(())?;
        match what {
            "" => Ok(Self::Pairs { count, small: false }),
            "small" => Ok(Self::Pairs { count, small: true }),
            "stacks" => Ok(Self::Stacks(count)),
            _ => Err(()),
        }
    }
}

impl std::fmt::Display for Resident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pairs { count, small: false } => write!(f, "{count}"),
            Self::Pairs { count, small: true } => write!(f, "{count},small"),
            Self::Stacks(count) => write!(f, "{count},stacks"),
        }
    }
}

/// Bytes of one of them, as a process of its own finds.
pub(super) fn of(what: Resident) -> io::Result<f64> {
    let output = Command::new(std::env::current_exe()?).args([RESIDENT, &what.to_string()]).output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(message));
    }
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, text))
}

/// What that process does.
pub(crate) fn weigh(what: Resident) -> io::Result<f64> {
    match what {
        Resident::Pairs { count, small } => idle::weight(count, small),
        Resident::Stacks(count) => stacks::weight(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_told_what_to_weigh() {
        for what in [
            Resident::Pairs { count: 7, small: false },
            Resident::Pairs { count: 9, small: true },
            Resident::Stacks(3),
        ] {
            assert_eq!(what.to_string().parse(), Ok(what));
        }
        for wrong in ["", "0", "x", "7,large", "-1"] {
            assert!(wrong.parse::<Resident>().is_err(), "{wrong}");
        }
    }
}
