//! Lines that a coverage tool counts though they hold no code: braces alone, blank lines, comment marks.
//!
//! The server drops coverage of these lines. Each source file is read once; a line is judged by its bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest source file that is read for fixes.
const MAX_SOURCE_BYTES: u64 = 64 * 1024 * 1024;

/// What the server is told about one source file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fixes {
    /// The number of lines, of languages whose tools report lines beyond the end of the file.
    pub(super) eof: Option<u32>,
    /// Lines without code, 1-based, ascending.
    pub(super) lines: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Language {
    Kotlin,
    Go,
    Dart,
    Php,
    /// C, C++, Objective-C, Swift, Vala.
    C,
}

/// Reads the fixes of the source file `name` under `root`; `None` if its language has none or it is no readable
/// file. `buffer` is reused from file to file.
pub(super) fn read(root: &Path, name: &str, buffer: &mut Vec<u8>) -> Option<Fixes> {
    let language = language_of(name)?;
    let path = root.join(name);
    let size_bytes = std::fs::metadata(&path)
        .ok()
        .filter(std::fs::Metadata::is_file)?
        .len();
    if size_bytes > MAX_SOURCE_BYTES {
        return None;
    }
    buffer.clear();
    File::open(&path)
        .ok()?
        .take(MAX_SOURCE_BYTES)
        .read_to_end(buffer)
        .ok()?;
    Some(find(language, buffer))
}

/// The fixes of a source text. Reading stops at the first line that is not UTF-8; `eof` is then unknown.
fn find(language: Language, source: &[u8]) -> Fixes {
    let mut fixes = Fixes::default();
    let mut rest = source;
    let mut number = 0;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        let Ok(line) = std::str::from_utf8(line) else {
            return fixes;
        };
        rest = after;
        number += 1;
        if is_without_code(language, line) {
            fixes.lines.push(number);
        }
    }
    fixes.eof = (language == Language::Kotlin).then_some(number);
    fixes
}

/// Cuts the first line off: it ends with `\n`, `\r\n` or `\r`, which belongs to neither part.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
        return (bytes, &[]);
    };
    let mark_bytes = if bytes[end..].starts_with(b"\r\n") {
        2
    } else {
        1
    };
    (&bytes[..end], &bytes[end + mark_bytes..])
}

fn is_without_code(language: Language, line: &str) -> bool {
    let content = line.trim_matches(is_space);
    let alone = before_comment(content);
    let is_brace = matches!(alone, "{" | "}");
    let is_block_mark = matches!(content, "/*" | "*/");
    match language {
        Language::Kotlin => is_brace || matches!(alone, "(" | ")") || is_block_mark,
        Language::Go => {
            let is_function = alone
                .strip_prefix("func")
                .is_some_and(|body| body.trim_matches(is_space) == "{");
            alone.is_empty() || is_brace || is_function || is_block_mark
        }
        Language::Dart => is_brace,
        Language::Php => is_brace || matches!(alone, "[" | "]" | ");"),
        Language::C => content.is_empty() || is_brace || line.starts_with("// LCOV_EXCL"),
    }
}

fn before_comment(content: &str) -> &str {
    let code = content.split_once("//").map_or(content, |(code, _)| code);
    code.trim_end_matches(is_space)
}

/// White space of Unicode, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn language_of(name: &str) -> Option<Language> {
    match name.rsplit_once('.')?.1 {
        "kt" => Some(Language::Kotlin),
        "go" => Some(Language::Go),
        "dart" => Some(Language::Dart),
        "php" => Some(Language::Php),
        "c" | "cpp" | "cxx" | "h" | "hpp" | "m" | "swift" | "vala" => Some(Language::C),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(language: Language, source: &str) -> Vec<u32> {
        find(language, source.as_bytes()).lines
    }

    #[test]
    fn kotlin_lists_braces_parentheses_and_block_marks_and_its_end() {
        let source =
            "class A(\n)\n  { // open\n/*\nin the block\n*/\n}\n\n// comment\nval x = 1 // {\n";
        let expected = Fixes {
            eof: Some(10),
            lines: vec![2, 3, 4, 6, 7],
        };
        assert_eq!(find(Language::Kotlin, source.as_bytes()), expected);
        assert_eq!(
            find(Language::Kotlin, b""),
            Fixes {
                eof: Some(0),
                lines: vec![]
            }
        );
        assert_eq!(find(Language::Kotlin, b"{\nx").eof, Some(2));
    }

    #[test]
    fn go_lists_blank_comment_brace_function_and_block_marks() {
        let source = "package main\n\n// say\nfunc main() {\n\tx()\n}\n/*\nwithin\n*/\n  func { // f\nfunc{\nx /* */\n*/ x\n";
        let expected = Fixes {
            eof: None,
            lines: vec![2, 3, 6, 7, 9, 10, 11],
        };
        assert_eq!(find(Language::Go, source.as_bytes()), expected);
    }

    #[test]
    fn dart_lists_braces_only() {
        assert_eq!(
            lines(Language::Dart, "{\n}\n\n// x\n(\n/*\n} // end\n"),
            [1, 2, 7]
        );
    }

    #[test]
    fn php_lists_braces_brackets_and_closing_calls() {
        assert_eq!(
            lines(
                Language::Php,
                "<?php\n{\n[\n]\n);\n  ); // done\n)\n\n];\n}\n"
            ),
            [2, 3, 4, 5, 6, 10]
        );
    }

    #[test]
    fn c_lists_blank_lines_braces_and_exclusion_marks_at_the_start_of_a_line() {
        let source = "#include <x>\n\nint f()\n{\n// LCOV_EXCL_START\n  // LCOV_EXCL_STOP\nx; // LCOV_EXCL_LINE\n// x\n}\n";
        assert_eq!(lines(Language::C, source), [2, 4, 5, 9]);
    }

    #[test]
    fn line_ends_of_every_system_count_once() {
        let expected = Fixes {
            eof: Some(3),
            lines: vec![1, 3],
        };
        for source in ["{\nx\n}", "{\r\nx\r\n}\r\n", "{\rx\r}\r"] {
            assert_eq!(
                find(Language::Kotlin, source.as_bytes()),
                expected,
                "{source:?}"
            );
        }
    }

    #[test]
    fn text_that_is_not_utf8_gives_what_was_read_so_far() {
        assert_eq!(
            find(Language::Kotlin, b"{\n\xe9\n}\n"),
            Fixes {
                eof: None,
                lines: vec![1]
            }
        );
    }

    #[test]
    fn other_languages_folders_and_absent_files_have_no_fixes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dir.go")).unwrap();
        std::fs::write(folder.path().join("a.py"), "\n").unwrap();
        std::fs::write(folder.path().join("a.go"), "\n").unwrap();
        let mut buffer = Vec::new();
        for name in ["a.py", "dir.go", "gone.go", "go"] {
            assert_eq!(read(folder.path(), name, &mut buffer), None, "{name}");
        }
        assert_eq!(
            read(folder.path(), "a.go", &mut buffer),
            Some(Fixes {
                eof: None,
                lines: vec![1]
            })
        );
    }
}
