//! The command line.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

use crate::scenario::Resident;

/// The flag with which the program calls itself to measure memory in a fresh process. Not for users, so the help
/// does not name it.
pub(crate) const RESIDENT: &str = "--resident";

/// The flag with which the program calls itself to do a fixed amount of work, its instructions counted from outside. Useful
/// under a profiler as well, but that is for those who read this.
pub(crate) const FIXED: &str = "--fixed";

/// What `--help` prints.
pub(crate) const HELP: &str = "\
The benchmarks of uis: each figure beside what a bare pair of smoltcp interfaces and the kernel's
loopback do in the same minute on the same machine.

Usage: cargo xtask bench [OPTIONS]

What is measured:
      --quick             a short list and short measurements: under 100 seconds in all
      --only SCENARIO     only what has SCENARIO in its name, as --list prints them; may be repeated
      --list              name what would be measured, and stop
      --mtu N             only this MTU, instead of 1280, 1500, 9000 and 65535
      --flows N           only this number of flows, instead of 1, 10, 100 and 1000
      --idle N            only this number of idle connections, instead of 10, 1000, 10000 and 100000
      --loss PERCENT      only paths that lose this share of the packets, instead of 0.1 % and 1 %
      --delay MS          only paths that take this long one way, instead of 10 ms; with --loss: both
      --no-yardsticks     uis alone, as a profiler wants it

How:
      --duration SECS     of each measurement, after its warm-up (default: 0.5, with --quick 0.2)
      --runs N            how often each is measured (default: 3); the median is reported
      --client-addr ADDR  the client's address on the simulated internet
      --server-addr ADDR  the server's
      --server-port PORT  the server's port (default: 8080)
      --pcap-file FILE    where the capturing scenarios write, each over the one before it; kept
                          (default: a temporary file)
      --pcap-snaplen N    bytes kept of each captured packet, instead of all and 256

Instead of the time:
      --callgrind         count instructions, under valgrind: the same on a busy machine and on an idle
                          one; compares them with those in docs/performance.md, and fails if any has
                          grown by more than 10 %
      --bless             take these counts for the new ones in docs/performance.md

Results:
      --json FILE         the rows as JSON as well
      --html FILE         a page with charts and the whole table, for a browser
      --svg FOLDER        the charts as a file each
      --compare FILE      how they have changed since an earlier run wrote FILE with --json
  -h, --help              this text
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print [`HELP`].
    Help,
    /// Measure, or list what would be measured.
    Run(Box<Options>),
    /// Print how many bytes one of these takes.
    Resident(Resident),
    /// Do the work of this name so many times, for somebody who counts its instructions.
    Fixed { work: String, count: usize },
    /// Count the instructions of the work that has one of `only` in its name, and compare them with those on record.
    Callgrind { only: Vec<String>, bless: bool },
}

/// The options, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) list: bool,
    pub(crate) only: Vec<String>,
    pub(crate) yardsticks: bool,
    pub(crate) duration: Option<Duration>,
    pub(crate) runs: usize,
    pub(crate) mtu: Option<u32>,
    pub(crate) flows: Option<usize>,
    pub(crate) idle: Option<usize>,
    /// The probability, 0 to 1.
    pub(crate) loss: Option<f64>,
    pub(crate) delay: Option<Duration>,
    pub(crate) client_addr: Option<IpAddr>,
    pub(crate) server_addr: Option<IpAddr>,
    pub(crate) server_port: u16,
    pub(crate) pcap_file: Option<PathBuf>,
    pub(crate) pcap_snaplen: Option<u32>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) compare: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quick: false,
            list: false,
            only: Vec::new(),
            yardsticks: true,
            duration: None,
            runs: 3,
            mtu: None,
            flows: None,
            idle: None,
            loss: None,
            delay: None,
            client_addr: None,
            server_addr: None,
            server_port: 8080,
            pcap_file: None,
            pcap_snaplen: None,
            json: None,
            compare: None,
            html: None,
            svg: None,
        }
    }
}

/// Reads the arguments, the program's own name left out.
///
/// # Errors
///
/// A sentence for the user: an unknown flag, a missing or unusable value, addresses that do not go together.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options::default();
    let (mut callgrind, mut bless) = (false, false);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        let unknown = unexpected(&arg);
        let name = match &arg {
            Short('h') => "--help".into(),
            Long(name) => format!("--{name}"),
            _ => return Err(unknown),
        };
        let mut value = || parser.value().map_err(|_| format!("{name} needs a value"));
        match name.as_str() {
            "--help" => return Ok(Command::Help),
            "--quick" => options.quick = true,
            "--list" => options.list = true,
            "--no-yardsticks" => options.yardsticks = false,
            "--only" => options.only.push(text(&name, value()?)?),
            "--duration" => {
                let seconds = in_range(&name, value()?, 0.01..=60.0, "0.01 to 60 seconds")?;
                options.duration = Some(Duration::from_secs_f64(seconds));
            }
            "--runs" => options.runs = in_range(&name, value()?, 1..=1_000, "1 to 1000")?,
            "--mtu" => options.mtu = Some(in_range(&name, value()?, 576..=65_535, "576 to 65535")?),
            "--flows" => options.flows = Some(in_range(&name, value()?, 1..=10_000, "1 to 10000")?),
            "--idle" => options.idle = Some(in_range(&name, value()?, 1..=100_000, "1 to 100000")?),
            "--loss" => {
                options.loss = Some(in_range(&name, value()?, 0.0..=50.0, "0 to 50 per cent")? / 100.0);
            }
            "--delay" => {
                let millis = in_range(&name, value()?, 0.0..=10_000.0, "0 to 10000 milliseconds")?;
                options.delay = Some(Duration::from_secs_f64(millis / 1e3));
            }
            RESIDENT => {
                let asked = text(&name, value()?)?;
                let what = asked.parse().map_err(|()| format!("{name}: {asked:?} is nothing to weigh"))?;
                return Ok(Command::Resident(what));
            }
            FIXED => {
                let asked = text(&name, value()?)?;
                let (work, count) =
                    asked.split_once(',').ok_or_else(|| format!("{name} needs WORK,COUNT"))?;
                let count = in_range(&name, count.into(), 1..=1_000_000_000, "1 to 1000000000")?;
                return Ok(Command::Fixed { work: work.into(), count });
            }
            "--callgrind" => callgrind = true,
            "--bless" => bless = true,
            "--client-addr" => options.client_addr = Some(number(&name, value()?, "an IP address")?),
            "--server-addr" => options.server_addr = Some(number(&name, value()?, "an IP address")?),
            "--server-port" => options.server_port = in_range(&name, value()?, 1..=65_535, "1 to 65535")?,
            "--pcap-file" => options.pcap_file = Some(value()?.into()),
            "--pcap-snaplen" => {
                options.pcap_snaplen = Some(in_range(&name, value()?, 1..=262_144, "1 to 262144")?);
            }
            "--compare" => options.compare = Some(value()?.into()),
            "--html" => options.html = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            "--json" => options.json = Some(value()?.into()),
            _ => return Err(unknown),
        }
    }
    if callgrind {
        return Ok(Command::Callgrind { only: options.only, bless });
    }
    if bless {
        return Err("--bless goes with --callgrind".into());
    }
    check(&options)?;
    Ok(Command::Run(options.into()))
}

/// What no single flag can see.
fn check(options: &Options) -> Result<(), String> {
    let v6 = options.client_addr.or(options.server_addr).filter(IpAddr::is_ipv6);
    if let (Some(addr), Some(mtu @ ..1280)) = (v6, options.mtu) {
        return Err(format!("{addr} needs an MTU of at least 1280, not {mtu}"));
    }
    if let (Some(client), Some(server)) = (options.client_addr, options.server_addr) {
        if client.is_ipv4() != server.is_ipv4() {
            return Err(format!("{client} and {server} are of different families"));
        }
        if client == server {
            return Err(format!("client and server cannot both be {client}"));
        }
    }
    Ok(())
}

fn unexpected(arg: &lexopt::Arg<'_>) -> String {
    let shown = match arg {
        Short(c) => format!("-{c}"),
        Long(name) => format!("--{name}"),
        Value(value) => value.to_string_lossy().into_owned(),
    };
    format!("{shown:?} is not known here; --help lists what is")
}

fn text(name: &str, value: OsString) -> Result<String, String> {
    value.into_string().map_err(|bad| format!("{name}: {bad:?} is not Unicode"))
}

fn number<T: FromStr>(name: &str, value: OsString, wanted: &str) -> Result<T, String> {
    let value = text(name, value)?;
    value.parse().map_err(|_| format!("{name}: {value:?} is not {wanted}"))
}

fn in_range<T: FromStr + PartialOrd>(
    name: &str,
    value: OsString,
    range: std::ops::RangeInclusive<T>,
    wanted: &str,
) -> Result<T, String> {
    let shown = value.to_string_lossy().into_owned();
    match number(name, value, wanted) {
        Ok(parsed) if range.contains(&parsed) => Ok(parsed),
        _ => Err(format!("{name}: {shown:?} is not within {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Options {
        match parse(args.iter().map(OsString::from)) {
            Ok(Command::Run(options)) => *options,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    fn error(args: &[&str]) -> String {
        match parse(args.iter().map(OsString::from)) {
            Err(message) => message,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn nothing_asked_is_the_default() {
        assert_eq!(options(&[]), Options::default());
    }

    #[test]
    fn each_flag_lands_where_it_belongs() {
        let all = options(&[
            "--quick",
            "--list",
            "--no-yardsticks",
            "--only",
            "bulk",
            "--only=udp",
            "--duration",
            "1.5",
            "--runs",
            "7",
            "--mtu",
            "9000",
            "--flows",
            "12",
            "--idle",
            "34",
            "--loss",
            "2.5",
            "--delay",
            "0.5",
            "--client-addr",
            "fd00::7",
            "--server-addr",
            "fd00::8",
            "--server-port",
            "81",
            "--pcap-file",
            "a.pcap",
            "--pcap-snaplen",
            "64",
            "--json",
            "a.json",
            "--compare",
            "b.json",
            "--html",
            "c.html",
            "--svg",
            "d",
        ]);
        let expect = Options {
            quick: true,
            list: true,
            only: vec!["bulk".into(), "udp".into()],
            yardsticks: false,
            duration: Some(Duration::from_millis(1_500)),
            runs: 7,
            mtu: Some(9_000),
            flows: Some(12),
            idle: Some(34),
            loss: Some(0.025),
            delay: Some(Duration::from_micros(500)),
            client_addr: Some("fd00::7".parse().unwrap()),
            server_addr: Some("fd00::8".parse().unwrap()),
            server_port: 81,
            pcap_file: Some("a.pcap".into()),
            pcap_snaplen: Some(64),
            json: Some("a.json".into()),
            compare: Some("b.json".into()),
            html: Some("c.html".into()),
            svg: Some("d".into()),
        };
        assert_eq!(all, expect);
    }

    #[test]
    fn help_wins() {
        for flag in ["-h", "--help"] {
            assert!(matches!(parse([flag.into(), "--quick".into()]), Ok(Command::Help)));
        }
    }

    #[test]
    fn the_memory_flag_says_how_many_and_how_large() {
        let what = Resident::Pairs { count: 9, small: true };
        let parsed = parse([RESIDENT.into(), what.to_string().into()]);
        assert!(matches!(parsed, Ok(Command::Resident(asked)) if asked == what), "{parsed:?}");
    }

    #[test]
    fn instructions_are_counted_instead_of_time() {
        let args = ["--only", "bulk", "--callgrind", "--bless"].map(OsString::from);
        let Ok(Command::Callgrind { only, bless: true }) = parse(args) else { panic!("not blessed") };
        assert_eq!(only, ["bulk"]);
        let args = [FIXED, "bulk-1,7"].map(OsString::from);
        assert!(matches!(parse(args), Ok(Command::Fixed { work, count: 7 }) if work == "bulk-1"));
    }

    #[test]
    fn errors_name_the_flag_and_the_value() {
        for (args, parts) in [
            (&["--bogus"][..], &["--bogus", "--help"][..]),
            (&["-x"], &["-x"]),
            (&["loose"], &["loose"]),
            (&["--runs"], &["--runs", "needs a value"]),
            (&["--resident", "7,large"], &["--resident", "7,large"]),
            (&["--loss", "101"], &["--loss", "101"]),
            (&["--delay", "-1"], &["--delay", "-1"]),
            (&["--bless"], &["--bless", "--callgrind"]),
            (&["--fixed", "bulk"], &["--fixed", "COUNT"]),
            (&["--runs", "0"], &["--runs", "\"0\"", "1 to 1000"]),
            (&["--duration", "nan"], &["--duration", "nan"]),
            (&["--duration", "1h"], &["--duration", "1h"]),
            (&["--mtu", "575"], &["--mtu", "575"]),
            (&["--mtu", "65536"], &["--mtu", "65536"]),
            (&["--server-port", "65536"], &["--server-port", "65536"]),
            (&["--server-addr", "example.org"], &["--server-addr", "example.org", "IP address"]),
            (&["--client-addr", "fd00::1", "--mtu", "1000"], &["fd00::1", "1280", "1000"]),
            (&["--client-addr", "10.0.0.1", "--server-addr", "::2"], &["families"]),
            (&["--client-addr", "10.0.0.1", "--server-addr", "10.0.0.1"], &["both"]),
        ] {
            let message = error(args);
            for part in parts {
                assert!(message.contains(part), "{args:?}: {message:?} lacks {part:?}");
            }
        }
    }
}
