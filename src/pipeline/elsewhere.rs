//! What to do where only pip could go on, and there is no builder for the target.

use super::What;
use super::request::Order;
use crate::requirements::Input;
use crate::resolve;
use crate::target::Named;

/// The minor versions of glibc 2 for which uv resolves.
const UV_GLIBC: [u32; 12] = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

/// That there is no builder, and why one is needed.
pub(super) fn no_builder(request: Order<'_>, target: String, why: String) -> resolve::Error {
    let named = request.destination.target.as_ref();
    let command = named.and_then(|named| commands(request.what, named));
    resolve::Error::NoBuilder {
        target,
        why,
        command,
    }
}

/// The commands that resolve for the target, and build what they resolved.
fn commands(what: &What, named: &Named) -> Option<String> {
    let python = &named.target.markers.python_version;
    let platform = platform(named)?;
    let uv = uv_platform(platform)?;
    let inputs: Vec<String> = what.inputs.iter().map(input).collect();
    let constraints = what.constraints.iter().map(input);
    let constraints: String = constraints.map(|name| format!(" -c {name}")).collect();
    Some(format!(
        "`uv pip compile {}{} --python-version {python} --python-platform {uv} --only-binary :all: \
         --generate-hashes -o locked.txt`, then `prebuild locked.txt --python {python} --platform {platform}`",
        inputs.join(" "),
        constraints,
    ))
}

/// How an input is named to uv; what it takes from standard input is gone by now.
fn input(input: &Input) -> String {
    match input {
        Input::Path(path) => path.display().to_string(),
        Input::Url(url) => url.to_string(),
        Input::Stdin(_) => "requirements.txt".to_owned(),
        Input::Project {
            path,
            extras,
            groups,
        } => {
            let mut text = path.display().to_string();
            for extra in extras {
                text.push_str(&format!(" --extra {extra}"));
            }
            for group in groups {
                text.push_str(&format!(" --group {group}"));
            }
            text
        }
    }
}

/// The platform as `--platform` takes it: in the second of the tags, behind that of any Linux.
fn platform(named: &Named) -> Option<&str> {
    named.tags.get(1)?.rsplit('-').next()
}

/// The name that uv has for a platform, or for the newest older one.
fn uv_platform(platform: &str) -> Option<String> {
    let (family, rest) = platform.split_once('_')?;
    let (_, rest) = rest.split_once('_')?;
    let (minor, machine) = rest.split_once('_')?;
    let minor: u32 = minor.parse().ok()?;
    match (family, machine) {
        ("musllinux", "x86_64" | "aarch64") if minor >= 2 => {
            Some(format!("{machine}-unknown-linux-musl"))
        }
        ("manylinux", "x86_64" | "aarch64") => {
            let known = UV_GLIBC.iter().rev().find(|known| **known <= minor)?;
            Some(format!("{machine}-manylinux_2_{known}"))
        }
        ("manylinux", "riscv64") if minor >= 39 => Some("riscv64-unknown-linux".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::uv_platform;

    #[test]
    fn platforms_have_names_of_uv() {
        for (platform, uv) in [
            ("manylinux_2_28_aarch64", Some("aarch64-manylinux_2_28")),
            ("manylinux_2_30_x86_64", Some("x86_64-manylinux_2_28")),
            ("manylinux_2_50_x86_64", Some("x86_64-manylinux_2_40")),
            ("manylinux_2_12_x86_64", None),
            ("musllinux_1_2_aarch64", Some("aarch64-unknown-linux-musl")),
            ("musllinux_1_1_aarch64", None),
            ("manylinux_2_28_ppc64le", None),
        ] {
            assert_eq!(uv_platform(platform).as_deref(), uv, "{platform}");
        }
    }
}
