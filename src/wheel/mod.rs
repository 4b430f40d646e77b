//! Wheels, opened once and proved whole: a [`Wheel`] exists only if everything in it is as it says.
//!
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

mod archive;
mod zip;

pub use archive::{Archive, Entry, Error, Limits, Problem};
