//! What the caller is told of the stages, and how long they took.

use std::time::Duration;

use crate::event::{Event, Observer, Stage};
use crate::runtime::Runtime;

/// Tells stages and takes their times.
pub(super) struct Watch<'a> {
    pub(super) observe: &'a Observer<'a>,
    clock: Option<fn() -> Duration>,
    stages: Vec<(Stage, Duration)>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(clock: Option<fn() -> Duration>, observe: &'a Observer<'a>) -> Self {
        Self {
            observe,
            clock,
            stages: Vec::new(),
        }
    }

    pub(super) fn stage(&mut self, stage: Stage, about: &str) {
        (self.observe)(&Event::Stage(stage, about));
        if let Some(clock) = self.clock {
            self.stages.push((stage, clock()));
        }
    }

    pub(super) fn tell(&self, about: &str) {
        (self.observe)(&Event::Builder(about));
    }

    pub(super) fn found(&self, runtime: &Runtime) {
        (self.observe)(&Event::Runtime(&runtime.to_string()));
    }

    pub(super) fn warn(&self, text: &str) {
        (self.observe)(&Event::Warning(text));
    }

    pub(super) fn finish(self) -> Vec<(Stage, f64)> {
        let Some(clock) = self.clock else {
            return Vec::new();
        };
        let ends = self.stages.iter().skip(1).map(|(_, start)| *start);
        let ends: Vec<_> = ends.chain([clock()]).collect();
        let mut times: Vec<(Stage, f64)> = Vec::new();
        for ((stage, start), end) in self.stages.iter().zip(ends) {
            let seconds = end.saturating_sub(*start).as_secs_f64();
            // What a stage comes back to counts for it as a whole.
            match times.iter_mut().find(|(known, _)| known == stage) {
                Some((_, so_far)) => *so_far += seconds,
                None => times.push((*stage, seconds)),
            }
        }
        times
    }
}
