//! Installs Python requirements ahead of time: a `requirements.txt` in, a reproducible install
//! prefix out.

pub mod digest;
pub mod event;
pub mod fs;
pub mod install;
pub mod interpreter;
pub mod layout;
pub mod pip;
pub mod requirements;
pub mod runner;
pub mod target;
pub mod tree;
