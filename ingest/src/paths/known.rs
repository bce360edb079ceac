//! Where CI services and package managers put sources: used when the repository's files are unknown.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// What is removed from the start of a path; an alternative that takes all of it names no source.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let places = [
        r"(?:home|users)/travis/build/[^/]+/[^/]+/",
        r"(?:home|users)/jenkins/jobs/[^/]+/workspace/",
        r"users/distiller/[^/]+/",
        r"home/[^/]+/src/[^/]+/[^/]+/[^/]+/",
        r"(?:home|users)/[^/]+/workspace/[^/]+/[^/]+/",
        r".*/jenkins/workspace/[^/]+/",
        r"(?:.*/src/)?github\.com/[^/]+/[^/]+/",
        r"\w:/repos/[^/]+/[^/]+/",
        r"[\w:/]+projects/[^/]+/",
        r"\w:/_build/github/[^/]+/",
        r"build/lib\.[^/]+/",
        r"home/circleci/code/",
        r"home/circleci/repo/",
        r"vendor/src/.*",
        r"pipeline/source/",
        r"var/snap-ci/repo/",
        r"home/ubuntu/[^/]+/",
        r".*/site-packages/[^/]+\.egg/",
        r".*/site-packages/",
        r"usr/local/lib/[^/]+/dist-packages/",
        r".*/slather/spec/fixtures/.*",
        r".*/target/generated-sources/.*",
        r".*/\.phpenv/.*",
        r".*/debug-iphonesimulator/reactivecocoa\.build/derivedsources/ra.*",
        r"usr/include/.*",
        r".*/handlebars\.js/dist/.*",
        r"node_modules/.*",
        r"bower_components/.*",
        r".*/lib/clang/.*",
        r".*[<>].*",
        r"\w:/",
        r".*/mac-coverage/build/src/.*",
        r"opt/.*/dist-packages/.*",
        r".*/iphonesimulator\.platform/developer/sdks/.*",
        r"applications/xcode\.app/contents/developer/toolchains/.*",
        r"(?:.*/)?\.?v?(?:irtual)?\.?envs?(?:-[^/]+)?/[^/]+/.*\.py$",
        r"users/[^/]+/projects/.*/pods/.*",
        r"users/[^/]+/projects/[^/]+/",
        r"home/[^/]+/[^/]+/[^/]+/",
    ];
    let pattern = format!(r"(?is-u)^(?:\.*/)*(?:{})?", places.join("|"));
    Regex::new(&pattern).expect("the pattern is constant and tested")
});

/// Words of which every alternative has one: most paths have none, and are done at once.
static HINTS: LazyLock<Regex> = LazyLock::new(|| {
    let words = [
        r"home/",
        r"users/",
        r"workspace/",
        r"github",
        r"repos/",
        r"projects/",
        r"build/",
        r"vendor/src/",
        r"pipeline/",
        r"snap-ci/",
        r"-packages/",
        r"slather/",
        r"generated-sources/",
        r"\.phpenv/",
        r"iphone",
        r"usr/",
        r"handlebars",
        r"node_modules/",
        r"bower_components/",
        r"lib/clang/",
        r"[<>]",
        r":/",
        r"applications/",
        r"env",
    ];
    Regex::new(&format!("(?i-u){}", words.join("|"))).expect("the pattern is constant and tested")
});

/// The path without a known prefix; empty when the whole of it is known to be no source.
pub(super) fn without_prefix(path: &str) -> &str {
    if !HINTS.is_match(path.as_bytes()) {
        return without_dots(path);
    }
    // Prefixes end at a slash or with the path, so what is left is text.
    KNOWN
        .find(path.as_bytes())
        .and_then(|found| path.get(found.end()..))
        .unwrap_or(path)
}

/// The path without the run of `../`, `./` and `/` that it may start with.
fn without_dots(path: &str) -> &str {
    let mut rest = path;
    while let Some(next) = rest.trim_start_matches('.').strip_prefix('/') {
        rest = next;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_without_a_hint_lose_what_climbs_alone() {
        for (path, expected) in [
            ("../../src/a.c", "src/a.c"),
            ("src/a.c", "src/a.c"),
            ("..a/b.c", "..a/b.c"),
            ("/home/circleci/repo/\u{e9}.c", "\u{e9}.c"),
            ("opt/x/dist-packages/a.py", ""),
        ] {
            assert_eq!(without_prefix(path), expected, "{path}");
        }
    }
}
