//! Which files of a report count: those whose paths some patterns accept.

use regex::Regex;

use crate::settings::anchored;

/// Path patterns of a filter: regular expressions from the start, or whole paths; `!` leaves out.
#[derive(Clone, Debug, Default)]
pub struct PathPatterns {
    exact: Vec<String>,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl PathPatterns {
    /// The patterns of a filter; none accept every path.
    pub fn new(patterns: &[String]) -> PathPatterns {
        let (exclude, include): (Vec<&String>, Vec<&String>) = patterns
            .iter()
            .partition(|pattern| pattern.starts_with('!') || pattern.starts_with("^!"));
        let compile = |patterns: Vec<&String>| {
            let bare = patterns.into_iter().map(|pattern| pattern.replace('!', ""));
            bare.filter_map(|pattern| anchored(&pattern)).collect()
        };
        PathPatterns {
            exact: patterns.to_vec(),
            include: compile(include),
            exclude: compile(exclude),
        }
    }

    /// Whether the filter accepts every path.
    pub fn is_everything(&self) -> bool {
        self.exact.is_empty()
    }

    /// Whether the filter accepts the path.
    pub fn includes(&self, path: &str) -> bool {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(path));
        self.exact.iter().any(|exact| exact == path)
            || (!matches(&self.exclude) && (self.include.is_empty() || matches(&self.include)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(patterns: &[&str], path: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
        PathPatterns::new(&patterns).includes(path)
    }

    #[test]
    fn what_is_left_out_goes_before_what_is_taken_in() {
        assert!(accepts(&[], "a/b.c"));
        assert!(accepts(&["^a/.*"], "a/b.c") && !accepts(&["^a/.*"], "b/a/c"));
        assert!(!accepts(&["^a/.*", "!^a/b.*"], "a/b.c"));
        assert!(accepts(&["!^a/b.*"], "c") && !accepts(&["!^a/b.*"], "a/b.c"));
        assert!(accepts(&["a+b.c"], "a+b.c"));
    }
}
