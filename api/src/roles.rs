//! What a node does.

use std::fmt;
use std::str::FromStr;

/// The parts of the program that a node runs; any of them, and at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    /// Takes uploads and answers the API.
    pub api: bool,
    /// Serves what browsers show: badges and graphs.
    pub web: bool,
    /// Works the queue.
    pub worker: bool,
}

impl Roles {
    /// A node that does everything.
    pub const ALL: Roles = Roles {
        api: true,
        web: true,
        worker: true,
    };
    const NONE: Roles = Roles {
        api: false,
        web: false,
        worker: false,
    };
}

impl FromStr for Roles {
    type Err = String;

    /// Reads `all`, or names separated by commas.
    fn from_str(text: &str) -> Result<Roles, String> {
        text.split(',')
            .try_fold(Roles::NONE, |roles, role| match role.trim() {
                "api" => Ok(Roles { api: true, ..roles }),
                "web" => Ok(Roles { web: true, ..roles }),
                "worker" => Ok(Roles {
                    worker: true,
                    ..roles
                }),
                "all" => Ok(Roles::ALL),
                other => Err(format!(
                    "{other:?} is no role: say api, web, worker or all, or some with commas between"
                )),
            })
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.api, "api"),
            (self.web, "web"),
            (self.worker, "worker"),
        ];
        let named: Vec<&str> = names
            .iter()
            .filter_map(|&(is, name)| is.then_some(name))
            .collect();
        f.write_str(&named.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_in_any_combination() {
        for (text, shown) in [
            ("all", "api,web,worker"),
            ("worker", "worker"),
            ("web, api", "api,web"),
        ] {
            assert_eq!(text.parse::<Roles>().unwrap().to_string(), shown);
        }
        assert!("".parse::<Roles>().unwrap_err().contains("say api"));
        assert!("api,wrker".parse::<Roles>().unwrap_err().contains("wrker"));
    }
}
