//! The archive that a wheel is, checked to its last byte.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::tree::{Method, RelPath};

/// A file in a wheel, as the check found it: where its bytes are and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path in the wheel.
    pub path: RelPath,
    /// Whether it is marked as executable.
    pub executable: bool,
    /// Whether it is native code (ELF).
    pub native: bool,
    /// Where in the wheel the packed bytes begin.
    pub offset: u64,
    /// How many packed bytes there are.
    pub packed: u64,
    /// The CRC-32 of the packed bytes.
    pub packed_crc: u32,
    /// How many bytes they stand for.
    pub size: u64,
    /// The CRC-32 of those.
    pub crc: u32,
    /// The SHA-256 of those.
    pub digest: Digest,
    /// How they are packed.
    pub method: Method,
}

/// What a wheel may take up before it is refused as a bomb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many entries it may have.
    pub entries: u64,
    /// How many bytes its entries may stand for together.
    pub size: u64,
    /// How many times its own size that may be, for what is beyond 64 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 300_000,
            size: 32 << 30,
            ratio: 100,
        }
    }
}
