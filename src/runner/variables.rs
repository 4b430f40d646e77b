//! The environment variables of the caller that a process of the builder may see.
//!
//! Whatever is built from source runs code that nobody has read, and it sees what pip sees. So no process
//! inherits the caller's environment: each gets the variables on a list, and none that looks like a
//! secret. What else a build needs, the user names (`--env NAME`).

use std::collections::BTreeMap;

use crate::requirements::credentials;

/// What any program needs: where programs, files and libraries are, whose they are, and in which language
/// and time zone it speaks.
const PLAIN: [&str; 25] = [
    "CC",
    "CONDA_PREFIX",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NIX_LD",
    "NIX_LD_LIBRARY_PATH",
    "PATH",
    // The path of the one that pip would read: its settings are taken from it.
    "PIP_CONFIG_FILE",
    "PYENV_DIR",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
];

/// What compilers and build systems look at.
const TOOLS: [&str; 39] = [
    "ACLOCAL_PATH",
    "AR",
    "ARCHFLAGS",
    "AS",
    "BLDSHARED",
    "CFLAGS",
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "CPP",
    "CPPFLAGS",
    "CXX",
    "CXXFLAGS",
    "C_INCLUDE_PATH",
    "F77",
    "F90",
    "FC",
    "FCFLAGS",
    "FFLAGS",
    "GCC_EXEC_PREFIX",
    "GOFLAGS",
    "INCLUDE",
    "LD",
    "LDFLAGS",
    "LDSHARED",
    "LD_RUN_PATH",
    "LIB",
    "LIBRARY_PATH",
    "LIBS",
    "MAKE",
    "MAKEFLAGS",
    "MAX_JOBS",
    "NM",
    "OBJC",
    "OBJCOPY",
    "RANLIB",
    "SOURCE_DATE_EPOCH",
    "SSL_CERT_DIR",
    "STRIP",
];

/// How the names of build systems' variables begin.
const TOOL_PREFIXES: [&str; 27] = [
    "BLAS_",
    "CARGO_",
    "CCACHE_",
    "CGO_",
    "CMAKE_",
    "CUDA",
    "CUDNN_",
    "CYTHON_",
    "DISTUTILS_",
    "HATCH_",
    "LAPACK_",
    "MATURIN_",
    "MESON",
    "NINJA_",
    "NPY_",
    "NVCC_",
    "OPENBLAS",
    "OPENSSL_",
    "PDM_BUILD_",
    "PG_",
    "PKG_CONFIG",
    "PYO3_",
    "RUST",
    "SETUPTOOLS_",
    "SKBUILD_",
    "SWIG_",
    "TORCH_",
];

/// How the names of variables end that tell a build where a library or a program is.
const TOOL_SUFFIXES: [&str; 13] = [
    "_CFLAGS",
    "_CONFIG",
    "_CPPFLAGS",
    "_CXXFLAGS",
    "_DIR",
    "_HOME",
    "_INCLUDE_DIRS",
    "_LDFLAGS",
    "_LIBRARIES",
    "_LIBRARY",
    "_LIBS",
    "_PREFIX",
    "_ROOT",
];

/// What is in the names of variables that hold secrets, and begins the names of services' variables.
const SECRET_WORDS: [&str; 14] = [
    "ACCESS_KEY",
    "APIKEY",
    "API_KEY",
    "AUTH",
    "BEARER",
    "COOKIE",
    "CREDENTIAL",
    "NETRC",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PRIVATE_KEY",
    "SECRET",
    "TOKEN",
];
const SECRET_PREFIXES: [&str; 13] = [
    "AWS_",
    "AZURE_",
    "CI_",
    "DOCKER_",
    "GCP_",
    "GITHUB_",
    "GITLAB_",
    "GOOGLE_",
    "PIP_",
    "POETRY_",
    "PREBUILD_",
    "TWINE_",
    "UV_",
];

/// How git reaches a host, and who says who we are to it.
const REPOSITORIES: [&str; 6] = [
    "GIT_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
];

/// What clients of container engines need.
const ENGINES: [&str; 34] = [
    "ALL_PROXY",
    "BUILDAH_ISOLATION",
    "CONTAINERS_CONF",
    "CONTAINERS_CONF_OVERRIDE",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_REGISTRIES_CONF_DIR",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINER_CONNECTION",
    "CONTAINER_HOST",
    "CONTAINER_SSHKEY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTENT_TRUST",
    "DOCKER_CONTEXT",
    "DOCKER_DEFAULT_PLATFORM",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "REGISTRY_AUTH_FILE",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "_CONTAINERS_ROOTLESS_UID",
    "_CONTAINERS_USERNS_CONFIGURED",
];

/// The proxies in lower case, which mean the same.
const PROXIES: [&str; 4] = ["all_proxy", "http_proxy", "https_proxy", "no_proxy"];

/// Some of an environment.
type Variables = BTreeMap<String, String>;

/// What any process of this machine may see.
#[must_use]
pub(crate) fn plain(mut all: Variables) -> Variables {
    all.retain(|name, value| PLAIN.contains(&name.as_str()) && !is_secret_value(value));
    all
}

/// What compilers and build systems look at, besides.
#[must_use]
pub(crate) fn tools(all: &Variables) -> Variables {
    let is_tool = |name: &str| {
        TOOLS.contains(&name)
            || TOOL_PREFIXES.iter().any(|start| name.starts_with(start))
            || TOOL_SUFFIXES.iter().any(|end| name.ends_with(end))
    };
    let is_secret = |name: &str| {
        let name = name.to_ascii_uppercase();
        SECRET_WORDS.iter().any(|word| name.contains(word))
            || SECRET_PREFIXES.iter().any(|start| name.starts_with(start))
    };
    some(all, |name| is_tool(name) && !is_secret(name))
}

/// What git needs besides to clone repositories.
#[must_use]
pub(crate) fn repositories(all: &Variables) -> Variables {
    some(all, |name| REPOSITORIES.contains(&name))
}

/// What the client of a container engine may see.
#[must_use]
pub fn engine(all: &Variables) -> Variables {
    let is_client =
        |name: &str| PLAIN.contains(&name) || ENGINES.contains(&name) || PROXIES.contains(&name);
    let chosen = all.iter().filter(|(name, _)| is_client(name));
    chosen
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_secret_value(value: &str) -> bool {
    !credentials(value).is_empty()
}

/// Those that are chosen, without values that are URLs with credentials.
fn some(all: &Variables, is_chosen: impl Fn(&str) -> bool) -> Variables {
    all.iter()
        .filter(|(name, value)| is_chosen(name) && !is_secret_value(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[(&str, &str)], of: impl Fn(&Variables) -> Variables) -> Vec<String> {
        let all = all
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        of(&all).into_keys().collect()
    }

    /// What a CI job has: nothing of it that is a secret reaches a build or a question.
    #[test]
    fn secrets_are_on_no_list() {
        let url = "https://user:s3cret@index.example/simple";
        let all = [
            ("AWS_CONFIG_DIR", "/aws"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("CARGO_REGISTRIES_OURS_TOKEN", "s3cret"),
            ("CARGO_REGISTRY_TOKEN", "s3cret"),
            ("CMAKE_ARGS", "-DX=ON"),
            ("CMAKE_PREFIX_PATH", url),
            ("DATABASE_URL", url),
            ("DOCKER_AUTH_CONFIG", "s3cret"),
            ("GITHUB_TOKEN", "s3cret"),
            ("MYSQLCLIENT_CFLAGS", "-I/x"),
            ("NETRC", "/home/me/.netrc"),
            ("PATH", "/usr/bin"),
            ("PGPASSWORD", "s3cret"),
            ("PIP_EXTRA_INDEX_URL", url),
            ("PIP_INDEX_URL", url),
            ("PREBUILD_INDEX_URL", url),
            ("RUSTFLAGS", "-Copt-level=2"),
            ("UV_INDEX_OURS_PASSWORD", "s3cret"),
            ("VIRTUAL_ENV", "/venv"),
            ("VAULT_TOKEN_DIR", "/t"),
            ("https_proxy", url),
        ];
        assert_eq!(
            names(&all, |all| plain(all.clone())),
            ["PATH", "VIRTUAL_ENV"]
        );
        assert_eq!(
            names(&all, tools),
            ["CMAKE_ARGS", "MYSQLCLIENT_CFLAGS", "RUSTFLAGS"]
        );
        assert_eq!(names(&all, engine), ["PATH", "VIRTUAL_ENV", "https_proxy"]);
    }

    #[test]
    fn the_lists_are_sorted() {
        let lists: [&[&str]; 8] = [
            &PLAIN,
            &TOOLS,
            &TOOL_PREFIXES,
            &TOOL_SUFFIXES,
            &SECRET_WORDS,
            &SECRET_PREFIXES,
            &REPOSITORIES,
            &ENGINES,
        ];
        for list in lists {
            assert!(list.is_sorted(), "{list:?}");
        }
    }
}
