//! A sweep as several tests, for test runners that hand out tests.

use std::ops::Range;
use std::process::Termination;

use crate::replay::Plan;
use crate::{Sim, Simulation};

/// Makes tests that together do what [`for_each_seed`](crate::for_each_seed) does: a module of this name with the tests
/// `part_1` to `part_8`, each of which runs an eighth of the seeds.
///
/// They run beside each other, and so one sweep uses all the cores of a machine under `cargo test`, and many machines under
/// `cargo nextest run --partition slice:2/5`, which deals out tests and could not divide a single one.
///
/// The program is a function that takes a [`Sim`](crate::Sim), or a closure that uses nothing from around it. `UIS_SEED`,
/// `UIS_SEEDS` and `UIS_SEED_PARTITION` have the meaning that they have for
/// [`Simulation::for_each_seed`](crate::Simulation::for_each_seed). Settings other than the default ones are the third
/// argument.
///
/// ```
/// use std::io;
/// use uis_sim::{Sim, Simulation};
///
/// async fn handshake(sim: Sim) -> io::Result<()> {
///     let mut rng = sim.rng();
///     sim.set_router(move |internet, frame| if rng.chance(0.1) { Ok(()) } else { internet.deliver(frame) });
///     let (server, client) = (sim.host("10.0.0.1")?, sim.host("10.0.0.2")?);
///     let _listener = server.listen_tcp("10.0.0.1:80")?;
///     client.dial_tcp("10.0.0.1:80").await?;
///     Ok(())
/// }
///
/// uis_sim::sweep!(handshakes, 0..1000, handshake);
/// # fn main() {}
/// uis_sim::sweep!(patient, 0..1000, handshake, Simulation::builder().step_limit(10_000).build());
/// ```
#[macro_export]
macro_rules! sweep {
    ($name:ident, $seeds:expr, $program:expr $(,)?) => {
        $crate::sweep!($name, $seeds, $program, $crate::Simulation::new());
    };
    ($name:ident, $seeds:expr, $program:expr, $simulation:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::sweep!(@part part_1, 0, $seeds, $program, $simulation);
            $crate::sweep!(@part part_2, 1, $seeds, $program, $simulation);
            $crate::sweep!(@part part_3, 2, $seeds, $program, $simulation);
            $crate::sweep!(@part part_4, 3, $seeds, $program, $simulation);
            $crate::sweep!(@part part_5, 4, $seeds, $program, $simulation);
            $crate::sweep!(@part part_6, 5, $seeds, $program, $simulation);
            $crate::sweep!(@part part_7, 6, $seeds, $program, $simulation);
            $crate::sweep!(@part part_8, 7, $seeds, $program, $simulation);
        }
    };
    (@part $test:ident, $part:expr, $seeds:expr, $program:expr, $simulation:expr) => {
        #[test]
        fn $test() {
            $crate::sweep_part(&$simulation, $seeds, $part, $program);
        }
    };
}

/// How many tests [`sweep!`](crate::sweep) makes.
const PARTS: u64 = 8;

/// One of the tests that [`sweep!`](crate::sweep) makes.
#[doc(hidden)]
#[track_caller]
pub fn sweep_part<R: Termination>(
    simulation: &Simulation,
    seeds: Range<u64>,
    part: u64,
    program: impl AsyncFn(Sim) -> R,
) {
    simulation.sweep(Plan::of_environment(seeds).part(part, PARTS), program);
}
