//! What several tests need.

pub(crate) mod chance;
pub(crate) mod index;
pub(crate) mod mount;
pub(crate) mod python;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod wheel;
