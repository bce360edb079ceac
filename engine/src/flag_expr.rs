//! Questions about flags: `unit and not e2e`, `(linux or macos) and not "flag with spaces"`.

use crate::error::{Error, Result};

/// The longest question, in bytes.
pub const EXPRESSION_MAX_BYTES: usize = 1_000;
/// Parentheses and negations within each other, at most.
const DEPTH_MAX: usize = 32;

/// A question that a set of flags answers with yes or no.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlagExpr(Node);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Flag(String),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

impl FlagExpr {
    /// Reads a question: names of flags, in quotes where they are `and`, `or`, `not` or hold blanks or parentheses;
    /// `not` binds before `and`, `and` before `or`. Errors: `Invalid`, naming what was expected.
    pub fn parse(text: &str) -> Result<FlagExpr> {
        if text.len() > EXPRESSION_MAX_BYTES {
            return Err(invalid(format_args!(
                "it is longer than {EXPRESSION_MAX_BYTES} bytes"
            )));
        }
        let mut reader = Reader {
            words: words(text)?,
            at: 0,
        };
        let node = reader.any(0)?;
        match reader.next() {
            None => Ok(FlagExpr(node)),
            Some(word) => Err(invalid(format_args!("nothing may follow before {word}"))),
        }
    }

    /// Whether the answer is yes for this set.
    pub fn holds(&self, has: impl Fn(&str) -> bool) -> bool {
        self.0.holds(&has)
    }

    /// The flags that are asked about, in the order of the text.
    pub fn flags(&self) -> Vec<&str> {
        let mut flags = Vec::new();
        self.0.flags(&mut flags);
        flags
    }
}

impl Node {
    fn holds(&self, has: &impl Fn(&str) -> bool) -> bool {
        match self {
            Node::Flag(name) => has(name),
            Node::Not(inner) => !inner.holds(has),
            Node::All(parts) => parts.iter().all(|part| part.holds(has)),
            Node::Any(parts) => parts.iter().any(|part| part.holds(has)),
        }
    }

    fn flags<'a>(&'a self, to: &mut Vec<&'a str>) {
        match self {
            Node::Flag(name) => to.push(name),
            Node::Not(inner) => inner.flags(to),
            Node::All(parts) | Node::Any(parts) => parts.iter().for_each(|part| part.flags(to)),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Word {
    Open,
    Close,
    And,
    Or,
    Not,
    Flag(String),
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Word::Open => f.write_str("("),
            Word::Close => f.write_str(")"),
            Word::And => f.write_str("and"),
            Word::Or => f.write_str("or"),
            Word::Not => f.write_str("not"),
            Word::Flag(name) => write!(f, "{name:?}"),
        }
    }
}

fn words(text: &str) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, length) = match first {
            '(' => (Word::Open, 1),
            ')' => (Word::Close, 1),
            '"' => {
                let name = rest[1..].split_once('"').map(|(name, _)| name);
                let name = name.ok_or_else(|| invalid("a quote is not closed"))?;
                (Word::Flag(name.to_owned()), name.len() + 2)
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"');
                let length = rest.find(ends).unwrap_or(rest.len());
                (plain(&rest[..length]), length)
            }
        };
        words.push(word);
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

fn plain(word: &str) -> Word {
    match word.to_ascii_lowercase().as_str() {
        "and" => Word::And,
        "or" => Word::Or,
        "not" => Word::Not,
        _ => Word::Flag(word.to_owned()),
    }
}

struct Reader {
    words: Vec<Word>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn takes(&mut self, word: &Word) -> bool {
        let is_next = self.words.get(self.at) == Some(word);
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self, depth: usize) -> Result<Node> {
        let mut parts = vec![self.all(depth)?];
        while self.takes(&Word::Or) {
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node> {
        let mut parts = vec![self.one(depth)?];
        while self.takes(&Word::And) {
            parts.push(self.one(depth)?);
        }
        Ok(one_or(parts, Node::All))
    }

    fn one(&mut self, depth: usize) -> Result<Node> {
        if depth > DEPTH_MAX {
            return Err(invalid(format_args!(
                "it is nested deeper than {DEPTH_MAX}"
            )));
        }
        match self.next() {
            Some(Word::Flag(name)) => Ok(Node::Flag(name)),
            Some(Word::Not) => Ok(Node::Not(Box::new(self.one(depth + 1)?))),
            Some(Word::Open) => {
                let inner = self.any(depth + 1)?;
                match self.takes(&Word::Close) {
                    true => Ok(inner),
                    false => Err(invalid("a parenthesis is not closed")),
                }
            }
            Some(word) => Err(invalid(format_args!("a flag is missing before {word}"))),
            None => Err(invalid("a flag is missing at its end")),
        }
    }
}

fn one_or(mut parts: Vec<Node>, many: impl Fn(Vec<Node>) -> Node) -> Node {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::invalid("expr", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, flags: &[&str]) -> bool {
        let expression = FlagExpr::parse(text).expect(text);
        expression.holds(|flag| flags.contains(&flag))
    }

    #[test]
    fn not_binds_before_and_and_before_or() {
        assert!(holds("unit and not e2e", &["unit"]));
        assert!(!holds("unit and not e2e", &["unit", "e2e"]));
        assert!(holds("a or b and c", &["a"]) && !holds("(a or b) and c", &["a"]));
        assert!(holds("not a or b", &[]) && !holds("not (a or b)", &["b"]));
        assert!(holds("NOT not a", &["a"]));
        assert!(holds("\"and\" and \"b c\"", &["and", "b c"]));
        assert!(holds("linux-x64/unit.1", &["linux-x64/unit.1"]));
    }

    #[test]
    fn wrong_questions_say_what_is_wrong() {
        let deep = format!("{}a", "not ".repeat(100));
        for (text, why) in [
            ("", "a flag is missing at its end"),
            ("a and", "a flag is missing at its end"),
            ("or a", "a flag is missing before or"),
            ("a b", "nothing may follow before \"b\""),
            ("(a", "a parenthesis is not closed"),
            ("a)", "nothing may follow before )"),
            ("\"a", "a quote is not closed"),
            (&deep, "it is nested deeper than 32"),
            (&"a".repeat(2_000), "it is longer than 1000 bytes"),
        ] {
            let error = FlagExpr::parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn flags_are_listed_in_their_order() {
        let expression = FlagExpr::parse("(b or not a) and c").expect("a question");
        assert_eq!(expression.flags(), ["b", "a", "c"]);
    }
}
