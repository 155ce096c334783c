//! An hour of simulated traffic: a request each second, each on a connection of its own, over a path of 100 ms one way
//! that loses one packet in a hundred. How long it really takes is printed.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis::{Sim, Simulation, Stack};

const REQUESTS: usize = 3600;

async fn serve(sim: Sim, server: Stack) -> io::Result<()> {
    let listener = server.listen_tcp("10.0.0.1:80")?;
    loop {
        let (mut conn, _peer) = listener.accept().await?;
        sim.spawn(async move {
            let mut request = String::new();
            conn.read_to_string(&mut request).await?;
            conn.write_all(format!("You said: {request}").as_bytes()).await?;
            conn.close().await
        });
    }
}

async fn ask(sim: Sim, client: Stack, n: usize) -> io::Result<Duration> {
    let began = sim.now();
    let mut conn = client.dial_tcp("10.0.0.1:80").await?;
    conn.write_all(format!("This is request {n}.").as_bytes()).await?;
    conn.close().await?; // half of it: there is something to read yet
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    assert_eq!(answer, format!("You said: This is request {n}."));
    Ok(sim.now() - began)
}

async fn hour(sim: Sim) -> io::Result<Vec<Duration>> {
    let mut rng = sim.rng();
    sim.set_router(move |internet, frame| {
        if rng.chance(0.01) {
            return Ok(());
        }
        internet.deliver_after(frame, Duration::from_millis(100))
    });
    sim.capture(uis_examples::capture_path("virtual_hour")?)?;

    let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
    sim.spawn_named("server", serve(sim.clone(), server));
    let mut second = sim.interval(Duration::from_secs(1));
    let mut requests = Vec::new();
    for n in 0..REQUESTS {
        second.tick().await;
        requests.push(sim.spawn_named(format!("request {n}"), ask(sim.clone(), client.clone(), n)));
    }
    let mut times = Vec::new();
    for request in requests {
        times.push(request.await?);
    }
    // The hour is not over, and the last connection may still have to say goodbye.
    sim.sleep_until(uis::Instant::from_secs(3600)).await;
    println!("{} simulated, {} packets", sim.now(), sim.packet_count());
    Ok(times)
}

fn main() -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut times = Simulation::builder().seed(7).build().run(hour)?;
    let took = began.elapsed();

    times.sort();
    let [median, longest] = [times[REQUESTS / 2], times[REQUESTS - 1]];
    println!("{REQUESTS} requests answered, half of them within {median:?}, all within {longest:?}");
    println!("it really took {took:.2?}");
    Ok(())
}
