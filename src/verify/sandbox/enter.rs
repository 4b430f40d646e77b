//! The two stages by which a process enters the sandbox. Both have one thread.

#![expect(
    clippy::disallowed_methods,
    reason = "runs as a process of its own: it starts the next stage and reads what the kernel says of it"
)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::{Limits, Reply, Spec, View, filter, view, watch};

/// The first argument of the program that enters the sandbox.
pub const ARGUMENT: &str = "__sandbox";
/// The second argument of the inner stage.
const INNER: &str = "inner";
/// Where the kernel has the program of the running process.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

/// Runs a stage of the sandbox: reads a specification, writes one reply.
///
/// The program that [`Claim::helper`](crate::verify::Claim::helper) names calls this, with the arguments
/// behind [`ARGUMENT`], before it starts a thread, and then exits. Nothing is returned: a failure is
/// a reply too.
pub fn enter(arguments: &[String], input: impl Read, mut output: impl Write) {
    let is_inner = arguments.first().is_some_and(|stage| stage == INNER);
    // Whoever waits for the answer is gone if this ends first.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let reply = match serde_json::from_reader::<_, Spec>(input) {
        Err(error) => Some(Reply::Refused(format!("no specification: {error}"))),
        Ok(spec) if is_inner => Some(inner(&spec).unwrap_or_else(Reply::Refused)),
        // The inner stage has replied.
        Ok(spec) => outer(&spec).err().map(Reply::Refused),
    };
    if let Some(reply) = reply {
        let _ = serde_json::to_writer(&mut output, &reply);
        let _ = output.flush();
    }
}

/// A closure for `map_err` that says what was being done.
pub(super) fn doing<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Leaves the namespaces of this machine and starts the inner stage.
fn outer(spec: &Spec) -> Result<(), String> {
    close_inherited()?;
    if spec.walls {
        leave()?;
    }
    let mut child = Command::new(THIS_PROGRAM)
        .args([ARGUMENT, INNER])
        .env_clear()
        .stdin(Stdio::piped())
        .spawn()
        .map_err(doing("cannot start a process in new namespaces"))?;
    if let Some(stdin) = child.stdin.take() {
        serde_json::to_writer(stdin, spec).map_err(doing("the sandbox ended"))?;
    }
    let status = child.wait().map_err(doing("the sandbox is lost"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the sandbox ended by itself: {status}"))
    }
}

/// Closes what the caller of prebuild left open: a directory among it would be a way out.
fn close_inherited() -> Result<(), String> {
    let listed = fs::read_dir("/proc/self/fd").map_err(doing("cannot read /proc/self/fd"))?;
    let open = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // Collected first: the directory that is read is one of them.
    let open: Vec<i32> = open.filter(|number| *number > 2).collect();
    for number in open {
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Leaves every namespace; root does so without a user namespace, and enters one later.
fn leave() -> Result<(), String> {
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if unshare(flags).is_ok() {
        return Ok(());
    }
    let user = rustix::process::geteuid();
    if user.is_root() {
        // Without the privilege to mount, root is a user whose files the command could read.
        become_nobody().map_err(doing("cannot give up root"))?;
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
    let (user, group) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    unshare(flags | CloneFlags::CLONE_NEWUSER)
        .map_err(doing("the kernel allows no user namespaces here"))?;
    map(&itself()?, (0, user), (0, group)).map_err(doing("cannot map a user into a namespace"))
}

/// The directory of this process in `/proc`, which stays usable when the root changes.
fn itself() -> Result<std::os::fd::OwnedFd, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, "/proc/self", flags, Mode::empty()).map_err(doing("cannot open /proc/self"))
}

/// Makes this process `.0` in its new user namespace, who is `.1` outside.
fn map(itself: &std::os::fd::OwnedFd, user: (u32, u32), group: (u32, u32)) -> io::Result<()> {
    let write = |name: &str, text: String| {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file = File::from(openat(itself, name, flags, Mode::empty())?);
        file.write_all(text.as_bytes())
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{} {} 1", user.0, user.1))?;
    write("gid_map", format!("{} {} 1", group.0, group.1))
}

/// Takes on an unprivileged user and group, for good.
fn become_nobody() -> rustix::io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)
}

/// Builds the view, gives up every privilege, and runs the command.
fn inner(spec: &Spec) -> Result<Reply, String> {
    if spec.walls {
        // While there is a `/proc` of the namespace outside.
        let itself = itself()?;
        view::mount(spec)?;
        drop_privileges(&itself)?;
    } else {
        without_walls(spec)?;
    }
    limit(spec).map_err(doing("cannot set limits"))?;
    if spec.walls {
        filter::apply().map_err(doing("cannot filter system calls"))?;
    }
    Ok(watch::run(spec).map_or_else(Reply::NotStarted, Reply::CommandResult))
}

/// Becomes nobody in a user namespace of its own, without capabilities and without a way to new ones.
fn drop_privileges(itself: &std::os::fd::OwnedFd) -> Result<(), String> {
    let group = rustix::process::getegid().as_raw();
    let unshared = if is_initial() {
        drop_bounding_set().map_err(doing("cannot drop capabilities"))?;
        become_nobody().map_err(doing("cannot take on an unprivileged user"))?;
        // Another user's process hides its maps otherwise.
        let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
        // Nobody without capabilities is in no need of a user namespace, where there are none.
        match unshare(CloneFlags::CLONE_NEWUSER) {
            Ok(()) => Some((NOBODY, NOBODY)),
            Err(_) => None,
        }
    } else {
        unshare(CloneFlags::CLONE_NEWUSER).map_err(doing("cannot leave the user namespace"))?;
        Some((0, group))
    };
    if let Some((user, group)) = unshared {
        map(itself, (NOBODY, user), (NOBODY, group))
            .map_err(doing("cannot map an unprivileged user"))?;
        drop_bounding_set().map_err(doing("cannot drop capabilities"))?;
    }
    clear_ambient_capability_set().map_err(doing("cannot drop capabilities"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(doing("cannot drop capabilities"))?;
    set_no_new_privs(true).map_err(doing("cannot rule out new privileges"))?;
    // Lost with the old user.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // The command has the same user, and must not trace this process.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(doing("cannot forbid being traced"))
}

/// Whether the outer stage left its namespaces as root: then `nobody` is another user.
fn is_initial() -> bool {
    // In a user namespace of the outer stage, only one user is mapped.
    let mapped = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let sizes = mapped
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    sizes.sum::<u64>() > u64::from(NOBODY)
}

fn drop_bounding_set() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // An older kernel has fewer.
            Err(rustix::io::Errno::INVAL) | Ok(()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Without a sandbox, a root directory still takes `chroot`, and root gives itself up there.
fn without_walls(spec: &Spec) -> Result<(), String> {
    if matches!(spec.view, View::Root(_)) {
        let root = spec.layers.join(view::LAYER);
        rustix::process::chroot(&root).map_err(doing("cannot change the root directory"))?;
        rustix::process::chdir("/").map_err(doing("cannot enter the root directory"))?;
        become_nobody().map_err(doing("cannot take on an unprivileged user"))?;
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
    set_no_new_privs(true).map_err(doing("cannot rule out new privileges"))
}

/// Sets the limits of this process, which the command inherits.
fn limit(spec: &Spec) -> rustix::io::Result<()> {
    let limits = &spec.limits;
    let set = |resource, most: u64| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        match setrlimit(resource, limit) {
            // There is a lower one already.
            Err(rustix::io::Errno::PERM) => Ok(()),
            set => set,
        }
    };
    // What can be written to. Address space would also count what is only reserved, of which some
    // libraries take terabytes.
    set(Resource::Data, limits.memory)?;
    if spec.walls && counts_processes_apart() {
        set(Resource::Nproc, Limits::PROCESSES)?;
    }
    set(Resource::Nofile, Limits::FILES)?;
    set(Resource::Fsize, Limits::FILE)?;
    set(Resource::Cpu, limits.seconds.saturating_mul(8))?;
    set(Resource::Memlock, 0)?;
    set(Resource::Msgqueue, 0)?;
    set(Resource::Core, 0)
}

/// Whether the kernel counts the processes of a user namespace by themselves. Before Linux 5.14 it counts
/// all that the user has on this machine, of which there may be more than an import may start.
fn counts_processes_apart() -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next()) >= (5, 14)
}
