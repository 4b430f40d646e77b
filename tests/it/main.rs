//! Tests.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests look from outside, and stop at the first surprise"
)]

mod agreement;
mod architecture;
mod audit;
mod build;
mod cache;
mod conformance;
mod elf;
mod engine;
mod failures;
mod hostile;
mod images;
mod indexes;
mod installers;
mod lock;
mod mounts;
mod order;
mod pipeline;
mod readers;
mod refused;
mod relink;
mod requirements;
mod roots;
mod runtime;
mod support;
mod targets;
mod texts;
mod verify;
mod warm;
mod wheels;
