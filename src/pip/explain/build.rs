//! What a build of an sdist says of why it failed.

use std::collections::HashSet;

use super::failure::{Cause, Failure};
use super::output::{Line, Output, between, failed_build, name_at_start, normalized};
use super::{ENOUGH, Found, excerpt, resolve};
use crate::pip::packages::{self, Kind};

pub(super) fn find(output: &Output) -> Vec<Found> {
    let given_up = given_up(output);
    let is_fatal = |line: &Line| {
        let name = line.about.as_deref().map(normalized);
        !is_discarded(&line.text) || name.is_some_and(|name| given_up.contains(&name))
    };
    let mut found = Vec::new();
    for (at, line) in output.lines.iter().enumerate() {
        if found.len() >= ENOUGH {
            break;
        }
        let mut other = None;
        let (name, failure) = if is_end_of_build(&line.text) && is_fatal(line) {
            let name = failed_build(&line.text)
                .filter(|name| !name.contains("://"))
                .or(line.about.as_deref());
            let failure = killed(&line.text).unwrap_or_else(|| Failure::BuildFailed {
                detail: detail(output, at, name),
            });
            (name.map(str::to_owned), failure)
        } else if let Some(libraries) = two_libraries(&line.text) {
            let [first, second] = libraries.map(|library| Failure::MissingLibrary {
                library: library.to_owned(),
            });
            other = Some(second);
            (line.about.clone(), first)
        } else if let Some(failure) = recognised(line) {
            (line.about.clone(), failure)
        } else {
            continue;
        };
        let place = line.place.filter(|_| name == line.about);
        for failure in std::iter::once(failure).chain(other) {
            let cause = Cause {
                distribution: name.clone(),
                line: place,
                failure,
            };
            found.push(Found { cause, at });
        }
    }
    found
}

fn recognised(line: &Line) -> Option<Failure> {
    let text = line.text.as_str();
    killed(text)
        .or_else(|| header(text))
        .or_else(|| library(text))
        .or_else(|| command(text))
        .or_else(|| told_program(text))
        .or_else(|| pkg_config(text))
        .or_else(|| told_library(text))
        .or_else(|| module(text))
}

/// The distributions of which pip found no version in the end.
fn given_up(output: &Output) -> HashSet<String> {
    let name = |line: &Line| {
        let requirement = line.text.strip_prefix(resolve::NO_VERSION)?;
        name_at_start(requirement).map(normalized)
    };
    output.lines.iter().filter_map(name).collect()
}

/// Whether pip goes on with another version after this build, as pip before 21.1 does.
fn is_discarded(text: &str) -> bool {
    text.starts_with("WARNING: Discarding ")
        && text
            .split_once(" Command errored out with exit status ")
            .and_then(|(_, rest)| rest.split_once(": "))
            .is_some_and(|(_, command)| !command.starts_with("git "))
}

/// Whether these are pip's own words about a build that failed.
fn is_end_of_build(text: &str) -> bool {
    failed_build(text).is_some()
        || is_discarded(text)
        || text.starts_with("ERROR: Command errored out with exit status")
        || text.starts_with("error: metadata-generation-failed")
        || text.contains("Cannot import build backend ")
        || (text.ends_with(" did not run successfully.") && !text.contains("git "))
}

/// How many lines of a build's own words are told.
const PARAGRAPH: usize = 3;

/// The line of the build's output that says most: what a compiler calls an error, else the last
/// exception.
fn detail(output: &Output, at: usize, name: Option<&str>) -> Option<String> {
    let lines = || {
        let of_it = |line: &&Line| line.indent > 0 && line.about.as_deref() == name;
        output.lines.iter().filter(of_it)
    };
    let compiler = lines().find(|line| {
        let place = line.text.split_once(": error: ").map(|(place, _)| place);
        place.is_some_and(|place| place.ends_with(|c: char| c.is_ascii_digit()))
    });
    // That a command failed says less than what that said itself.
    let is_wrapped = |line: &Line| line.text.contains("CalledProcessError: ");
    let exception = || {
        let of_it = lines().rfind(|line| is_exception(&line.text) && !is_wrapped(line));
        of_it.or_else(|| lines().rfind(|line| is_exception(&line.text)))
    };
    // Of a failure without output, pip's next line tells something; else the first line does.
    let told = || {
        let next = output.lines.get(at + 1)?;
        let elsewhere = ["See above for", "No available output."];
        let is_elsewhere = elsewhere.iter().any(|words| next.text.contains(words));
        (next.text.starts_with("╰─> ") && !is_elsewhere).then_some(next)
    };
    let first = || {
        lines()
            .skip_while(|line| !line.text.contains(" lines of output]"))
            .skip(1)
            .find(|line| !line.text.is_empty() && line.text != "[end of output]")
    };
    // What a build says itself, in whatever words, comes last.
    let own = || {
        let lines = output.lines.get(excerpt::command(output, at))?;
        // The pip that installed what the build needs did so, and the build itself said nothing.
        if lines.iter().any(|line| line.text.starts_with("Using pip ")) {
            return None;
        }
        let is_said = |line: &&Line| !line.text.is_empty() && !is_of_pip(&line.text);
        // Who tells what it does says last why it stopped; else the first paragraph says it.
        if lines.iter().any(|line| is_step(&line.text)) {
            return lines.iter().rfind(is_said).map(|line| line.text.clone());
        }
        let paragraph = lines
            .iter()
            .skip_while(|line| !is_said(line))
            .take_while(is_said)
            .take(PARAGRAPH)
            .map(|line| line.text.as_str());
        let paragraph: Vec<&str> = paragraph.collect();
        (!paragraph.is_empty()).then(|| paragraph.join(" "))
    };
    let line = compiler.or_else(exception).or_else(told).or_else(first);
    let Some(line) = line else {
        let ended = || exit_code(output, at).map(|code| format!("no output, exit code {code}"));
        return own().map(|text| cut(&text)).or_else(ended);
    };
    let text = line.text.strip_prefix("╰─> ").unwrap_or(&line.text);
    (!text.contains(" lines of output]")).then(|| cut(text))
}

/// What pip writes to its log around a command.
fn is_of_pip(text: &str) -> bool {
    const STARTS: &[&str] = &[
        "Removed build tracker",
        "Removed file",
        "Created temporary directory",
        "ERROR: [present-rich]",
        "[bold magenta]",
    ];
    STARTS.iter().any(|start| text.starts_with(start))
}

/// Whether a build says what it does, as setuptools does: `running build_ext`.
fn is_step(text: &str) -> bool {
    const VERBS: &[&str] = &[
        "adding",
        "building",
        "compiling",
        "copying",
        "creating",
        "reading",
        "running",
        "writing",
    ];
    let mut words = text.split_whitespace();
    words.next().is_some_and(|verb| VERBS.contains(&verb)) && words.next().is_some()
}

/// The exit code that pip tells of a command: `│ exit code: 3` below, before pip 21.3
/// `errored out with exit status 3: COMMAND`.
fn exit_code(output: &Output, at: usize) -> Option<&str> {
    let told = output.lines.get(at..)?.iter().take(2).find_map(|line| {
        let below = line.text.strip_prefix("│ exit code: ");
        below.or_else(|| between(&line.text, " errored out with exit status ", ": "))
    })?;
    let is_number = |code: &str| code.trim_start_matches('-').parse::<u32>().is_ok();
    Some(told).filter(|code| is_number(code))
}

fn is_exception(text: &str) -> bool {
    const OF_PIP: &[&str] = &[
        "error: subprocess-exited-with-error",
        "error: metadata-generation-failed",
        "error: legacy-install-failure",
        "error: failed-wheel-build-for-install",
        "ERROR: Failed",
        "ERROR: Command errored",
        "ERROR: Could not",
        "ERROR: No matching",
    ];
    let text = text.strip_prefix("╰─> ").unwrap_or(text);
    if OF_PIP.iter().any(|start| text.starts_with(start)) {
        return false;
    }
    let kind = text.split_once(": ").map_or("", |(kind, _)| kind);
    let last = kind.rsplit('.').next().unwrap_or(kind);
    let is_name = !kind.contains(char::is_whitespace);
    is_name && (last.ends_with("Error") || last.ends_with("Exception") || last == "SystemExit")
        || text.starts_with("error: ")
        || text.starts_with("Error: ")
        || text.contains("configure: error: ")
        || text.contains(": ERROR: ")
        || text.starts_with("CMake Error")
}

/// A message is a line, not a page.
fn cut(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn killed(text: &str) -> Option<Failure> {
    const WORDS: &[&str] = &[
        "Killed signal terminated program",
        "internal compiler error: Killed",
        "virtual memory exhausted",
        "out of memory allocating",
        "LLVM ERROR: out of memory",
        "died with <Signals.SIGKILL",
        "(signal: 9, SIGKILL",
        "Cannot allocate memory",
        "failed to map segment from shared object",
    ];
    let ended = ["exit code: -9", "exit code -9", "exit status -9"]
        .iter()
        .any(|end| text.ends_with(end));
    let is_one = ended
        || text.contains(" errored out with exit status -9: ")
        || text == "Killed"
        || text == "MemoryError"
        || WORDS.iter().any(|word| text.contains(word));
    is_one.then_some(Failure::Killed)
}

fn header(text: &str) -> Option<Failure> {
    let header = if let Some((place, rest)) = text.split_once(" fatal error: ") {
        // Without a place it is a source file that is missing, not what one includes.
        let place = place.strip_suffix(':')?;
        place
            .ends_with(|c: char| c.is_ascii_digit())
            .then_some(())?;
        rest.strip_suffix(": No such file or directory")
            .or_else(|| rest.strip_suffix(" file not found"))?
            .trim_matches(['\'', '"'])
    } else {
        return told_header(text);
    };
    Some(missing_header(header))
}

/// What a `setup.py` says that looks for headers itself.
fn told_header(text: &str) -> Option<Failure> {
    let name = between(text, "did not find ", " headers")?;
    (!name.contains(' ')).then(|| Failure::MissingLibrary {
        library: name.to_owned(),
    })
}

fn missing_header(header: &str) -> Failure {
    if header == "Python.h" || header == "pyconfig.h" {
        return Failure::PythonHeaders;
    }
    Failure::MissingHeader {
        header: header.to_owned(),
    }
}

fn library(text: &str) -> Option<Failure> {
    let library = [
        "cannot find -l",
        "unable to find library -l",
        "library not found for -l",
    ]
    .iter()
    .find_map(|start| Some(text.split_once(start)?.1))?;
    let library = library.split([':', ' ']).next()?;
    Some(if library.starts_with("python3") {
        Failure::PythonHeaders
    } else {
        Failure::MissingLibrary {
            library: library.to_owned(),
        }
    })
}

/// A command that was not found, by whoever looked for it.
fn command(text: &str) -> Option<Failure> {
    let quoted = |rest: &str| {
        let rest = rest.trim_start();
        let quote = rest.chars().next().filter(|c| "'\"‘`".contains(*c))?;
        let rest = rest.strip_prefix(quote)?;
        let end = rest.find(['\'', '"', '’', '`'])?;
        Some(rest.get(..end)?.to_owned())
    };
    if text.starts_with("Running `") {
        // Meson tries one compiler after the other, and says in the end what it needs.
        return None;
    }
    let program = if let Some((_, rest)) = text.split_once("No such file or directory: ") {
        // Files go missing too: only what is known as a program is told as one.
        quoted(rest).filter(|name| packages::find(Kind::Program, name).is_some())
    } else if let Some(rest) = text.strip_prefix("error: command ") {
        quoted(rest).filter(|_| text.ends_with("failed: No such file or directory"))
    } else if let Some(rest) = text.strip_prefix("unable to execute ") {
        quoted(rest).filter(|_| text.ends_with(": No such file or directory"))
    } else if let Some(rest) = text.strip_prefix("ERROR: Cannot find command ") {
        quoted(rest)
    } else if text.contains("sh: ") || text.starts_with("make: ") || text.starts_with("env: ") {
        shell(text)
    } else {
        None
    }?;
    let program = program.rsplit('/').next().unwrap_or(&program).to_owned();
    (!program.is_empty()).then(|| missing_program(program))
}

/// `/bin/sh: 1: cmake: not found`, `bash: line 1: cmake: command not found`, `sh: cmake: not found`.
fn shell(text: &str) -> Option<String> {
    let rest = [
        ": command not found",
        ": not found",
        ": No such file or directory",
    ]
    .iter()
    .find_map(|end| text.strip_suffix(end))?;
    let name = rest
        .rsplit(": ")
        .next()?
        .trim_matches(['\'', '‘', '’', '"']);
    let is_name = !name.is_empty() && !name.contains([' ', '=', '$']);
    is_name.then(|| name.to_owned())
}

fn missing_program(program: String) -> Failure {
    const COMPILERS: &[&str] = &[
        "c++", "cargo", "cc", "clang", "clang++", "f77", "f90", "f95", "g++", "gcc", "gfortran",
        "go", "rustc",
    ];
    // Python may have been built with a compiler of a longer name: `x86_64-linux-gnu-gcc`.
    let plain = ["gcc", "g++", "gfortran"].into_iter().find(|plain| {
        program
            .strip_suffix(plain)
            .is_some_and(|start| start.ends_with('-'))
    });
    let program = plain.map_or(program, str::to_owned);
    if COMPILERS.contains(&program.as_str()) {
        Failure::MissingCompiler { program }
    } else {
        Failure::MissingTool { program }
    }
}

/// Words of builds, and the program that they miss.
const WORDS: &[(&str, &str)] = &[
    ("can't find Rust compiler", "cargo"),
    ("Cargo, the Rust package manager, is not installed", "cargo"),
    (
        "Rust not found, installing into a temporary directory",
        "cargo",
    ),
    ("CMake must be installed", "cmake"),
    ("Could not find CMake", "cmake"),
    ("CMake is not installed", "cmake"),
    ("Problem with the CMake installation, aborting", "cmake"),
    ("no acceptable C compiler found", "gcc"),
    ("you need a C compiler", "gcc"),
    ("No CMAKE_C_COMPILER could be found", "gcc"),
    ("No CMAKE_CXX_COMPILER could be found", "g++"),
    ("CMAKE_C_COMPILER not set", "gcc"),
    ("CMAKE_CXX_COMPILER not set", "g++"),
    (
        "a build program corresponding to \"Unix Makefiles\"",
        "make",
    ),
    ("a build program corresponding to \"Ninja\"", "ninja"),
    ("Unknown compiler(s): [['gfortran'", "gfortran"),
    ("Unknown compiler(s): [['c++'", "g++"),
    ("Unknown compiler(s): [['cc'", "gcc"),
    ("no Fortran compiler found", "gfortran"),
    ("pg_config executable not found", "pg_config"),
    ("mysql_config not found", "mysql_config"),
    ("Unable to invoke pkg-config", "pkg-config"),
    ("pkg-config script could not be found", "pkg-config"),
    ("pkg-config is required", "pkg-config"),
    ("pkg-config not found", "pkg-config"),
    ("Pkg-config not found", "pkg-config"),
    ("proj executable not found", "proj"),
    ("The protobuf compiler, protoc, was not found", "protoc"),
    ("Could not find `protoc`", "protoc"),
];

/// A program that a build says it needs, in words of its own.
fn told_program(text: &str) -> Option<Failure> {
    // `'pkg-config' not found.`; files go missing in such words too.
    let quoted = text
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''));
    if let Some((program, rest)) = quoted
        && rest.trim_end_matches('.') == " not found"
        && packages::find(Kind::Program, program).is_some()
    {
        return Some(missing_program(program.to_owned()));
    }
    let (_, program) = WORDS.iter().find(|(words, _)| text.contains(words))?;
    Some(missing_program((*program).to_owned()))
}

fn pkg_config(text: &str) -> Option<Failure> {
    let module = between(
        text,
        "Package ",
        " was not found in the pkg-config search path",
    )
    .or_else(|| between(text, "No package '", "' found"))
    .or_else(|| {
        between(
            text,
            "Package '",
            "', required by 'virtual:world', not found",
        )
    })
    .or_else(|| between(text, "Command 'pkg-config --exists ", "' returned non-zero"))
    .or_else(|| {
        let name = between(text, "error: ", " is not installed or not in path")?;
        packages::find(Kind::PkgConfig, name).map(|_| name)
    })
    .or_else(|| {
        let dependency = between(text, "ERROR: Dependency \"", "\" not found");
        dependency.filter(|_| text.contains("pkg"))
    })?;
    // `cairo >= 1.15` is the module and what is wanted of it.
    let module = module.trim_matches('\'').split_whitespace().next()?;
    Some(Failure::MissingPkgConfig {
        module: module.to_owned(),
    })
}

/// A library under the name that a build calls it by.
fn told_library(text: &str) -> Option<Failure> {
    let library = between(
        text,
        "The headers or library files could not be found for ",
        ",",
    )
    .or_else(|| {
        between(
            text,
            "Could not find function xmlCheckVersion in library ",
            ".",
        )
    })
    .or_else(|| between(text, "Unable to load dependency ", ","))
    .or_else(|| between(text, "ERROR: Dependency \"", "\" not found"))
    .or_else(|| between(text, "package configuration file provided by \"", "\""))
    .or_else(|| {
        let name = between(text, "Could NOT find ", " (missing: ")?;
        (!name.starts_with("Python") && !name.starts_with("PkgConfig")).then_some(name)
    })?;
    (!library.is_empty() && !library.contains(' ')).then(|| Failure::MissingLibrary {
        library: library.to_owned(),
    })
}

/// `Please make sure the libxml2 and libxslt development packages are installed.`
fn two_libraries(text: &str) -> Option<[&str; 2]> {
    let told = between(
        text,
        "Please make sure the ",
        " development packages are installed",
    )?;
    let (first, second) = told.split_once(" and ")?;
    let are_names = !first.contains(' ') && !second.contains(' ');
    are_names.then_some([first, second])
}

fn module(text: &str) -> Option<Failure> {
    let text = text.strip_prefix("╰─> ").unwrap_or(text);
    let rest = text
        .strip_prefix("ModuleNotFoundError: No module named ")
        .or_else(|| text.strip_prefix("ImportError: No module named "))?;
    let module = rest.split(';').next()?.trim_matches(['\'', '"', ' ']);
    let is_name = !module.is_empty() && !module.contains(char::is_whitespace);
    is_name.then(|| Failure::MissingBuildDependency {
        module: module.to_owned(),
    })
}
