//! The interpreter and platform that the artifact is for: as an interpreter says of itself, or named
//! by a user and computed.

mod named;
mod platform;
mod python;
mod tags;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use named::Named;
pub use platform::{ParsePlatformError, Platform};
pub use python::{ParsePythonError, PythonVersion};

/// The values of the environment markers, as the target's interpreter gives them.
///
/// The names and their meaning are those of the dependency specifiers' [environment
/// markers](https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MarkerEnvironment {
    /// `sys.implementation.name`, such as `cpython`.
    pub implementation_name: String,
    /// `sys.implementation.version`, as PEP 508 writes it.
    pub implementation_version: String,
    /// `os.name`.
    pub os_name: String,
    /// `platform.machine()`.
    pub platform_machine: String,
    /// `platform.python_implementation()`.
    pub platform_python_implementation: String,
    /// `platform.release()`.
    pub platform_release: String,
    /// `platform.system()`.
    pub platform_system: String,
    /// `platform.version()`.
    pub platform_version: String,
    /// `platform.python_version()`.
    pub python_full_version: String,
    /// `X.Y`.
    pub python_version: String,
    /// `sys.platform`.
    pub sys_platform: String,
}

/// The interpreter and platform that an artifact is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The values of the environment markers.
    pub markers: MarkerEnvironment,
    /// `sysconfig.get_platform()`, such as `linux-x86_64`.
    pub platform: String,
    /// The ABI tag in the names of extension modules, such as `cpython-311-x86_64-linux-gnu`.
    pub soabi: Option<String>,
    /// The C library and its version, such as `glibc 2.36`; empty where Python cannot tell.
    pub libc: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} on {}",
            self.markers.platform_python_implementation,
            self.markers.python_full_version,
            self.platform
        )?;
        if !self.libc.is_empty() {
            write!(f, ", {}", self.libc)?;
        }
        Ok(())
    }
}
