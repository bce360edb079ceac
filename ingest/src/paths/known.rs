//! Where CI services and package managers put sources: used when the repository's files are unknown.

use std::sync::LazyLock;

use regex::Regex;

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
    let pattern = format!(r"(?is)^(?:\.*/)*(?:{})?", places.join("|"));
    Regex::new(&pattern).expect("the pattern is constant and tested")
});

/// The path without a known prefix; empty when the whole of it is known to be no source.
pub(super) fn without_prefix(path: &str) -> &str {
    KNOWN.find(path).map_or(path, |found| &path[found.end()..])
}
