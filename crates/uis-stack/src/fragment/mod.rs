//! Fragments: cutting what is longer than the MTU, and putting together what was cut.

mod reassembly;
mod split;

pub(crate) use reassembly::Reassembly;
pub(crate) use split::split;

#[cfg(test)]
mod tests;
