//! Installs Python requirements ahead of time: a `requirements.txt` in, a reproducible install
//! prefix out.

pub mod digest;
pub mod event;
pub mod fs;
pub mod pip;
pub mod target;
pub mod tree;
