//! What of a failed command's own words is worth showing.

use std::ops::Range;

use super::output::{Line, Output};

/// How many lines an excerpt has at most.
pub const SHOWN: usize = 20;

/// How many characters of a line are shown: a compiler's command line is longer than a page.
const WIDTH: usize = 240;

/// How many lines of a command are kept at most, the last of them.
const ALL: usize = 2000;

/// How many lines before and behind the cause say what it is about.
const AROUND: (usize, usize) = (2, 5);

/// The lines of the command that wrote the line `at`, or that had ended when pip wrote it; empty if
/// there is none.
pub(super) fn command(output: &Output, at: usize) -> Range<usize> {
    let is_of_command = |at: &usize| output.lines.get(*at).is_some_and(|line| line.of_command);
    let about = |at: usize| output.lines.get(at).map(|line| &line.about);
    // pip's own words about a failed command come right behind what that wrote.
    let nearest = (at.saturating_sub(NEAR)..=at).rev().find(is_of_command);
    let Some(inside) = nearest.filter(|inside| about(*inside) == about(at)) else {
        return 0..0;
    };
    let start = (0..=inside).rev().take_while(is_of_command).last();
    let end = (inside..output.lines.len())
        .take_while(is_of_command)
        .last();
    let is_empty = |at: &usize| {
        output
            .lines
            .get(*at)
            .is_none_or(|line| line.text.is_empty())
    };
    let start = start.unwrap_or(inside);
    let end = end.unwrap_or(inside);
    // Nothing is shown by empty lines at the end.
    let end = (start..=end)
        .rev()
        .find(|at| !is_empty(at))
        .unwrap_or(start);
    start..end + 1
}

/// The errors from the line `at` on, up to a line that is none.
pub(super) fn errors(output: &Output, at: usize) -> Range<usize> {
    let lines = output.lines.get(at..).unwrap_or_default();
    let is_error = |line: &&Line| line.text.starts_with("ERROR: ");
    at..at + lines.iter().take_while(is_error).count()
}

/// How many lines pip writes about a command that failed.
const NEAR: usize = 16;

/// The lines of `command` around the line `at`, and the last ones.
pub(super) fn of(output: &Output, command: &Range<usize>, at: usize) -> Vec<String> {
    let around = if command.contains(&at) {
        let start = at.saturating_sub(AROUND.0).max(command.start);
        start..(at + AROUND.1).min(command.end)
    } else {
        command.start..command.start
    };
    let last = command.end.saturating_sub(SHOWN - 1 - around.len());
    let last = last.max(command.start).max(around.end)..command.end;
    let mut shown = lines(output, &around);
    if !around.is_empty() && around.end < last.start {
        shown.push("…".to_owned());
    }
    shown.extend(lines(output, &last));
    shown
}

/// All lines of `command`, or the last of them.
pub(super) fn all(output: &Output, command: &Range<usize>) -> Vec<String> {
    let start = command.end.saturating_sub(ALL).max(command.start);
    lines(output, &(start..command.end))
}

fn lines(output: &Output, range: &Range<usize>) -> Vec<String> {
    let lines = output.lines.get(range.clone()).unwrap_or_default();
    let lines = lines.iter().map(|line| {
        let indent = " ".repeat(line.indent.min(WIDTH));
        short(&format!("{indent}{}", line.text))
    });
    lines.collect()
}

/// A line without control characters, cut to what fits on a screen.
pub(crate) fn short(line: &str) -> String {
    let mut short: String = line
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .take(WIDTH)
        .collect();
    if line.chars().nth(WIDTH).is_some() {
        short.push('…');
    }
    short
}
