//! The interpreter and platform that the artifact is for.

use serde::{Deserialize, Serialize};

/// The values of the environment markers, as the target's interpreter gives them.
///
/// The names and their meaning are those of the dependency specifiers' [environment
/// markers](https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
