//! An hour of virtual time costs as much as what happens in it, and netstat shows how it is going.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use uis_sim::{Sim, Simulation};
use uis_stack::{Connection, TcpState, TcpTimer};

const DELAY: Duration = Duration::from_millis(100);

fn lossy(sim: &Sim) {
    let mut rng = sim.rng();
    sim.set_router(move |internet, frame| {
        if rng.chance(0.01) {
            return Ok(());
        }
        internet.deliver_after(frame, DELAY)
    });
}

/// A request each second, each on a connection of its own: nine packets, each of which is routed, delayed and delivered, and
/// some turns of the tasks. How long that takes depends on the machine; how many steps it takes does not.
#[test]
fn an_hour_of_requests_takes_few_steps() {
    let simulation = Simulation::builder().seed(7).step_limit(3600 * 40).build();
    let answered = simulation.run(async |sim| {
        lossy(&sim);
        let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
        let listener = server.listen_tcp("10.0.0.1:80")?;
        let handle = sim.clone();
        sim.spawn(async move {
            while let Ok((mut conn, _)) = listener.accept().await {
                handle.spawn(async move {
                    let mut request = String::new();
                    conn.read_to_string(&mut request).await?;
                    conn.write_all(request.as_bytes()).await?;
                    conn.close().await
                });
            }
        });
        let mut second = sim.interval(Duration::from_secs(1));
        let mut requests = Vec::new();
        for n in 0..3600 {
            second.tick().await;
            let client = client.clone();
            requests.push(sim.spawn(async move {
                let mut conn = client.dial_tcp("10.0.0.1:80").await?;
                conn.write_all(format!("request {n}").as_bytes()).await?;
                conn.close().await?;
                let mut answer = String::new();
                conn.read_to_string(&mut answer).await?;
                io::Result::Ok(answer == format!("request {n}"))
            }));
        }
        let mut answered = 0;
        for request in requests {
            answered += u32::from(request.await?);
        }
        // The last answer is there before the hour is over.
        assert!((3599..3700).contains(&sim.now().as_secs()), "at {}", sim.now());
        io::Result::Ok(answered)
    });
    assert_eq!(answered.unwrap(), 3600);
}

#[test]
fn netstat_shows_how_it_is_going() {
    Simulation::new()
        .run(async |sim| {
            sim.set_router(|internet, frame| internet.deliver_after(frame, DELAY));
            let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
            let listener = server.listen_tcp("10.0.0.1:80")?;
            let accepting = sim.spawn(async move { listener.accept().await });
            let dialling = sim.spawn(client.dial_tcp("10.0.0.1:80"));
            sim.sleep(DELAY / 2).await;
            let only = |stack: &uis_stack::Stack| -> Connection {
                let connections = stack.connections();
                assert_eq!(connections.len(), 1, "{connections:?}");
                connections[0].clone()
            };
            let c = only(&client);
            assert_eq!((c.state, c.timer, c.rtt), (TcpState::SynSent, TcpTimer::Retransmit, None));

            let mut conn = dialling.await?;
            let (mut accepted, peer) = accepting.await?;
            let (c, s) = (only(&client), only(&server));
            assert_eq!((c.local, c.remote, s.remote), (peer, "10.0.0.1:80".parse().unwrap(), peer));
            assert_eq!((c.state, c.timer, c.rtt), (TcpState::Established, TcpTimer::Off, Some(2 * DELAY)));
            assert_eq!((c.send_queue, c.recv_queue, c.retransmits), (0, 0, 0));
            assert_eq!(c.cwnd, 10 * 1460, "RFC 6928");

            conn.write_all(&[7; 5000]).await?;
            let c = only(&client);
            assert_eq!((c.send_queue, c.timer), (5000, TcpTimer::Retransmit));
            sim.sleep(DELAY * 3).await;
            let (c, s) = (only(&client), only(&server));
            assert_eq!((c.send_queue, c.timer, s.recv_queue), (0, TcpTimer::Off, 5000));
            assert_eq!(c.cwnd, 10 * 1460, "there is no need for more");
            accepted.read_exact(&mut [0; 5000]).await?;
            assert_eq!(only(&server).recv_queue, 0);

            // What is lost is sent again, and then a round trip brings the next segments.
            sim.set_router(|_, _| ());
            conn.write_all(&[7; 100_000]).await?;
            sim.sleep(Duration::from_secs(1)).await;
            sim.set_router(|internet, frame| internet.deliver_after(frame, DELAY));
            let c = only(&client);
            assert!(c.retransmits > 0 && c.send_queue == 100_000 && c.cwnd == 1460, "{c:?}");
            accepted.read_exact(&mut [0; 100_000]).await?;
            assert!(only(&client).cwnd > 1460, "slow start");
            io::Result::Ok(())
        })
        .unwrap();
}
