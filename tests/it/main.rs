//! Tests.

#![allow(
    clippy::disallowed_methods,
    reason = "tests may do what the library may not: they look from outside"
)]

mod requirements;
mod support;
