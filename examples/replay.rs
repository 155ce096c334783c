//! A run is a function of its seed: two runs with the same one send the same packets at the same times, a run with
//! another one does not.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Sim, Simulation};

/// A download over a path with random delays and losses. Returns a hash of all packets.
async fn download(sim: Sim) -> io::Result<u64> {
    let mut rng = sim.rng();
    sim.set_router(move |internet, frame| {
        if rng.chance(0.03) {
            return Ok(());
        }
        let delay = rng.duration(Duration::from_millis(10)..Duration::from_millis(30));
        internet.deliver_after(frame, delay)
    });
    sim.capture(uis_examples::capture_path("replay")?)?;

    let (server, client) = (sim.host("fd00::1")?, sim.host("fd00::2")?);
    let listener = server.listen_tcp("[fd00::1]:80")?;
    let serve = sim.spawn_named("server", async move {
        let (mut conn, _peer) = listener.accept().await?;
        conn.write_all(&[b'x'; 100_000]).await?;
        conn.close().await
    });
    let mut conn = client.dial_tcp("[fd00::1]:80").await?;
    let mut data = Vec::new();
    conn.read_to_end(&mut data).await?;
    conn.close().await?;
    serve.await?;
    assert_eq!(data.len(), 100_000);
    // Whatever was lost at the end is sent again meanwhile.
    sim.sleep(Duration::from_secs(90)).await;

    println!("seed {:2}: {} packets, hash {:016x}", sim.seed(), sim.packet_count(), sim.packet_hash());
    Ok(sim.packet_hash())
}

fn main() -> Result<(), Box<dyn Error>> {
    let run = |seed| Simulation::builder().seed(seed).build().run(download);
    let (first, second, other) = (run(42)?, run(42)?, run(43)?);
    assert_eq!(first, second);
    if std::env::var_os("UIS_SEED").is_none() {
        assert_ne!(first, other);
    }
    // The same as one call, which would show the first packet that is another one.
    Simulation::builder().seed(42).build().check_deterministic(download)?;
    Ok(())
}
