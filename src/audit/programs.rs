//! Programs that well-known distributions start, from a table: neither metadata nor code names them for certain.
//!
//! The table ships with the crate, as `programs.tsv` beside this file: the distribution, the programs (separated by
//! `|` where one of them will do), the package of Debian and Ubuntu, that of Alpine, and what it is started for; `-`
//! where there is no package. The Debian packages are those of Debian 12; Alpine's are from knowledge of Alpine
//! 3.20 and were not checked.

use std::sync::LazyLock;

use super::Subject;
use super::finding::{Finding, Problem, Severity};
use crate::runtime::Runtime;

/// The table's text. Sorted, so that a line has one place; a test says so.
const TABLE: &str = include_str!("programs.tsv");

struct Row {
    programs: &'static str,
    debian: Option<&'static str>,
    alpine: Option<&'static str>,
    purpose: &'static str,
}

/// The programs of a distribution.
fn rows(distribution: &str) -> impl Iterator<Item = Row> {
    static LINES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
        let lines = TABLE.lines();
        lines
            .filter_map(|line| Some((line.split_once('\t')?.0, line)))
            .collect()
    });
    let from = LINES.partition_point(|(name, _)| *name < distribution);
    let lines = LINES[from..].iter();
    lines
        .take_while(move |(name, _)| *name == distribution)
        .filter_map(|(_, line)| row(line))
}

fn row(line: &'static str) -> Option<Row> {
    let some = |cell: &'static str| (cell != "-").then_some(cell);
    let mut cells = line.split('\t').skip(1);
    Some(Row {
        programs: cells.next()?,
        debian: some(cells.next()?),
        alpine: some(cells.next()?),
        purpose: cells.next()?,
    })
}

/// Notes on the programs that the runtime lacks on its `PATH`, and the prefix in its `bin`.
pub(super) fn audit(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let facts = &runtime.facts;
    let is_there = |program: &str| {
        let on_path = |folder: &String| facts.has_program(&format!("{folder}/{program}"));
        let inside = crate::tree::RelPath::new(&format!("bin/{program}"));
        facts.path.iter().any(on_path) || inside.is_ok_and(|path| subject.tree.get(&path).is_some())
    };
    let mut findings = Vec::new();
    for one in subject.pieces {
        for row in rows(&one.distribution.name) {
            let mut programs = row.programs.split('|');
            if programs.any(is_there) {
                continue;
            }
            let package = match facts.os.id.as_str() {
                "debian" | "ubuntu" => row.debian,
                "alpine" => row.alpine,
                _ => None,
            };
            let program = row.programs.split('|').next().unwrap_or_default();
            let problem = Problem::MissingProgram {
                program: program.to_owned(),
                package: package.map(str::to_owned),
                purpose: row.purpose.to_owned(),
            };
            findings.push(Finding::new(Severity::Note, problem).of(Some(&one.distribution)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::Name;

    #[test]
    fn the_table_is_sorted_and_whole() {
        let lines: Vec<&str> = TABLE.lines().collect();
        for pair in lines.windows(2) {
            assert!(pair[0] < pair[1], "`{}` before `{}`", pair[0], pair[1]);
        }
        for line in lines {
            assert_eq!(line.split('\t').count(), 5, "{line:?}");
            let name = line.split('\t').next().unwrap();
            assert_eq!(Name::new(name).to_string(), name, "{line:?}");
            let row = row(line).unwrap();
            let plain = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
            assert!(
                row.programs
                    .split('|')
                    .all(|one| !one.is_empty() && one.chars().all(plain))
            );
            for package in [row.debian, row.alpine].into_iter().flatten() {
                assert!(package.chars().all(plain), "{line:?}");
            }
            let purpose = row.purpose;
            assert!(
                purpose.starts_with("to ") || purpose.starts_with("for "),
                "{line:?}"
            );
        }
    }
}
