//! What an API token allows.

use std::fmt;
use std::str::FromStr;

/// One thing that a token may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read what its owner may read.
    Read,
    /// Change what its owner may change; reads too.
    Write,
    /// Act as an admin of its owner, or of the whole instance; writes and reads too.
    Admin,
    /// Upload to its owner's repositories.
    Upload,
}

/// Every scope with its word.
const WORDS: [(Scope, &str); 4] = [
    (Scope::Read, "read"),
    (Scope::Write, "write"),
    (Scope::Admin, "admin"),
    (Scope::Upload, "upload"),
];

impl Scope {
    /// The scope's word.
    pub fn as_str(self) -> &'static str {
        WORDS[self as usize].1
    }

    /// The scope and those that it includes, as bits.
    fn bits(self) -> u8 {
        let own = 1 << self as u8;
        match self {
            Scope::Read | Scope::Upload => own,
            Scope::Write => own | Scope::Read.bits(),
            Scope::Admin => own | Scope::Write.bits(),
        }
    }
}

/// A set of scopes; its text is words joined by commas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    pub const ALL: Scopes = Scopes(0b1111);

    /// Whether the scope is one of them, or included in one.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether each of the others is allowed.
    pub fn include(self, others: Scopes) -> bool {
        self.0 & others.0 == others.0
    }

    /// The words of all allowed scopes.
    pub fn words(self) -> Vec<&'static str> {
        let allowed = WORDS.iter().filter(|(scope, _)| self.allow(*scope));
        allowed.map(|(_, word)| *word).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Scopes {
        Scopes(
            scopes
                .into_iter()
                .fold(0, |bits, scope| bits | scope.bits()),
        )
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(","))
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Scope, String> {
        let found = WORDS.iter().find(|(_, word)| *word == text.trim());
        found
            .map(|(scope, _)| *scope)
            .ok_or_else(|| format!("unknown scope {text:?}: use read, write, admin or upload"))
    }
}

impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Scopes, String> {
        text.split(',').map(Scope::from_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_includes_write_and_write_includes_read_but_none_uploads() {
        let admin: Scopes = "admin".parse().unwrap();
        assert_eq!(admin.to_string(), "read,write,admin");
        assert!(!admin.allow(Scope::Upload));
        let both: Scopes = "read, upload".parse().unwrap();
        assert_eq!(both.to_string(), "read,upload");
        assert!(!both.include(admin) && Scopes::ALL.include(both));
        assert!("read,all".parse::<Scopes>().is_err());
    }
}
