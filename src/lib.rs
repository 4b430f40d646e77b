//! Installs Python requirements ahead of time: a `requirements.txt` in, a reproducible install
//! prefix out.

pub mod artifact;
pub mod audit;
pub mod digest;
pub mod error;
pub mod event;
pub mod fs;
pub mod install;
pub mod interpreter;
pub mod layout;
pub mod pack;
pub mod pip;
pub mod pipeline;
pub mod plan;
pub mod requirements;
pub mod runner;
pub mod target;
pub mod tree;
