//! Userspace internet simulation: real TCP/IP clients and servers in one process, exchanging raw IP packets over a
//! virtual internet that *your test* drives.
//!
//! Every packet in flight passes through your hands. Deliver it, drop it, hold it back, change it, copy it, invent
//! one, write it to a file for Wireshark. The sockets on both sides look like any others. No root, no TUN device, no
//! container, and no runtime of its own: the same test runs under tokio, smol, or a bare `block_on`.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("uis-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # std::env::set_current_dir(&folder)?;
//! use futures_lite::future::{block_on, try_zip};
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use uis::{Internet, MTU_ETHERNET, PcapTrace};
//!
//! let internet = Internet::new();
//! let server = internet.new_stack(MTU_ETHERNET, ["10.0.0.1".parse()?])?;
//! let client = internet.new_stack(MTU_ETHERNET, ["10.0.0.2".parse()?])?;
//!
//! let listener = server.listen_tcp("10.0.0.1:80")?;
//! let serve = async {
//!     let (mut conn, _peer) = listener.accept().await?;
//!     conn.write_all(b"Hello, world!\n").await?;
//!     conn.close().await
//! };
//! let fetch = async {
//!     let mut conn = client.dial_tcp("10.0.0.1:80").await?;
//!     let mut text = String::new();
//!     conn.read_to_string(&mut text).await?;
//!     std::io::Result::Ok(text)
//! };
//!
//! // Nothing moves but what this closure delivers.
//! let trace = PcapTrace::create("hello.pcap", MTU_ETHERNET)?;
//! let ((), text) = block_on(internet.route_until(try_zip(serve, fetch), |internet, frame| {
//!     trace.dump(frame.packet());
//!     internet.deliver(frame)
//! }))?;
//! trace.close()?;
//! assert_eq!(text, "Hello, world!\n");
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The pieces
//!
//! ```text
//!   TcpStream  TcpListener  UdpSocket        TcpStream  TcpListener  UdpSocket
//!  ┌──────────────────────────────────┐     ┌──────────────────────────────────┐
//!  │              Stack               │     │              Stack               │
//!  └────────────── Vnic ──────────────┘     └────────────── Vnic ──────────────┘
//!          Frame │  ▲                                Frame │  ▲
//!                ▼  │                                      ▼  │
//!  ┌───────────────────────────────────────────────────────────────────────────┐
//!  │  Internet:  packets in flight ──► your closure, or InFlight ──► deliver   │
//!  └───────────────────────────────────────────────────────────────────────────┘
//!                                         └──► PcapTrace
//! ```
//!
//! | you want | look at |
//! |---|---|
//! | hosts that can reach each other | [`Internet::new_stack`] |
//! | sockets | [`Stack::dial_tcp`], [`Stack::listen_tcp`], [`Stack::dial_udp`], [`Stack::listen_udp`]; or by their usual names [`TcpStream::connect`], [`TcpListener::bind`], [`UdpSocket::bind`] |
//! | packets to move while a test runs | [`Internet::route_until`], [`Internet::route`], on a thread [`Internet::spawn_router`] |
//! | to take them one by one | [`Internet::in_flight`], [`Internet::deliver`] |
//! | delay | [`Internet::deliver_after`], [`Internet::deliver_at`] |
//! | a capture | [`PcapTrace`] |
//! | a whole test on virtual time, replayed from a seed | [`Simulation`] |
//! | the same for many seeds, in one test or in several | [`for_each_seed`], [`sweep!`] |
//! | time that only moves when nothing else can, without more | [`VirtualClock`] |
//! | code that runs here and on the real network | [`Dial`], [`Listen`] |
//! | buffers, time-outs, congestion control | [`StackConfig`], [`Internet::new_stack_with`] |
//! | packets of your own making | [`VnicPort`], [`Frame::new`] |
//! | what became of the packets | [`Internet::stats`], [`Stack::stats`] |
//!
//! Each layer is a crate of its own, useful alone, and is here both flat and as a module: [`clock`], [`vnic`],
//! [`stack`], [`internet`], [`pcap`], [`sim`]. Their front pages explain them. What only few need is there and not here: the
//! buffer pool and the smoltcp device of [`vnic`], the limits of [`pcap`], the task handles of [`sim`].
//!
//! # On virtual time
//!
//! A [`Simulation`] runs a test and its internet on one thread, and moves the time when nobody can run. So round trips of
//! 300 ms cost nothing, and the same seed gives the same packets at the same times. It goes into a plain `#[test]`:
//!
//! ```
//! use std::time::Duration;
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use uis::Simulation;
//!
//! let (text, at) = Simulation::builder().seed(7).build().run(async |sim| {
//!     // The first packet is lost, and the others take 150 ms.
//!     let mut n = 0;
//!     sim.set_router(move |internet, frame| {
//!         n += 1;
//!         if n == 1 { Ok(()) } else { internet.deliver_after(frame, Duration::from_millis(150)) }
//!     });
//!
//!     let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
//!     let listener = server.listen_tcp("10.0.0.1:80")?;
//!     sim.spawn_named("server", async move {
//!         let (mut conn, _peer) = listener.accept().await?;
//!         conn.write_all(b"Hello, world!").await?;
//!         conn.close().await
//!     });
//!
//!     let mut conn = client.dial_tcp("10.0.0.1:80").await?;
//!     let mut text = String::new();
//!     conn.read_to_string(&mut text).await?;
//!     std::io::Result::Ok((text, sim.now()))
//! })?;
//! assert_eq!(text, "Hello, world!");
//! assert_eq!(at.as_millis(), 1_600); // a second until the SYN is sent again, and two round trips
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A test that fails shows its last packets, who waits for what, and its seed; one that waits for what cannot happen fails.
//! Chance comes from [`Sim::rng`]; [`Simulation::check_deterministic`] says whether any other crept in.
//!
//! # Under tokio
//!
//! With the feature `tokio`, streams implement tokio's `AsyncRead` and `AsyncWrite`. Nothing else changes:
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use uis::{Internet, MTU_ETHERNET};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let internet = Internet::new();
//! let server = internet.new_stack(MTU_ETHERNET, ["fd00::1".parse().unwrap()])?;
//! let client = internet.new_stack(MTU_ETHERNET, ["fd00::2".parse().unwrap()])?;
//!
//! let listener = server.listen_tcp("[fd00::1]:7")?;
//! tokio::spawn(async move {
//!     while let Ok((stream, _peer)) = listener.accept().await {
//!         tokio::spawn(async move {
//!             let (mut reader, mut writer) = stream.into_split();
//!             tokio::io::copy(&mut reader, &mut writer).await // and then the FIN
//!         });
//!     }
//! });
//!
//! let ask = async {
//!     let mut conn = client.dial_tcp("[fd00::1]:7").await?;
//!     conn.write_all(b"anybody there?").await?;
//!     conn.shutdown().await?;
//!     let mut echo = String::new();
//!     conn.read_to_string(&mut echo).await?;
//!     std::io::Result::Ok(echo)
//! };
//! assert_eq!(internet.route_until(ask, Internet::deliver).await?, "anybody there?");
//! # Ok(())
//! # }
//! ```
//!
//! To route in a task, give it a handle: `let router = internet.clone();`, and then
//! `tokio::spawn(async move { router.route(Internet::deliver).await })`.
//!
//! In tests with paused time, use `Internet::builder().clock(TokioClock::new())`, and route in a task, not on a
//! thread; [`Internet::new`] says why.
//!
//! # Recipes
//!
//! They are closures for [`Internet::route_until`] and its like. Drop one packet:
//!
//! ```
//! # use uis::{Frame, Internet};
//! # let router =
//! {
//!     let mut n = 0;
//!     move |internet: &Internet, frame: Frame| {
//!         n += 1;
//!         if n == 5 { Ok(()) } else { internet.deliver(frame) }
//!     }
//! }
//! # ;
//! # uis_doc(router);
//! # fn uis_doc<R>(_: impl FnMut(&Internet, Frame) -> R) {}
//! ```
//!
//! Delay all of them, here by 20 ms one way:
//!
//! ```
//! # use std::time::Duration;
//! # use uis::{Frame, Internet};
//! # let router =
//! |internet: &Internet, frame: Frame| internet.deliver_after(frame, Duration::from_millis(20))
//! # ;
//! # uis_doc(router);
//! # fn uis_doc<R>(_: impl FnMut(&Internet, Frame) -> R) {}
//! ```
//!
//! Inject a RST, here with the help of [etherparse](https://docs.rs/etherparse). Its sequence number has to be exactly
//! the next one that the victim expects, or the victim answers with a challenge ACK and goes on (RFC 5961). It is the
//! one that the victim acknowledges:
//!
//! ```
//! use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
//! # use uis::{Frame, Internet};
//!
//! /// The RST that ends the connection of whoever sent this ACK.
//! fn reset(ack: &Frame) -> Option<Frame> {
//!     let ack = SlicedPacket::from_ip(ack.packet()).ok()?;
//!     let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (&ack.net, &ack.transport) else { return None };
//!     let mut rst = Vec::new();
//!     PacketBuilder::ipv4(ip.header().destination(), ip.header().source(), 64)
//!         .tcp(tcp.destination_port(), tcp.source_port(), tcp.acknowledgment_number(), 0)
//!         .rst()
//!         .write(&mut rst, &[])
//!         .ok()?;
//!     Some(Frame::new(rst))
//! }
//! # use futures_lite::{AsyncReadExt, AsyncWriteExt, future::{block_on, try_zip}};
//! # let internet = Internet::new();
//! # let server = internet.new_stack(1500, ["10.0.0.1".parse().unwrap()])?;
//! # let client = internet.new_stack(1500, ["10.0.0.2".parse().unwrap()])?;
//! # let listener = server.listen_tcp("10.0.0.1:80")?;
//! # let serve = async {
//! #     let (mut conn, _) = listener.accept().await?;
//! #     conn.write_all(b"hello").await?;
//! #     std::io::Result::Ok(conn)
//! # };
//! # let victim = "10.0.0.2".parse::<std::net::IpAddr>().ok();
//! # let fetch = async {
//! #     let mut conn = client.dial_tcp("10.0.0.1:80").await?;
//! #     Ok(conn.read_to_string(&mut String::new()).await.unwrap_err().kind())
//! # };
//! # let mut n = 0;
//! # let (_conn, error) = block_on(internet.route_until(try_zip(serve, fetch), |internet, frame| {
//! #     let from_victim = frame.src() == victim;
//! #     n += u32::from(from_victim);
//! #     if from_victim && n == 2 { internet.deliver(reset(&frame).expect("an ACK"))?; }
//! #     internet.deliver(frame)
//! # }))?;
//! # assert_eq!(error, std::io::ErrorKind::ConnectionReset);
//! # std::io::Result::Ok(())
//! ```
//!
//! Virtual time: an hour passes in no time, and the same seed gives the same packets at the same times:
//!
//! ```
//! # use std::time::Duration;
//! use uis::{Internet, VirtualClock};
//!
//! let clock = VirtualClock::new();
//! let internet = Internet::builder().clock(&clock).seed(7).build();
//! clock.block_on(async {
//!     internet.clock().sleep(Duration::from_secs(3600)).await;
//! });
//! assert_eq!(clock.now().as_secs(), 3600);
//! ```
//!
//! # What goes wrong first
//!
//! - *It hangs*, or a dial ends with [`TimedOut`](std::io::ErrorKind::TimedOut): nobody is routing. Packets move in
//!   [`Internet::route_until`] and its kin only. [`Internet::stats`] shows how many are `queued`.
//! - *It hangs on virtual time*: under an ordinary `block_on` a [`VirtualClock`] stands still. Use its own, or a
//!   [`Simulation`], which says who waits for what.
//! - *A changed packet does not arrive*: its checksum is wrong, and the receiver has counted that in
//!   [`Stack::stats`]. For a change that is to be believed there is [`Frame::fix_checksums`].
//! - *`frame` cannot be moved because it is borrowed*: a parsed packet still looks at it. Parse in a function that returns
//!   what you want to know, as `reset` does above, or `drop` what was parsed before the frame is delivered.
//! - *`write_all` is ambiguous*: the traits of futures and of tokio are both imported. Import one.
//!
//! # Features
//!
//! - `tokio`: tokio's traits on [`TcpStream`] and its halves, `TokioNet` and `TokioClock`.
//! - `out-of-order-32` (default): room for 32 out-of-order holes per connection, where smoltcp has 4. Turn it off if
//!   another crate of your build chooses another of smoltcp's `assembler-max-segment-count` features.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(no_inline)]
pub use {
    uis_clock as clock, uis_internet as internet, uis_pcap as pcap, uis_sim as sim, uis_stack as stack,
    uis_vnic as vnic,
};

#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
#[doc(inline)]
pub use uis_clock::TokioClock;
#[doc(inline)]
pub use uis_clock::{
    Clock, Elapsed, Instant, SharedClock, Sleep, SystemClock, Timeout, TimerGuard, VirtualClock,
};

#[doc(inline)]
pub use uis_vnic::{
    Dispatcher, DropReason, Frame, MTU_ETHERNET, MTU_JUMBO, MTU_MINIMUM_IPV6, SendError, Undelivered, Vnic,
    VnicId, VnicNetwork, VnicPort, WeakVnic,
};

#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
#[doc(inline)]
pub use uis_stack::TokioNet;
#[doc(inline)]
pub use uis_stack::{
    Accept, AsyncIoListener, AsyncIoNet, AsyncIoStream, AsyncIoUdpSocket, Congestion, Connect, Connection,
    Connector, Datagrams, Dial, DiscardReason, Incoming, Keepalive, Listen, ListenConfig, OwnedReadHalf,
    OwnedWriteHalf, Stack, StackConfig, StackStats, TcpListener, TcpState, TcpStream, TcpTimer, ToEndpoint,
    UdpMeta, UdpSocket, WeakStack,
};

#[doc(inline)]
#[doc(alias("netem", "simulator"))]
pub use uis_internet::Internet;
#[doc(inline)]
pub use uis_internet::{DEFAULT_MAX_IN_FLIGHT, InFlight, InternetBuilder, InternetStats, RouterGuard};

#[doc(inline)]
pub use uis_pcap::{PcapTrace, PcapTraceBuilder, Precision};

#[doc(inline)]
pub use uis_sim::{Rng, Sim, Simulation, SimulationBuilder, Stuck, StuckKind, for_each_seed, sweep};
