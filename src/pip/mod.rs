//! What the crate knows of pip.

pub mod explain;
pub mod packages;
