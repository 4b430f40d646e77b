//! What several tests need.

use std::io::Write as _;

pub(crate) mod chance;
pub(crate) mod failing;
pub(crate) mod fake;
pub(crate) mod hostile;
pub(crate) mod index;
pub(crate) mod mount;
pub(crate) mod python;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod wheel;

/// Says that a test cannot run here, and why. With `CI=true`, as `.ci/run` sets it, the test fails: there,
/// everything that tests need is installed.
pub(crate) fn skip(why: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!is_ci, "{why}");
    // Not the macro: its text is shown for tests that fail.
    let test = std::thread::current();
    let name = test.name().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "{name}: skipped: {why}");
}
