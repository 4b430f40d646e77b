//! The first line of scripts: installers name the interpreter that they ran with, which the runtime
//! does not have. Here it becomes the runtime's.

/// The script with its first line naming `python`, if it named the builder's interpreter.
///
/// The forms that installers write: `#!/path/python`, with arguments or without; for paths that are
/// long or hold spaces, a shell that executes the interpreter (needs no shell afterwards); and the
/// relocatable form of that, which looks for the interpreter beside the script.
pub(super) fn rewrite(script: &[u8], interpreters: &[String], python: &str) -> Option<Vec<u8>> {
    let end = script.iter().position(|byte| *byte == b'\n')?;
    let first = str::from_utf8(&script[..end]).ok()?.trim_end_matches('\r');
    let command = first.strip_prefix("#!")?.trim_start();
    let (arguments, body) = if command == "/bin/sh" {
        trampoline(&script[end + 1..])?
    } else {
        (own_arguments(command, interpreters)?, &script[end + 1..])
    };
    let mut rewritten = format!("#!{python}");
    if !arguments.is_empty() {
        rewritten.push(' ');
        rewritten.push_str(arguments);
    }
    rewritten.push('\n');
    let mut rewritten = rewritten.into_bytes();
    rewritten.extend_from_slice(body);
    Some(rewritten)
}

/// The arguments behind one of the builder's own interpreters.
fn own_arguments<'a>(command: &'a str, interpreters: &[String]) -> Option<&'a str> {
    let generic = ["python", "pythonw"].map(String::from);
    interpreters
        .iter()
        .chain(&generic)
        .filter_map(|python| command.strip_prefix(python.as_str()))
        .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        // The longest path that fits leaves the shortest rest.
        .min_by_key(|rest| rest.len())
        .map(str::trim)
}

/// The arguments and the body of a script that a shell starts:
///
/// ```text
/// #!/bin/sh
/// '''exec' "/a path/python" -E "$0" "$@"
/// ' '''
/// ```
///
/// Python reads lines two and three as one string, the shell as a command that replaces it.
fn trampoline(rest: &[u8]) -> Option<(&str, &[u8])> {
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let exec = str::from_utf8(lines.next()?).ok()?.trim_end_matches('\r');
    let close = str::from_utf8(lines.next()?).ok()?.trim_end_matches('\r');
    let body = lines.next().unwrap_or_default();
    let command = exec.strip_prefix("'''exec' ")?;
    if close != "' '''" {
        return None;
    }
    let command = command.strip_suffix("\"$0\" \"$@\"")?.trim_end();
    let arguments = if command.contains("$(") {
        // The relocatable form finds the interpreter by a command of its own and takes none.
        ""
    } else if let Some(quoted) = command.strip_prefix('"') {
        quoted.split_once('"')?.1.trim()
    } else {
        command
            .split_once(' ')
            .map_or("", |(_, after)| after.trim())
    };
    Some((arguments, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(script: &str) -> Option<String> {
        let interpreters = [
            "/b/python",
            "/b/python3",
            "/b/python3.11",
            "/with space/python3",
        ];
        let interpreters = interpreters.map(String::from);
        rewrite(
            script.as_bytes(),
            &interpreters,
            "/usr/local/bin/python3.11",
        )
        .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// H7 and H8: every form that installers write, and nothing else.
    #[test]
    fn every_form_of_an_installer_names_the_destination() {
        let plain = "#!/usr/local/bin/python3.11\n# -*- coding: utf-8 -*-\nx\n";
        for script in [
            "#!/b/python3.11\n# -*- coding: utf-8 -*-\nx\n",
            "#!/b/python3.11\r\n# -*- coding: utf-8 -*-\nx\n",
            "#!/with space/python3\n# -*- coding: utf-8 -*-\nx\n",
            "#!python\n# -*- coding: utf-8 -*-\nx\n",
            "#!/bin/sh\n'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''\n# -*- coding: utf-8 -*-\nx\n",
            "#!/bin/sh\n'''exec' /long/python3 \"$0\" \"$@\"\n' '''\n# -*- coding: utf-8 -*-\nx\n",
            "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python3' \"$0\" \"$@\"\n' '''\n# -*- coding: utf-8 -*-\nx\n",
        ] {
            assert_eq!(rewritten(script).as_deref(), Some(plain), "{script}");
        }
    }

    #[test]
    fn arguments_stay() {
        let expected = Some("#!/usr/local/bin/python3.11 -E\nx\n".to_owned());
        assert_eq!(rewritten("#!/b/python3 -E\nx\n"), expected);
        let shell = "#!/bin/sh\n'''exec' \"/a b/python3\" -E \"$0\" \"$@\"\n' '''\nx\n";
        assert_eq!(rewritten(shell), expected);
    }

    #[test]
    fn what_does_not_name_the_builder_stays() {
        for script in [
            "",
            "#!",
            "#!/b/python3",
            "#!/usr/bin/env python3\nx",
            "#!/b/python3.12\nx",
            "#!/bin/sh\necho\n",
            "#!/bin/sh\n'''exec' x\n",
            "#!/bin/bash\nx",
            "\u{7f}ELF\n",
        ] {
            assert_eq!(rewritten(script), None, "{script}");
        }
        assert_eq!(rewrite(b"#!\xff\nx", &[], "/p"), None);
    }
}
