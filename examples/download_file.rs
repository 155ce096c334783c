//! Downloads a file over the virtual internet, checks what arrived, and says how long it took.
//!
//! ```sh
//! cargo run --release --package uis-examples --example download_file -- --file Cargo.lock --mtu 9000 --drop-every 50
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use futures_lite::future::{block_on, try_zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Internet, MTU_ETHERNET, PcapTrace};

const HELP: &str = "\
Downloads a file over the virtual internet.

  --file PATH      the file to serve, by default the licence of this project
  --mtu BYTES      of both interfaces, by default 1500
  --pcap PATH      where the packets go, by default target/pcap/download_file.pcap
  --drop-every N   loses every Nth packet, by default none";

struct Options {
    file: PathBuf,
    mtu: u32,
    pcap: Option<PathBuf>,
    drop_every: Option<u64>,
}

impl Options {
    fn from_args() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};

        let licence = Path::new(env!("CARGO_MANIFEST_DIR")).join("../LICENSE");
        let mut options = Self { file: licence, mtu: MTU_ETHERNET, pcap: None, drop_every: None };
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("file") => options.file = args.value()?.into(),
                Long("mtu") => options.mtu = args.value()?.parse()?,
                Long("pcap") => options.pcap = Some(args.value()?.into()),
                Long("drop-every") => options.drop_every = Some(args.value()?.parse()?),
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        if options.drop_every.is_some_and(|n| n < 3) {
            return Err(
                "--drop-every needs at least 3, or a segment or its acknowledgment may be lost each time"
                    .into(),
            );
        }
        Ok(Some(options))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::from_args()? else {
        println!("{HELP}");
        return Ok(());
    };
    let contents = fs::read(&options.file)?;

    let internet = Internet::new();
    let server = internet.new_stack(options.mtu, ["10.0.0.1".parse()?])?;
    let client = internet.new_stack(options.mtu, ["10.0.0.2".parse()?])?;
    let trace = match &options.pcap {
        Some(path) => PcapTrace::create(path, 0)?,
        None => uis_examples::capture(&internet, "download_file")?,
    };

    let listener = server.listen_tcp("10.0.0.1:80")?;
    let serve = async {
        let (mut conn, _peer) = listener.accept().await?;
        conn.write_all(&contents).await?;
        conn.close().await
    };
    let fetch = async {
        let mut conn = client.dial_tcp("10.0.0.1:80").await?;
        // `read_to_end` would do, but clears its spare room at each wake-up, which is slow for a large file.
        let (mut received, mut buf) = (Vec::new(), vec![0; 65_536]);
        loop {
            match conn.read(&mut buf).await? {
                0 => return io::Result::Ok((received, Instant::now())),
                n => received.extend_from_slice(&buf[..n]),
            }
        }
    };

    let began = Instant::now();
    let mut seen = 0;
    let ((), (received, ended)) =
        block_on(internet.route_until(try_zip(serve, fetch), |internet, frame| {
            trace.dump(frame.packet());
            seen += 1;
            // What is not delivered is lost.
            if options.drop_every.is_none_or(|n| seen % n != 0) {
                let _ = internet.deliver(frame);
            }
        }))?;
    trace.close()?;

    if received != contents {
        return Err("what arrived is not what was sent".into());
    }
    let time = ended - began;
    let rate = received.len() as f64 * 8.0 / time.as_secs_f64() / 1e6;
    println!("{} bytes in {time:.1?}, {rate:.0} Mbit/s", received.len());
    let stats = internet.stats();
    println!("{} packets, {} of them lost on purpose", stats.sent, stats.withheld());
    println!("{} packets are not in the capture", trace.dropped());
    Ok(())
}
