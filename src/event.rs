//! What the library tells its caller while it works, and how the caller stops it.
//!
//! The library itself prints nothing and handles no signal.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which stream a line of a command's output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The stages of a build, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// Reading the requirements.
    Resolve,
    /// Opening the builder, asking it for its interpreter and pip.
    Builder,
    /// pip installs into the prefix.
    Install,
    /// The prefix is read back and put as the runtime needs it.
    Collect,
    /// The prefix is held against the runtime.
    Audit,
    /// The artifacts are written.
    Pack,
    /// An artifact is tried in its runtime.
    Verify,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builder => "builder",
            Self::Resolve => "resolve",
            Self::Install => "install",
            Self::Collect => "collect",
            Self::Audit => "audit",
            Self::Pack => "pack",
            Self::Verify => "verify",
        })
    }
}

/// Something that happened during a build.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage began.
    Stage(Stage, &'a str),
    /// What the builder is: where it is, its interpreter and platform.
    Builder(&'a str),
    /// What the runtime is: where it is, its interpreter and C library.
    Runtime(&'a str),
    /// A command in the builder wrote a line.
    Line {
        /// The stream.
        stream: Stream,
        /// What, without its newline.
        text: &'a str,
    },
    /// Why pip must be asked what will be installed.
    Asking(&'a str),
    /// A wheel is ready.
    Wheel {
        /// Its distribution.
        name: &'a str,
        /// Why it could not be taken from the cache as it was.
        made: Option<&'a str>,
    },
    /// So many wheels are fetched.
    Fetching(usize),
    /// How far the downloads are, in bytes.
    Fetched {
        /// Bytes that have come so far.
        done: u64,
        /// Bytes that will come in all, as far as that is known.
        total: u64,
    },
    /// What it waits for.
    Waiting(&'a str),
    /// Something that is good to know.
    Note(&'a str),
    /// Something that the user should know of and that stops nothing.
    Warning(&'a str),
    /// Something that will be installed is not what the lock file has: shown whatever else is not.
    Changed(&'a str),
    /// The line of a Dockerfile that installs what the runtime should have for the artifact.
    Remedy(&'a str),
    /// How far packing is, in bytes before compression.
    Packed {
        /// Bytes of contents written so far.
        done: u64,
        /// Bytes of contents in all.
        total: u64,
    },
}

/// Called for each event, from any thread.
pub type Observer<'a> = dyn Fn(&Event<'_>) + Sync + 'a;

/// How often progress is told: at most twenty times a second, or, without a clock, at each hundredth.
const INTERVAL: Duration = Duration::from_millis(50);
const PARTS: u64 = 100;

/// Passes events on, those of progress only now and then. The first and the last of a stage are always told.
pub(crate) struct Throttle<'a> {
    observe: &'a Observer<'a>,
    clock: Option<fn() -> Duration>,
    state: Mutex<State>,
}

/// What was told last, when, and what was not told since.
#[derive(Debug, Default)]
struct State {
    told: Option<(Progress, Duration)>,
    held: Option<Progress>,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    is_download: bool,
    done: u64,
    total: u64,
}

impl Progress {
    fn of(event: &Event<'_>) -> Option<Self> {
        let (is_download, done, total) = match *event {
            Event::Fetched { done, total } => (true, done, total),
            Event::Packed { done, total } => (false, done, total),
            _ => return None,
        };
        Some(Self {
            is_download,
            done,
            total,
        })
    }

    fn event(self) -> Event<'static> {
        let Self {
            is_download,
            done,
            total,
        } = self;
        if is_download {
            Event::Fetched { done, total }
        } else {
            Event::Packed { done, total }
        }
    }
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(observe: &'a Observer<'a>, clock: Option<fn() -> Duration>) -> Self {
        Self {
            observe,
            clock,
            state: Mutex::default(),
        }
    }

    /// Passes an event on, or not.
    pub(crate) fn event(&self, event: &Event<'_>) {
        let Some(progress) = Progress::of(event) else {
            if matches!(event, Event::Stage(..)) {
                self.flush();
            }
            (self.observe)(event);
            return;
        };
        let now = self.clock.map(|clock| clock());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = |(told, _): (Progress, _)| told.is_download != progress.is_download;
        if state.told.is_some_and(is_other) {
            drop(state);
            self.flush();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        }
        if let Some((told, at)) = state.told {
            let is_due = match now {
                Some(now) => now.saturating_sub(at) >= INTERVAL,
                None => progress.done.saturating_sub(told.done) >= progress.total / PARTS,
            };
            if !is_due && progress.done < progress.total {
                // Threads may come in another order than they counted.
                if state.held.unwrap_or(told).done < progress.done {
                    state.held = Some(progress);
                }
                return;
            }
        }
        state.told = Some((progress, now.unwrap_or_default()));
        state.held = None;
        drop(state);
        (self.observe)(event);
    }

    /// Tells what is held back: a stage is over.
    fn flush(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let held = std::mem::take(&mut *state).held;
        drop(state);
        if let Some(progress) = held {
            (self.observe)(&progress.event());
        }
    }
}

/// A switch that stops a build from another thread. Clones are the same switch.
///
/// A build that was stopped kills what it started, removes what it made, and returns an error.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A switch that has not been thrown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that holds this switch to stop. Safe to call more than once.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The switch itself, for signal handlers that can do no more than set a flag.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// A count with what is counted: `1 wheel`, `2 wheels`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    static NOW: AtomicU64 = AtomicU64::new(0);

    fn clock() -> Duration {
        Duration::from_millis(NOW.load(Ordering::SeqCst))
    }

    /// What is told of counting to 1000 at one a millisecond, and of going on.
    fn told(clock: Option<fn() -> Duration>, last: u64) -> Vec<u64> {
        let told = Mutex::new(Vec::new());
        let observe = |event: &Event<'_>| {
            if let Event::Packed { done, .. } = event {
                told.lock().unwrap().push(*done);
            }
        };
        let throttle = Throttle::new(&observe, clock);
        for done in 1..=last {
            NOW.store(done, Ordering::SeqCst);
            throttle.event(&Event::Packed { done, total: 1000 });
        }
        throttle.event(&Event::Stage(Stage::Verify, ""));
        told.into_inner().unwrap()
    }

    #[test]
    fn progress_is_told_now_and_then_and_at_both_ends() {
        let timed = told(Some(clock), 1000);
        assert_eq!(timed.first(), Some(&1));
        assert_eq!(timed.last(), Some(&1000));
        assert!(timed.len() <= 22, "{timed:?}");
        assert!(timed.is_sorted(), "{timed:?}");
        // A stage that ends early tells where.
        assert_eq!(told(Some(clock), 930).last(), Some(&930));
        let untimed = told(None, 1000);
        assert_eq!((untimed[0], untimed.last()), (1, Some(&1000)));
        assert!(untimed.len() <= 102, "{}", untimed.len());
    }
}
