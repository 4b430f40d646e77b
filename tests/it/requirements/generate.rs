//! Requirements as no one writes them, and as everyone does.

use std::fmt::Write as _;

use crate::support::chance::Chance;

const VARIABLES: [&str; 26] = [
    "python_version",
    "python_version",
    "python_full_version",
    "python_full_version",
    "platform_release",
    "implementation_version",
    "os_name",
    "os.name",
    "sys_platform",
    "sys.platform",
    "platform_system",
    "platform_machine",
    "platform.machine",
    "platform_version",
    "platform.version",
    "platform_python_implementation",
    "platform.python_implementation",
    "python_implementation",
    "implementation_name",
    "extra",
    "extras",
    "dependency_groups",
    "platform.release",
    "python",
    "os-name",
    "Extra",
];

const OPERATORS: [&str; 14] = [
    "==", "!=", "<", "<=", ">", ">=", "~=", "===", "in", "not in", "not  in", "not", "=", "is",
];

const TEXTS: [&str; 24] = [
    "linux",
    "win32",
    "posix",
    "nt",
    "Linux",
    "CPython",
    "cpython",
    "x86_64",
    "",
    " ",
    "3.11, 3.12",
    "3.8 3.9",
    "Foo_Bar",
    "foo-bar",
    "os_name",
    "extra",
    "a b",
    "é",
    "\u{a0}3.11\u{2003}",
    "x'y",
    "=3.11",
    "3.11;",
    "#1 SMP",
    "ſ",
];

const ESCAPES: [&str; 16] = [
    r"\x33.11",
    r"\063.11",
    r"\u0033",
    r"\U00000033",
    r"\n",
    r"\\",
    r"\d",
    r"\x3",
    r"\u12g4",
    r"\8",
    r"\777",
    r"\",
    r"\'",
    r"\'x",
    r"\é",
    r"\t3.11",
];

const CHARACTERS: [char; 62] = [
    ' ', ' ', '\t', '\'', '"', '(', ')', '[', ']', ',', ';', '@', '#', '\\', '=', '<', '>', '!',
    '~', '.', '*', '+', '-', '_', '/', ':', '%', '$', '{', '}', '&', '|', '0', '1', '9', 'a', 'b',
    'c', 'd', 'e', 'p', 'r', 'v', 'z', 'A', 'V', 'Z', 'ü', 'é', 'ſ', 'K', '１', '٣', '\u{a0}',
    '\u{3000}', '\u{2028}', '\u{85}', '\u{1f}', '\u{b}', '\u{200b}', '中', '😀',
];

/// Changes a text here and there, often not at all.
fn mutate(chance: &mut Chance, text: String) -> String {
    if !chance.one_in(4) {
        return text;
    }
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=chance.below(2) {
        let at = chance.below(chars.len() + 1);
        match chance.below(3) {
            0 => chars.insert(at, chance.pick(&CHARACTERS)),
            1 if at < chars.len() => drop(chars.remove(at)),
            _ if at < chars.len() => chars[at] = chance.pick(&CHARACTERS),
            _ => {}
        }
    }
    chars.into_iter().collect()
}

fn blank(chance: &mut Chance) -> &'static str {
    chance.pick(&["", "", " ", " ", " ", "  ", "\t", " \t "])
}

pub(super) fn version(chance: &mut Chance) -> String {
    let number = |chance: &mut Chance| match chance.below(12) {
        0 => "00".to_owned(),
        1 => "2026".to_owned(),
        2 => "010".to_owned(),
        _ => chance.below(13).to_string(),
    };
    if chance.one_in(3) {
        // Versions near those of the environments.
        return chance
            .pick(&[
                "3.11",
                "3.11.7",
                "3.12",
                "3.8",
                "3.8.0",
                "3.8.0rc1",
                "3.8.0rc2",
                "3.8.0.post1",
                "3.11.7.post2",
                "3.11.7+local",
                "3.8.0rc1+local",
                "3",
                "3.*",
                "3.11.*",
                "3.8.*",
                "3.10.14",
                "7.3.16",
                "3.11.7.dev1",
                "3.8.0a1",
                "5.10",
                "5.10.0",
                "3.11.0",
                "3.011",
                "3.8.0rc1.post1",
                "3.8.0rc1.dev0",
                "3.8rc1",
            ])
            .to_owned();
    }
    let mut version = String::new();
    if chance.one_in(12) {
        version.push_str(chance.pick(&["v", "V"]));
    }
    if chance.one_in(12) {
        let _ = write!(version, "{}!", chance.below(3));
    }
    version.push_str(&number(chance));
    for _ in 0..chance.below(4) {
        version.push('.');
        version.push_str(&number(chance));
    }
    let separator = |chance: &mut Chance| chance.pick(&["", "", ".", "-", "_"]);
    let mut labelled = |chance: &mut Chance, labels: &[&str]| {
        version.push_str(separator(chance));
        version.push_str(chance.pick(labels));
        version.push_str(separator(chance));
        if !chance.one_in(4) {
            version.push_str(&number(chance));
        }
    };
    if chance.one_in(4) {
        labelled(
            chance,
            &[
                "a", "b", "rc", "c", "alpha", "beta", "pre", "preview", "RC", "Alpha",
            ],
        );
    }
    if chance.one_in(5) {
        labelled(chance, &["post", "rev", "r", "Post"]);
    }
    if chance.one_in(5) {
        labelled(chance, &["dev", "DEV"]);
    }
    if chance.one_in(12) {
        let _ = write!(version, "-{}", number(chance));
    }
    if chance.one_in(8) {
        version.push_str(chance.pick(&["+local", "+1", "+a.1", "+A_b-2", "+", "+01", "+ubuntu.1"]));
    }
    if chance.one_in(10) {
        version.push_str(".*");
    }
    version
}

fn literal(chance: &mut Chance) -> String {
    let text = match chance.below(20) {
        0..=9 => version(chance),
        10..=17 => chance.pick(&TEXTS).to_owned(),
        18 => chance.pick(&ESCAPES).to_owned(),
        _ => format!("{}{}", version(chance), chance.pick(&ESCAPES)),
    };
    let quote = if text.contains('\'') {
        '"'
    } else {
        chance.pick(&['\'', '"'])
    };
    format!("{quote}{text}{quote}")
}

fn comparison(chance: &mut Chance) -> String {
    let (left, right) = match chance.below(20) {
        0..=13 => (chance.pick(&VARIABLES[..20]).to_owned(), literal(chance)),
        14..=16 => (literal(chance), chance.pick(&VARIABLES[..20]).to_owned()),
        17 => (literal(chance), literal(chance)),
        18 => (chance.pick(&VARIABLES).to_owned(), literal(chance)),
        _ => (
            chance.pick(&VARIABLES).to_owned(),
            chance.pick(&VARIABLES).to_owned(),
        ),
    };
    let operator = if chance.one_in(30) {
        chance.pick(&OPERATORS)
    } else {
        chance.pick(&OPERATORS[..10])
    };
    // Words need white space; where there is none, it is no marker, which is worth a test too.
    let space = |chance: &mut Chance| {
        if chance.one_in(10) {
            blank(chance)
        } else {
            " "
        }
    };
    format!("{left}{}{operator}{}{right}", space(chance), space(chance))
}

pub(super) fn marker(chance: &mut Chance) -> String {
    let text = expression(chance, 0);
    mutate(chance, text)
}

/// A marker of a lock file, where names are looked for in sets.
pub(super) fn lock_marker(chance: &mut Chance) -> String {
    let membership = |chance: &mut Chance| {
        let name = chance.pick(&["'Foo_Bar'", "\"foo.-bar\"", "'cli'", "'dev'", "''", "extra"]);
        let set = chance.pick(&[
            "extras",
            "dependency_groups",
            "dependency_groups",
            "'extras'",
        ]);
        let operator = match chance.below(6) {
            0 => chance.pick(&OPERATORS),
            1..3 => "not in",
            _ => "in",
        };
        if chance.one_in(12) {
            format!("{set} {operator} {name}")
        } else {
            format!("{name} {operator} {set}")
        }
    };
    let mut text = membership(chance);
    for _ in 0..chance.below(3) {
        let next = match chance.below(4) {
            0 => comparison(chance),
            1 => format!("({})", membership(chance)),
            _ => membership(chance),
        };
        text = format!("{text} {} {next}", chance.pick(&["and", "or"]));
    }
    mutate(chance, text)
}

fn expression(chance: &mut Chance, depth: usize) -> String {
    let mut text = String::new();
    for index in 0..=chance.pick(&[0, 0, 0, 1, 1, 2]) {
        if index > 0 {
            text.push_str(
                chance.pick(&[" and ", " or ", " and ", " or ", ") or (", "and", " AND "]),
            );
        }
        if depth < 3 && chance.one_in(5) {
            let inner = expression(chance, depth + 1);
            let _ = write!(text, "({}{inner}{})", blank(chance), blank(chance));
        } else {
            text.push_str(&comparison(chance));
        }
    }
    text
}

fn name(chance: &mut Chance) -> &'static str {
    chance.pick(&[
        "requests",
        "Foo_Bar",
        "a",
        "zope.interface",
        "x-y-z",
        "A1",
        "foo_",
        "_foo",
        "foo-",
        "foo.",
        "ruamel.yaml.clib",
        "ü",
        "a--b",
        "0",
        "foo",
        "naïve",
        "v1",
    ])
}

fn extras(chance: &mut Chance) -> &'static str {
    chance.pick(&[
        "",
        "",
        "",
        "",
        "[a]",
        "[a,b]",
        "[ a , B_c ]",
        "[]",
        "[ ]",
        "[a,]",
        "[,a]",
        "[a b]",
        "[a",
        "[é]",
        "[a][b]",
        "[a.b-c]",
    ])
}

fn specifiers(chance: &mut Chance) -> String {
    let mut text = String::new();
    for index in 0..chance.pick(&[0, 1, 1, 1, 2, 3]) {
        if index > 0 {
            text.push_str(chance.pick(&[",", ", ", " , ", ",", ",,", " "]));
        }
        let operator = chance.pick(&["==", "==", ">=", "<", "~=", "!=", "<=", ">", "===", "="]);
        text.push_str(operator);
        text.push_str(chance.pick(&["", "", "", " ", "\t", "\u{a0}"]));
        if operator == "===" && chance.one_in(2) {
            text.push_str(chance.pick(&["foobar", "", "1.0-custom!", "é", "a,b", "2*"]));
        } else {
            text.push_str(&version(chance));
        }
    }
    match chance.below(12) {
        0 => format!("({text})"),
        1 => format!("( {text} )"),
        2 => format!("({text}"),
        3 => format!("{text},"),
        _ => text,
    }
}

fn url(chance: &mut Chance) -> String {
    let scheme = chance.pick(&[
        "https://",
        "http://",
        "git+https://",
        "git+ssh://git@",
        "hg+http://",
        "ftp://",
        "HTTPS://",
        "file://",
        "file:",
        "git://",
        "svn+file:///",
        "https:",
        "abc://",
        "",
    ]);
    let host = chance.pick(&[
        "host",
        "user:pass@host",
        "[::1]",
        "[::1",
        "localhost",
        "",
        "hö.st",
    ]);
    let path = chance.pick(&[
        "/a/b.zip",
        "/a-1.0-py3-none-any.whl",
        "/a-1.0.tar.gz",
        "/r.git@v1",
        "/%61.whl",
        "/a;b",
        "/x-1.whl",
        "/Foo_bar-1.0+l.1-1a-cp311.cp312-abi3-manylinux_2_17_x86_64.whl",
        "",
        "/a b",
    ]);
    let fragment = chance.pick(&[
        "",
        "",
        "",
        "#egg=name",
        "#egg=name[x]",
        "#sha256=00",
        "#subdirectory=s&egg=n",
        "?q=1#egg=",
        "#egg=-a",
    ]);
    format!("{scheme}{host}{path}{fragment}")
}

fn path(chance: &mut Chance) -> &'static str {
    chance.pick(&[
        "./projects/good",
        "projects/good",
        "./projects/good[x]",
        "./projects/good[]",
        "projects",
        "./projects/bad",
        "./missing",
        "./missing.zip",
        "missing-1.0-py3-none-any.whl",
        ".",
        "..",
        "files/good-1.0-py3-none-any.whl",
        "files/good-1.0.tar.gz[x,y]",
        "./files/plain.txt",
        "file:projects/good",
        "file:./projects/good",
        "file:../requirements/projects/good",
        "./projects/good[a,,b]",
        "~/x",
        "a/b",
        "/",
        "projects/good/",
        "./projects/good/[x]",
        "x.whl",
        "a@b.zip",
        "files/good-1.0.tar.gz",
    ])
}

pub(super) fn requirement(chance: &mut Chance) -> String {
    let what = match chance.below(20) {
        0..=11 => {
            let (name, extras) = (name(chance), extras(chance));
            let (first, second) = (blank(chance), blank(chance));
            format!("{name}{first}{extras}{second}{}", specifiers(chance))
        }
        12..=14 => {
            let (name, extras) = (name(chance), extras(chance));
            let (before, behind) = (blank(chance), blank(chance));
            format!("{name}{extras}{before}@{behind}{}", url(chance))
        }
        15..=16 => url(chance),
        _ => path(chance).to_owned(),
    };
    let text = match chance.below(8) {
        0..=3 => what,
        4 => format!("{what}{};", blank(chance)),
        _ => {
            let (before, behind) = (blank(chance), blank(chance));
            format!("{what}{before};{behind}{}", expression(chance, 1))
        }
    };
    mutate(chance, text)
}

/// A file with some dependency groups, often ones that include each other.
pub(super) fn groups(chance: &mut Chance) -> String {
    const NAMES: [&str; 7] = ["dev", "Dev", "test", "a.b", "A__b", "lint", "docs"];
    let mut text = "[dependency-groups]\n".to_owned();
    let mut names: Vec<_> = NAMES.into_iter().filter(|_| !chance.one_in(4)).collect();
    names.retain(|name| chance.one_in(20) || !matches!(*name, "Dev" | "A__b"));
    for name in names {
        let members = (0..chance.below(4)).map(|_| match chance.below(60) {
            0..15 => format!("{{ include-group = '{}' }}", chance.pick(&NAMES)),
            15 => chance
                .pick(&[
                    "1",
                    "[]",
                    "{}",
                    "{ include-group = 1 }",
                    "{ include-group = 'test', more = 1 }",
                    "{ group = 'test' }",
                ])
                .to_owned(),
            16..50 => chance
                .pick(&[
                    "'click'",
                    "\"Foo_Bar[x,Y] >= 1, <2\"",
                    "'''a ; os_name == \"nt\"'''",
                    "\"a\"",
                    "\"b\\u003E=1\"",
                    "\"\"\"\nc==1.*\"\"\"",
                    "'d @ https://host/d-1.tar.gz ; python_version<\"3.9\"'",
                    "' e ~=1.0 '",
                ])
                .to_owned(),
            _ => {
                let mut requirement = format!("{}{}", self::name(chance), specifiers(chance));
                if chance.one_in(4) {
                    requirement = format!("{}[{}] @ {}", self::name(chance), "x", url(chance));
                }
                if chance.one_in(4) {
                    requirement = format!("{requirement} ; {}", marker(chance));
                }
                serde_json::json!(requirement).to_string()
            }
        });
        let members: Vec<_> = members.collect();
        writeln!(text, "\"{name}\" = [{}]", members.join(", ")).unwrap();
    }
    text
}

fn option(chance: &mut Chance) -> &'static str {
    chance.pick(&[
        "-i https://h/s",
        "-ihttps://u:p@h/s",
        "--index-url=https://h",
        "--index https://h",
        "--pre",
        "--no-index",
        "--no",
        "--no-i",
        "--extra-index-url 'https://h/a b'",
        "--pypi-url x",
        "-f .",
        "-f files",
        "-ffiles -f x",
        "--find-links https://h/",
        "--no-binary :all:",
        "--hash=sha1:00",
        "--only-binary=a,B_c",
        "--no-binary :none:",
        "--only-binary :all:,:none:,x",
        "--prefer-binary",
        "--require-hashes",
        "--no-require-hashes",
        "--trusted-host h",
        "--use-feature fast-deps",
        "--use-feature=none",
        "--hash=sha256:00",
        "--hash sha512:11",
        "--hash=md5:00",
        "--hash=x",
        "--config-settings=a=b",
        "-C a=b -C a=c",
        "-Ca",
        "--config-settings \"--x=y z\"",
        "-x",
        "--",
        "-",
        "-- x",
        "y",
        "-r missing.txt",
        "-c",
        "--requirement=missing.txt",
        "-e ./projects/good",
        "-e ./projects/good[x]",
        "-e git+https://h/r#egg=n",
        "-e git://h/r.git#egg=n",
        "-e .",
        "-e x",
        "-e 'n[x] @ git+https://h/r ; python_version > \"3\"'",
        "--all-releases a",
        "--pre=1",
        "-e",
        "--only-final :all:",
        "--all-releases=-x",
        "--p",
        "--pr",
        "--pref",
        "\"--pre\"",
        "--e .",
        "'",
        "\\-r",
        "--only-final \"\"",
        "-f\"files\"",
        "-i ''",
        "-e \"\"",
        "--editable=https://h/x.zip",
    ])
}

/// A whole line: options, or a requirement with options behind it.
pub(super) fn line(chance: &mut Chance) -> String {
    let mut text = String::new();
    if chance.one_in(2) {
        text.push_str(&requirement(chance));
        text.push_str(chance.pick(&[" ", "  ", "\t", " \\\n "]));
    }
    for _ in 0..=chance.below(3) {
        text.push_str(option(chance));
        text.push_str(chance.pick(&[" ", " ", "  ", "\t", " \\\n", " # c", ""]));
    }
    mutate(chance, text)
}
