//! A transfer between two stacks.

use futures_lite::future::try_zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::common::{AT, CLIENT, Congestion, Internet, MTU_ETHERNET, SERVER, StackConfig, connect, ip};
use crate::path::{Case, Meter, Run};

pub fn run(case: Case, seed: u64) -> Run {
    case.run(seed, async |internet, meter| transfer(internet, case, meter).await)
}

async fn transfer(internet: &Internet, case: Case, meter: &mut Meter) {
    let config = StackConfig::default()
        .congestion(Congestion::Cubic)
        .send_buffer(case.buffer)
        .recv_buffer(case.buffer);
    let stack = |addr: &str| {
        internet.new_stack_with(MTU_ETHERNET, [ip(addr)], config.clone()).expect("it is possible")
    };
    let (server, client) = (stack(SERVER[0]), stack(CLIENT[0]));
    let listener = server.listen_tcp(AT[0]).expect("the port is free");
    let (mut from, mut to) = connect(&listener, &client).await;
    let clock = internet.clock();
    let write = async { from.write_all(&vec![7; case.len()]).await };
    let read = async {
        let mut buf = vec![0; 1 << 16];
        while !meter.is_done() {
            let n = to.read(&mut buf).await?;
            meter.on_read(clock.now(), n);
        }
        Ok(())
    };
    try_zip(write, read).await.expect("neither fails");
    // A clean end would be measured too.
    from.abort();
    to.abort();
}
