//! A sweep that is several tests: together they run each seed once.

use std::sync::Mutex;

use uis_sim::{Sim, Simulation};

static TRIED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

async fn note(sim: Sim) {
    TRIED.lock().unwrap().push(sim.seed());
}

// As tests they run beside the others, in whatever order; what they do is looked at below.
uis_sim::sweep!(tests, 0..16, async |sim: Sim| assert_eq!(sim.now().as_nanos(), 0));
uis_sim::sweep!(limited, 0..8, async |_| (), Simulation::builder().step_limit(1000).build());

#[test]
fn each_seed_is_in_one_of_the_tests() {
    if std::env::vars().any(|(name, _)| name.starts_with("UIS_SEED")) {
        return; // somebody has chosen others
    }
    for part in 0..8 {
        let before = TRIED.lock().unwrap().len();
        uis_sim::sweep_part(&Simulation::new(), 100..120, part, note);
        let tried = TRIED.lock().unwrap()[before..].to_vec();
        assert!(tried.len() >= 2 && tried.iter().all(|seed| (seed - 100) % 8 == part), "{tried:?}");
    }
    let mut all = TRIED.lock().unwrap().clone();
    all.sort_unstable();
    assert_eq!(all, (100..120).collect::<Vec<_>>());
}
