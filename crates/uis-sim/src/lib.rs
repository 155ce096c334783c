//! A deterministic runtime for uis: tasks and an internet on virtual time, replayed from a seed.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod describe;
mod executor;
mod interval;
mod journal;
mod replay;
mod rng;
mod settings;
mod shared;
mod sim;
mod simulation;
mod stuck;
mod task;

pub use describe::describe;
pub use interval::Interval;
pub use replay::for_each_seed;
pub use rng::Rng;
pub use settings::SimulationBuilder;
pub use sim::Sim;
pub use simulation::Simulation;
pub use stuck::{Stuck, StuckKind};
pub use task::JoinHandle;
