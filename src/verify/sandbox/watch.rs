//! Watches the command from inside: as the first process of the namespace, it collects orphans, and what
//! it leaves ends with it.

#![expect(
    clippy::disallowed_methods,
    reason = "runs as a process of its own: it starts the command and reads `/proc`"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use super::enter::doing;
use super::{CommandResult, Ended, KEEP, Spec};

/// How often the command is looked at.
const TICK: Duration = Duration::from_millis(10);
/// How often memory is counted.
const COUNT: Duration = Duration::from_millis(50);
/// How long the rest of the output is waited for: what the command left behind may hold the pipes.
const DRAIN: Duration = Duration::from_millis(200);

/// Runs the command to its end.
pub(super) fn run(spec: &Spec) -> Result<CommandResult, String> {
    let (program, arguments) = spec
        .command
        .split_first()
        .ok_or_else(|| "there is no command".to_owned())?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(doing(&format!("cannot run `{program}`")))?;
    let began = Instant::now();
    let stdout = child.stdout.take().map(Output::of);
    let stderr = child.stderr.take().map(Output::of);
    if let Some(mut stdin) = child.stdin.take() {
        let input = spec.input.clone().into_bytes();
        // A command that does not read it must not stop this thread.
        thread::spawn(move || stdin.write_all(&input));
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let ended = watch(spec, pid, began);
    if let Some(pid) = pid {
        // In a PID namespace all goes when this process ends; without one, this is what can be done.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let deadline = Instant::now() + DRAIN;
    let text = |output: Option<Output>| output.map_or_else(String::new, |it| it.text(deadline));
    Ok(CommandResult {
        ended,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

/// Waits until the command ends or exceeds a limit.
fn watch(spec: &Spec, command: Option<Pid>, began: Instant) -> Ended {
    let limit = Duration::from_secs(spec.limits.seconds);
    let mut counted = began;
    loop {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if Some(pid) == command {
                return ended(status);
            }
        }
        if began.elapsed() > limit {
            return Ended::Time;
        }
        if spec.walls && counted.elapsed() > COUNT {
            counted = Instant::now();
            if memory() > spec.limits.memory {
                return Ended::Memory;
            }
        }
        thread::sleep(TICK);
    }
}

fn ended(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
    }
}

/// The memory of all other processes in the namespace, in bytes, as far as it is their own; none where
/// there is no `/proc`. What processes share since they were forked counts for each of them.
fn memory() -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let processes = numbers.filter(|name| name.bytes().all(|c| c.is_ascii_digit()) && name != "1");
    let status =
        processes.filter_map(|name| fs::read_to_string(format!("/proc/{name}/status")).ok());
    status
        .map(|status| {
            let lines = status.lines().filter_map(|line| {
                let rest = line
                    .strip_prefix("RssAnon:")
                    .or_else(|| line.strip_prefix("RssShmem:"))?;
                rest.split_whitespace().next()?.parse::<u64>().ok()
            });
            lines.sum::<u64>() * 1024
        })
        .sum()
}

/// An output that is read to its end; its beginning and its end are kept.
struct Output {
    kept: Arc<Mutex<Captured>>,
    reader: thread::JoinHandle<()>,
}

#[derive(Default)]
struct Captured {
    start: Vec<u8>,
    end: Vec<u8>,
    left_out: u64,
}

impl Output {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Captured::default()));
        let keeper = Arc::clone(&kept);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                let mut kept = keeper.lock().unwrap_or_else(PoisonError::into_inner);
                kept.add(&buffer[..count]);
            }
        });
        Self { kept, reader }
    }

    /// What is there when the pipe is closed, or at the latest at `deadline`.
    fn text(self, deadline: Instant) -> String {
        while !self.reader.is_finished() && Instant::now() < deadline {
            thread::sleep(TICK / 10);
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.text()
    }
}

impl Captured {
    fn add(&mut self, mut bytes: &[u8]) {
        let room = KEEP.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..room]);
        bytes = &bytes[room..];
        self.end.extend_from_slice(bytes);
        let over = self.end.len().saturating_sub(KEEP);
        self.left_out += over as u64;
        self.end.drain(..over);
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.start).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n[{} bytes are left out]\n", self.left_out));
        }
        text.push_str(&String::from_utf8_lossy(&self.end));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_of_an_output_are_kept() {
        let mut kept = Captured::default();
        kept.add(b"start");
        assert_eq!(kept.text(), "start");
        for _ in 0..100 {
            kept.add(&[b'x'; 1000]);
        }
        kept.add(b"end");
        let text = kept.text();
        let left_out = 5 + 100_000 + 3 - 2 * KEEP;
        assert!(text.starts_with("startx") && text.ends_with("xend"));
        assert!(text.contains(&format!("\n[{left_out} bytes are left out]\n")));
        assert!(text.len() < 2 * KEEP + 100);
    }
}
