//! System calls that no import needs, and by which sandboxes were left.
//!
//! The command has no capability that most of them need. The filter is for the day on which the kernel
//! has a flaw behind one of them.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Refused with `EPERM`.
const REFUSED: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// As if the kernel did not have them, so that callers take another way: memory that no process maps is
/// counted for nobody, and the flags of `clone3` lie where a filter cannot look.
const ABSENT: &[c_long] = &[libc::SYS_clone3, libc::SYS_memfd_create, libc::SYS_shmget];

/// The flags of `clone` that make namespaces.
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Puts the filters onto this process and all that it starts; where the crate does not know the
/// architecture, none.
pub(super) fn apply() -> Result<(), Error> {
    for program in programs()? {
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

/// The filters for the architecture of this program; none where the crate does not know it.
pub(crate) fn programs() -> Result<Vec<BpfProgram>, Error> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(Vec::new());
    };
    let mut refused = always(REFUSED);
    refused.insert(libc::SYS_clone, namespaces()?);
    let errors = [(refused, libc::EPERM), (always(ABSENT), libc::ENOSYS)];
    errors
        .into_iter()
        .map(|(rules, error)| {
            let action = SeccompAction::Errno(error.unsigned_abs());
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?;
            Ok(filter.try_into()?)
        })
        .collect()
}

fn always(calls: &[c_long]) -> BTreeMap<i64, Vec<SeccompRule>> {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// One rule a flag: a rule compares under a mask for equality.
fn namespaces() -> Result<Vec<SeccompRule>, Error> {
    let flags = (0..i32::BITS).map(|bit| 1_u64 << bit);
    let flags = flags.filter(|flag| flag & u64::from(NAMESPACES.cast_unsigned()) != 0);
    let rules = flags.map(|flag| {
        let masked = SeccompCmpOp::MaskedEq(flag);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, masked, flag)?;
        SeccompRule::new(vec![condition])
    });
    Ok(rules.collect::<Result<_, _>>()?)
}
