//! Where a file stands decides how much a match means: a connection string in the manual of a
//! library is an example, the same string in `etc/` opens a database.

/// Classes of paths, from the least to the most telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Manuals, examples, tests, translations.
    Documentation,
    /// Files of installed packages and language libraries.
    Library,
    /// Program text of the application itself.
    Source,
    /// Configuration, environment files, dumps.
    Configuration,
    /// Shell scripts and histories.
    Shell,
    /// Anything else.
    Other,
}

/// The class of a path (no leading '/').
pub(crate) fn of(path: &str) -> Place {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let extension = name.rsplit_once('.').map_or("", |(_, e)| e);
    let within = |folder: &str| lower.starts_with(folder) || lower.contains(&format!("/{folder}"));

    const DOCUMENTATION: [&str; 23] = [
        "share/doc/", "share/man/", "share/info/", "doc/", "docs/", "man/", "examples/", "example/", "samples/", "test/", "tests/", "testdata/", "fixtures/", "__tests__/", "spec/",
        "locale/", "locales/", "i18n/", "lang/", "languages/", "translations/", "testing/", "documentation/",
    ];
    let documented = ["md", "rst", "adoc", "pod", "html", "htm", "tex", "texi", "po", "mo"].contains(&extension)
        || ["readme", "changelog", "changes", "news", "license", "copying", "copyright"].iter().any(|n| name.starts_with(n))
        || name.contains(".example") || name.contains(".sample") || name.contains(".template") || name.ends_with(".dist");
    if documented || DOCUMENTATION.iter().any(|f| within(f)) {
        return Place::Documentation;
    }
    const LIBRARY: [&str; 19] = [
        "usr/lib/", "usr/lib64/", "usr/libexec/", "usr/share/", "usr/include/", "usr/src/", "lib/", "lib64/", "usr/local/lib/", "usr/local/share/", "site-packages/", "dist-packages/",
        "node_modules/", "vendor/", "gems/", "go/pkg/mod/", ".m2/", ".cargo/registry/", "var/lib/dpkg/",
    ];
    if LIBRARY.iter().any(|f| lower.starts_with(f)) || ["site-packages/", "dist-packages/", "node_modules/", "vendor/", "gems/", ".m2/"].iter().any(|f| within(f)) {
        return Place::Library;
    }
    const CONFIGURATION: [&str; 25] = [
        "yaml", "yml", "properties", "ini", "conf", "cfg", "cnf", "config", "json", "toml", "env", "xml", "tfvars", "tfstate", "sql", "htpasswd", "netrc", "pgpass", "npmrc", "pypirc", "plist",
        "ovpn", "rdp", "dump", "txt",
    ];
    const NAMES: [&str; 10] =
        ["credentials", "shadow", "shadow-", "gshadow", "htpasswd", ".git-credentials", "config", "settings", "wgetrc", ".curlrc"];
    if ["sh", "bash", "zsh", "ksh", "bashrc", "profile", "bash_profile", "zshrc", "bash_history", "zsh_history", "ash_history"].contains(&extension)
        || name.ends_with("_history")
        || name.starts_with("dockerfile")
        || name.starts_with("containerfile")
        || name == "makefile"
    {
        return Place::Shell;
    }
    if CONFIGURATION.contains(&extension) || NAMES.contains(&name) || name.starts_with(".env") || name.starts_with(".my.cnf") || lower.starts_with("etc/") {
        return Place::Configuration;
    }
    const SOURCE: [&str; 26] = [
        "py", "js", "mjs", "cjs", "ts", "tsx", "jsx", "java", "kt", "scala", "go", "rb", "php", "c", "h", "cc", "cpp", "hpp", "rs", "cs", "pl", "pm", "lua", "css", "map", "vue",
    ];
    if SOURCE.contains(&extension) {
        return Place::Source;
    }
    Place::Other
}

/// Pictures, sound, fonts and compressed files: not text, and keys in them would be compressed.
pub(crate) fn is_opaque(path: &str) -> bool {
    const OPAQUE: [&str; 41] = [
        "png", "jpg", "jpeg", "gif", "ico", "webp", "bmp", "tiff", "woff", "woff2", "ttf", "otf", "eot", "mp3", "mp4", "ogg", "wav", "webm", "avi", "mov", "gz", "tgz", "xz", "txz", "bz2",
        "tbz", "zst", "lz4", "zip", "7z", "rar", "jar", "war", "ear", "whl", "gem", "deb", "rpm", "apk", "br", "pdf",
    ];
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(_, e)| OPAQUE.iter().any(|o| e.eq_ignore_ascii_case(o)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        for (path, place) in [
            ("usr/share/doc/libpq/examples/x.conf", Place::Documentation),
            ("app/README.md", Place::Documentation),
            ("usr/lib/python3/dist-packages/x.py", Place::Library),
            ("app/node_modules/x/index.js", Place::Library),
            ("app/config/application.yml", Place::Configuration),
            ("root/.env", Place::Configuration),
            ("etc/app", Place::Configuration),
            ("root/.bash_history", Place::Shell),
            ("app/main.go", Place::Source),
            ("app/bin/thing", Place::Other),
        ] {
            assert_eq!(of(path), place, "{path}");
        }
    }
}
