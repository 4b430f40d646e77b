//! The help of every command, as a terminal of 80 columns shows it.

use crate::support::sandbox::Sandbox;

const COMMANDS: [&[&str]; 11] = [
    &[],
    &["plan"],
    &["lock"],
    &["verify"],
    &["runtime"],
    &["cache"],
    &["cache", "dir"],
    &["cache", "size"],
    &["cache", "prune"],
    &["cache", "verify"],
    &["cache", "clean"],
];

fn help(command: &[&str], flag: &str) -> String {
    let sandbox = Sandbox::new().env("COLUMNS", "80");
    let ran = sandbox.run(&[command, &[flag]].concat()).ok();
    assert_eq!(ran.stderr, "");
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    ran.stdout
}

fn name(kind: &str, command: &[&str]) -> String {
    [&[kind, "prebuild"], command].concat().join("-")
}

#[test]
fn short_help_fits_a_screen() {
    for command in COMMANDS {
        let text = help(command, "-h");
        assert!(text.lines().count() <= 45, "{text}");
        insta::assert_snapshot!(name("short", command), text);
    }
}

#[test]
fn long_help_has_every_option() {
    for command in COMMANDS {
        let text = help(command, "--help");
        insta::assert_snapshot!(name("long", command), text);
    }
}

#[test]
fn without_arguments_the_short_help_is_shown() {
    let ran = Sandbox::new().env("COLUMNS", "80").run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert_eq!(ran.stderr, help(&[], "-h"));
}

#[test]
fn the_version_names_the_command() {
    let ran = Sandbox::new().run(&["--version"]).ok();
    assert_eq!(
        ran.stdout,
        concat!("prebuild ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

/// As with cargo and git.
#[test]
fn options_may_stand_before_the_subcommand() {
    let sandbox = Sandbox::new();
    sandbox.run(&["-q", "cache", "dir"]).ok();
    let behind = sandbox
        .run(&["cache", "prune", "--max-size", "1GB"])
        .ok()
        .stdout;
    let before = sandbox
        .run(&["-v", "cache", "prune", "--max-size", "1GB"])
        .ok()
        .stdout;
    assert_eq!(before, behind);
    let help = sandbox.run(&["plan", "-h"]).ok().stdout;
    assert_eq!(sandbox.run(&["-q", "plan", "-h"]).ok().stdout, help);
    // What follows an option is its value, and a file of that name is a file.
    sandbox
        .run(&["-o", "plan", "requirements.txt"])
        .fails(2, &["`plan` has no known format"]);
    sandbox.write("plan", "# nothing\n");
    sandbox.offline(&["-q", "plan"]).ok();
    sandbox
        .run(&["plan", "lock"])
        .fails(2, &["the requirements file `lock` cannot be read"]);
}
