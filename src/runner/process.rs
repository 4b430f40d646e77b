//! Running one process of this machine to its end, with a way to stop it.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place where processes are started"
)]

use std::cell::{Cell, OnceCell};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Ending, Error, Exec};
use crate::code::weight;
use crate::event::{Cancel, Stream};

/// How often a running process is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a process that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// How long output is waited for when the process has ended: what it left behind may hold the pipe.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a process may go on when nobody reads its output any more: some wait for ever then.
const UNREAD: Duration = Duration::from_secs(10);
/// The longest line that is handed over in one piece.
const MAX_LINE: u64 = 1 << 20;
/// How many lines may wait to be handed over.
const QUEUE: usize = 32;
/// How many last lines an error keeps.
const TAIL: usize = 30;

/// What becomes of a process's standard output.
enum Output<'a, T> {
    Lines,
    Bytes(Box<dyn FnOnce(ChildStdout) -> T + Send + 'a>),
}

/// A process with the environment of the command and nothing else.
pub(super) fn command(exec: &Exec) -> Command {
    let mut command = Command::new(&exec.program);
    command.args(&exec.args).env_clear().envs(&exec.env);
    command
}

/// Runs `exec`, gives it `input`, and hands over its lines.
pub(super) fn run(
    exec: &Exec,
    cancel: &Cancel,
    input: &[u8],
    on_line: &mut dyn FnMut(Stream, &str),
) -> Result<(), Error> {
    let feed = |mut stdin: ChildStdin| stdin.write_all(input);
    supervise::<()>(exec, cancel, feed, Output::Lines, on_line).map(drop)
}

/// Runs `exec` and lets `feed` write its standard input.
pub(super) fn feed(
    exec: &Exec,
    cancel: &Cancel,
    feed: impl FnOnce(ChildStdin) -> io::Result<()> + Send,
) -> Result<(), Error> {
    supervise::<()>(exec, cancel, feed, Output::Lines, &mut |_, _| {}).map(drop)
}

/// Runs `exec` and lets `consume` read its standard output.
///
/// What `consume` made of it is returned even where the process failed, since the one may be the
/// reason for the other; the caller knows which to tell.
pub(super) fn consume<'a, T: Send + 'a>(
    exec: &Exec,
    cancel: &Cancel,
    consume: impl FnOnce(ChildStdout) -> T + Send + 'a,
) -> (Option<T>, Result<(), Error>) {
    let output = Output::Bytes(Box::new(consume));
    match supervise(exec, cancel, |_| Ok(()), output, &mut |_, _| {}) {
        Ok((value, result)) => (value, result),
        Err(error) => (None, Err(error)),
    }
}

/// Runs `exec` and returns what it wrote to standard output.
pub(super) fn capture(exec: &Exec, cancel: &Cancel) -> Result<String, Error> {
    let mut out = String::new();
    run(exec, cancel, b"", &mut |stream, line| {
        if stream == Stream::Stdout {
            out.push_str(line);
            out.push('\n');
        }
    })?;
    Ok(out)
}

type Supervised<T> = Result<(Option<T>, Result<(), Error>), Error>;

fn supervise<'a, T: Send + 'a>(
    exec: &Exec,
    cancel: &Cancel,
    feed: impl FnOnce(ChildStdin) -> io::Result<()> + Send,
    output: Output<'a, T>,
    on_line: &mut dyn FnMut(Stream, &str),
) -> Supervised<T> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let lines_only = matches!(output, Output::Lines);
    let mut child = spawn(exec)?;
    let start = Instant::now();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Bounded: who writes faster than we read has to wait.
    let (sender, lines) = mpsc::sync_channel(QUEUE);
    let mut tail = Vec::new();
    // Not scoped: a thread that reads a pipe which some grandchild keeps open would never end.
    if let Some(stderr) = stderr {
        let sender = sender.clone();
        Builder::new()
            .spawn(move || forward(stderr, Stream::Stderr, &sender))
            .map_err(|source| unwatched(exec, &mut child, source))?;
    }
    let read: OnceLock<Instant> = OnceLock::new();
    let written = Cell::new(0_u64);
    let limit = || match exec.time {
        _ if written.get() > exec.output => Some(Error::TooMuch {
            command: exec.to_string(),
            limit: exec.output,
        }),
        Some(limit) if start.elapsed() > limit => Some(Error::TooSlow {
            command: exec.to_string(),
            limit,
        }),
        _ => None,
    };
    let exceeded: OnceCell<Error> = OnceCell::new();
    let is_over = || {
        if exceeded.get().is_none()
            && let Some(error) = limit()
        {
            let _ = exceeded.set(error);
        }
        cancel.is_cancelled()
            || exceeded.get().is_some()
            || read.get().is_some_and(|since| since.elapsed() > UNREAD)
    };
    let (value, ended) = thread::scope(|scope| {
        let mut consumer = None;
        // A process that ends without reading its input breaks the pipe; its exit code tells more.
        let feeding = Builder::new().spawn_scoped(scope, move || stdin.map(feed));
        let started = feeding.and_then(|_| {
            match (output, stdout) {
                (Output::Lines, Some(stdout)) => {
                    Builder::new().spawn(move || forward(stdout, Stream::Stdout, &sender))?;
                }
                (Output::Bytes(consume), Some(stdout)) => {
                    drop(sender);
                    consumer = Some(Builder::new().spawn_scoped(scope, || {
                        let value = consume(stdout);
                        let _ = read.set(Instant::now());
                        value
                    })?);
                }
                (_, None) => drop(sender),
            }
            Ok(())
        });
        if let Err(error) = started {
            end(&mut child);
            return (None, Err(error));
        }
        let ended = watch(&mut child, &is_over, &lines, &mut |stream, text| {
            if tail.len() == TAIL {
                tail.remove(0);
            }
            tail.push(text.to_owned());
            written.set(written.get() + weight(text) as u64);
            if written.get() <= exec.output {
                on_line(stream, text);
            }
        });
        (consumer.and_then(|consumer| consumer.join().ok()), ended)
    });
    let status = ended.map_err(|source| failed(exec, source))?;
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let result = match (exceeded.into_inner(), ending(status)) {
        (Some(error), _) => Err(error),
        (None, None) => Ok(()),
        (None, Some(ending)) => Err(Error::Failed {
            command: exec.to_string(),
            ending,
            tail,
        }),
    };
    if lines_only {
        result.map(|()| (None, Ok(())))
    } else {
        Ok((value, result))
    }
}

fn spawn(exec: &Exec) -> Result<Child, Error> {
    command(exec)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: Ctrl-C in a terminal goes to us alone, and we end all that it started.
        .process_group(0)
        .spawn()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound {
                program: exec.program.clone(),
            },
            _ => failed(exec, source),
        })
}

fn failed(exec: &Exec, source: io::Error) -> Error {
    Error::Io {
        command: exec.to_string(),
        source,
    }
}

/// Ends a process that nobody can watch.
fn unwatched(exec: &Exec, child: &mut Child, source: io::Error) -> Error {
    end(child);
    failed(exec, source)
}

fn end(child: &mut Child) {
    signal(child, Signal::KILL);
    let _ = child.wait();
}

/// Hands lines over until the process has ended and its pipes are closed; ends it when it is over.
fn watch(
    child: &mut Child,
    is_over: &dyn Fn() -> bool,
    lines: &mpsc::Receiver<(Stream, String)>,
    on_line: &mut dyn FnMut(Stream, &str),
) -> io::Result<ExitStatus> {
    let mut open = true;
    let mut asked: Option<Instant> = None;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        if open {
            match lines.recv_timeout(TICK) {
                Ok((stream, text)) => {
                    on_line(stream, &text);
                    if asked.is_none() && !is_over() {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
        }
        if ended.is_none() {
            if !open {
                thread::sleep(TICK / 10);
            }
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
        if let Some((status, since)) = ended
            && (!open || since.elapsed() > DRAIN)
        {
            // What it started and left behind goes with it.
            signal(child, Signal::KILL);
            return Ok(status);
        }
        if ended.is_none() && is_over() {
            match asked {
                None => {
                    signal(child, Signal::TERM);
                    asked = Some(Instant::now());
                }
                Some(since) if since.elapsed() > GRACE => signal(child, Signal::KILL),
                Some(_) => {}
            }
        }
    }
}

/// Sends a signal to the process and all that it started.
fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may be gone already, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

fn ending(status: ExitStatus) -> Option<Ending> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(Ending::Code(code)),
        (None, signal) => Some(Ending::Signal(signal.unwrap_or(0))),
    }
}

/// Sends the lines of a pipe until it is closed or nobody listens.
fn forward(pipe: impl Read, stream: Stream, lines: &SyncSender<(Stream, String)>) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match pipe.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        // A progress bar rewrites its line: what counts is how it stood last.
        let text = text.rsplit('\r').next().unwrap_or(text);
        if lines.send((stream, text.to_owned())).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Exec {
        let mut exec = Exec::new("sh").args(["-c", script]);
        exec.env
            .insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        exec
    }

    /// One that never ends, or never stops writing, or does not heed a gentle signal, is ended.
    #[test]
    fn what_has_no_end_is_ended() {
        let limit = Duration::from_millis(300);
        for script in ["sleep 1000", "trap '' TERM; while :; do sleep 1; done"] {
            let error = capture(&sh(script).within(limit), &Cancel::new()).unwrap_err();
            let shown = error.to_string();
            assert!(matches!(error, Error::TooSlow { .. }), "{shown}");
            assert_eq!(
                shown,
                format!(
                    "`sh -c '{}'` takes longer than 0 seconds",
                    script.replace('\'', r"'\''")
                )
            );
        }
        for (script, to) in [("yes", ""), ("yes", " >&2"), ("tr '\\0' x </dev/zero", "")] {
            let mut exec = sh(&format!("{script}{to}"));
            exec.output = 3 << 20;
            let mut handed = 0;
            let error = run(&exec, &Cancel::new(), b"", &mut |_, line| {
                handed += line.len();
            });
            let shown = error.unwrap_err().to_string();
            assert!(shown.ends_with("` writes more than 3 MB"), "{shown}");
            assert!(handed <= 3 << 20, "{handed}");
        }
        // What ends by itself is what it is.
        let quick = sh("echo x").within(Duration::from_secs(1000));
        assert_eq!(capture(&quick, &Cancel::new()).unwrap(), "x\n");
    }

    /// One that waits for ever when its pipe is broken is ended.
    #[test]
    fn what_nobody_reads_is_ended() {
        let exec = sh("trap '' PIPE; while :; do echo x 2>/dev/null; done");
        let (value, ended) = consume(&exec, &Cancel::new(), |mut stdout| {
            let mut start = [0; 2];
            stdout.read_exact(&mut start).map(|()| start)
        });
        assert_eq!(value.unwrap().unwrap(), *b"x\n");
        assert!(matches!(ended, Err(Error::Failed { .. })), "{ended:?}");
    }
}
