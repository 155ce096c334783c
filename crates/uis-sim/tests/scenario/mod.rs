//! What runs are compared by: a crowd on a bad path, its capture, and processes of their own.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use parking_lot::Mutex;
use uis_sim::Sim;

/// A server and so many clients, TCP and UDP over both families, on a path with loss, jitter and duplicates.
pub(crate) async fn crowd(sim: &Sim, clients: u8) -> io::Result<()> {
    let mut rng = sim.rng();
    sim.set_router(move |internet, frame| {
        if rng.chance(0.02) {
            return Ok(());
        }
        if rng.chance(0.01) {
            let _ = internet.deliver_after(frame.clone(), Duration::from_millis(90));
        }
        internet.deliver_after(frame, rng.duration(Duration::from_millis(5)..Duration::from_millis(40)))
    });
    let server = sim.new_stack(1500, ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()])?;
    let listener = server.listen_tcp("[::]:80")?;
    let echo = server.listen_udp("10.0.0.1:7")?;
    sim.spawn_named("tcp", {
        let sim = sim.clone();
        async move {
            loop {
                let (mut conn, _) = listener.accept().await?;
                sim.spawn(async move {
                    let mut data = Vec::new();
                    conn.read_to_end(&mut data).await?;
                    data.reverse();
                    conn.write_all(&data).await?;
                    conn.close().await
                });
            }
            #[allow(unreachable_code)]
            io::Result::Ok(())
        }
    });
    sim.spawn_named("udp", async move {
        let mut buf = [0; 4000];
        loop {
            let (n, peer) = echo.recv_from(&mut buf).await?;
            echo.send_to(&buf[..n], peer).await?;
        }
        #[allow(unreachable_code)]
        io::Result::Ok(())
    });
    let client = |n: u8| {
        let (sim, mut rng) = (sim.clone(), sim.rng());
        async move {
            let v6 = n.is_multiple_of(2);
            let addr = if v6 { format!("fd00::{}", n + 2) } else { format!("10.0.0.{}", n + 2) };
            let host = sim.host(&addr)?;
            sim.sleep(rng.duration(Duration::ZERO..Duration::from_secs(1))).await;
            let mut data = vec![0; rng.range(1..60_000) as usize];
            rng.fill(&mut data);
            let mut conn = host.dial_tcp(if v6 { "[fd00::1]:80" } else { "10.0.0.1:80" }).await?;
            conn.write_all(&data).await?;
            conn.close().await?;
            let mut back = Vec::new();
            conn.read_to_end(&mut back).await?;
            data.reverse();
            assert!(back == data);
            if !v6 {
                let socket = host.dial_udp("10.0.0.1:7")?;
                let mut buf = [0; 4000];
                for _ in 0..5 {
                    let len = rng.range(1..4000) as usize;
                    socket.send(&data[..len.min(data.len())]).await?;
                    // It may be lost.
                    let _ = sim.timeout(Duration::from_millis(200), socket.recv(&mut buf)).await;
                }
            }
            io::Result::Ok(())
        }
    };
    let clients: Vec<_> = (0..clients).map(|n| sim.spawn_named(format!("client {n}"), client(n))).collect();
    for client in clients {
        client.await?;
    }
    Ok(())
}

/// A capture in memory.
#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// What was written so far.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }
}

impl io::Write for Buffer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs an ignored test of this binary in a process of its own.
pub(crate) fn child(test: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env_remove("UIS_SEED").env_remove("UIS_SEEDS").env_remove("UIS_SEED_PARTITION");
    let output = command.env("RUST_BACKTRACE", "0").envs(variables.iter().copied()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}
