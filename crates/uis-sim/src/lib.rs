//! A runtime for tests of networks: tasks and a whole uis internet, on one thread, on virtual time, from one seed.
//!
//! ```text
//!                  Simulation::run(async |sim| …)
//!  ┌──────────────────────────────────────────────────────────────┐
//!  │ the program, tasks ──► stacks ──► internet ──► the router    │
//!  │        ▲                                          │          │
//!  │        └────────────── deliver, deliver_after ◄───┘          │
//!  ├──────────────────────────────────────────────────────────────┤
//!  │ nobody can run? the time moves to the next timer             │
//!  │ no timer, or none that is progress? a report of who waits    │
//!  └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! What comes in is a program: a closure that gets a [`Sim`], the handle to the simulation's time, tasks, chance and
//! internet. What goes out is what the program returns. A test with round trips of 300 ms, retransmission time-outs and an
//! hour of keep-alives takes as long as the work in it, and sends the same packets at the same times whenever it is run.
//!
//! ```
//! use std::time::Duration;
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use uis_sim::Simulation;
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
//! # Recipes
//!
//! A server that goes on until the test ends, and a client that asks again because the first two questions are lost. (`while
//! let` ends the server's task when its socket fails; a task's own `Result` is that of its handle, and whoever does not await
//! the handle does not see it.)
//!
//! ```
//! use std::time::Duration;
//! use uis_sim::Simulation;
//!
//! # fn a_question_is_asked_again() -> std::io::Result<()> {
//! Simulation::new().run(async |sim| {
//!     let mut n = 0;
//!     sim.set_router(move |internet, frame| {
//!         n += 1;
//!         if n <= 2 { Ok(()) } else { internet.deliver_after(frame, Duration::from_millis(20)) }
//!     });
//!     let (server, client) = (sim.host("10.0.0.53")?, sim.host("10.0.0.2")?);
//!     let socket = server.listen_udp("10.0.0.53:53")?;
//!     sim.spawn_named("server", async move {
//!         let mut question = [0; 512];
//!         while let Ok((n, peer)) = socket.recv_from(&mut question).await {
//!             let _ = socket.send_to(&question[..n], peer).await;
//!         }
//!     });
//!
//!     let socket = client.dial_udp("10.0.0.53:53")?;
//!     let mut answer = [0; 512];
//!     let n = loop {
//!         socket.send(b"who is it?").await?;
//!         if let Ok(n) = sim.timeout(Duration::from_secs(5), socket.recv(&mut answer)).await {
//!             break n?;
//!         }
//!     };
//!     assert_eq!(&answer[..n], b"who is it?");
//!     assert_eq!(sim.now().as_millis(), 10_040); // two time-outs, and there and back
//!     Ok(())
//! })
//! # }
//! # a_question_is_asked_again().unwrap();
//! ```
//!
//! A server that hangs up in the middle, over a thousand paths with losses and delays of their own:
//!
//! ```
//! use std::io::{self, ErrorKind};
//! use std::time::Duration;
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//!
//! # let seeds = 0..20;
//! # #[cfg(any())]
//! let seeds = 0..1000;
//! uis_sim::for_each_seed(seeds, async |sim| {
//!     let mut rng = sim.rng();
//!     sim.set_router(move |internet, frame| {
//!         if rng.chance(0.1) {
//!             return Ok(());
//!         }
//!         internet.deliver_after(frame, rng.duration(Duration::from_millis(1)..Duration::from_millis(100)))
//!     });
//!     let (server, client) = (sim.host("fd00::1")?, sim.host("fd00::2")?);
//!     let listener = server.listen_tcp("[fd00::1]:80")?;
//!     sim.spawn_named("server", async move {
//!         let (mut conn, _peer) = listener.accept().await?;
//!         conn.read(&mut [0; 1]).await?;
//!         conn.abort(); // sends a RST, which may be lost
//!         io::Result::Ok(())
//!     });
//!     let mut conn = client.dial_tcp("[fd00::1]:80").await?;
//!     conn.write_all(b"hello").await?;
//!     let lost = sim.timeout(Duration::from_secs(30), conn.read(&mut [0; 1])).await;
//!     match lost {
//!         Ok(ended) => assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset),
//!         Err(_) => assert!(server.connections().is_empty()),
//!     }
//!     io::Result::Ok(())
//! });
//! ```
//!
//! # When a test fails
//!
//! - It does not hang: [`Stuck`] is a report on a deadlock, a spinning task or a run that is too long, with what each task
//!   and each connection was waiting for. `run` panics with it, [`try_run`](Simulation::try_run) returns it.
//! - The last packets are printed, one a line, as tcpdump does; and so is the seed. The environment's `UIS_SEED` takes the
//!   place of the seed of any run, so that a failure can be looked at.
//! - [`for_each_seed`] tries many seeds, and names those that fail. [`sweep!`] does so in several tests, for test runners
//!   that divide tests between machines.
//! - [`check_deterministic`](Simulation::check_deterministic) runs a program twice and shows the first packet that differs.
//!
//! # What this layer never does
//!
//! - Read the time of the machine, or wait for real.
//! - Start a thread (a capture writes on one, but nothing depends on how fast).
//! - Need anything global: what a program needs it has from its [`Sim`]. Two simulations side by side, on two threads or one
//!   inside the other, do not know of each other.
//! - Wait for other threads. They may wake tasks, but the time does not stand still for them, and what they do is not
//!   repeated by a seed.
//! - Poll a task, run a waker or call the router under a lock.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod describe;
mod executor;
mod interval;
mod journal;
mod prospects;
mod replay;
mod rng;
mod settings;
mod shared;
mod sim;
mod simulation;
mod stuck;
mod sweep;
mod task;

pub use describe::describe;
pub use interval::Interval;
pub use replay::for_each_seed;
pub use rng::Rng;
pub use settings::SimulationBuilder;
pub use sim::Sim;
pub use simulation::Simulation;
pub use stuck::{Stuck, StuckKind};
#[doc(hidden)]
pub use sweep::sweep_part;
pub use task::JoinHandle;
