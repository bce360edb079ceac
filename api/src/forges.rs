//! The git providers that this instance may ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::db::owners::Owner;
use engine::db::repos::Repo;
use engine::secret::Secret;
use forge::{Kind, Provider, RepoName, Settings, connect};

/// A client of each provider that is set up, by the stored word for the provider.
#[derive(Clone, Default)]
pub struct Forges(Arc<BTreeMap<String, Arc<dyn Provider>>>);

impl Forges {
    /// Clients with these settings. Errors: `Invalid`, naming the provider.
    pub fn connect(settings: &BTreeMap<String, Settings>) -> engine::Result<Forges> {
        let client = |(service, settings): (&String, &Settings)| {
            let client = connect(settings);
            let client = client.map_err(|error| engine::Error::invalid(service, error))?;
            Ok((service.clone(), client))
        };
        let clients = settings.iter().map(client).collect::<engine::Result<_>>()?;
        Ok(Forges(Arc::new(clients)))
    }

    /// Whether no provider is set up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The client for the repositories of this owner.
    pub fn of(&self, owner: &Owner) -> Option<Arc<dyn Provider>> {
        self.0.get(&owner.service).cloned()
    }
}

/// The name by which a provider knows a repository.
pub fn name_of(owner: &Owner, repo: &Repo) -> RepoName {
    RepoName {
        owner: owner.username.clone(),
        name: repo.name.clone(),
    }
}

/// Where each provider's API is: its stored word, its kind, the API of the public one, and the path of the API behind
/// the URL of a private one.
const PLACES: [(&str, Kind, Option<&str>, &str); 5] = [
    ("github", Kind::GitHub, Some("https://api.github.com"), ""),
    ("github_enterprise", Kind::GitHub, None, "/api/v3"),
    (
        "gitlab",
        Kind::GitLab,
        Some("https://gitlab.com/api/v4"),
        "",
    ),
    ("gitlab_enterprise", Kind::GitLab, None, "/api/v4"),
    (
        "bitbucket",
        Kind::Bitbucket,
        Some("https://api.bitbucket.org/2.0"),
        "",
    ),
];

/// The settings of every provider that has any: `HITLINE_<PROVIDER>_BOT_KEY`, `_API_URL`, and `_URL` for those that run
/// elsewhere. `read` gives the value of such a name.
pub fn settings(read: impl Fn(&str) -> Option<String>) -> BTreeMap<String, Settings> {
    let of = |(service, kind, public, path): &(&str, Kind, Option<&str>, &str)| {
        let value = |name: &str| {
            let name = format!("HITLINE_{}_{name}", service.to_uppercase());
            read(&name).filter(|value| !value.is_empty())
        };
        let key = value("BOT_KEY").map(Secret::new);
        let own = value("API_URL").or_else(|| {
            let url = value("URL").filter(|_| public.is_none())?;
            Some(format!("{}{path}", url.trim_end_matches('/')))
        });
        let api_url = match (own, public) {
            (Some(url), _) => url,
            (None, Some(url)) if key.is_some() => (*url).to_owned(),
            _ => return None,
        };
        let settings = Settings {
            kind: *kind,
            api_url,
            key,
        };
        Some(((*service).to_owned(), settings))
    };
    PLACES.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_set_up_by_a_key_or_a_url() {
        let read = |name: &str| {
            let value = match name {
                "HITLINE_GITHUB_BOT_KEY" => "k",
                "HITLINE_GITLAB_API_URL" => "https://mirror/api/v4",
                "HITLINE_GITHUB_ENTERPRISE_URL" => "https://git.acme.dev/",
                "HITLINE_GITLAB_ENTERPRISE_BOT_KEY" => "without a URL it is nowhere",
                "HITLINE_BITBUCKET_BOT_KEY" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let found = settings(read);
        let shape: Vec<_> = found
            .iter()
            .map(|(service, settings)| (&**service, &*settings.api_url, settings.key.is_some()))
            .collect();
        let expected = [
            ("github", "https://api.github.com", true),
            ("github_enterprise", "https://git.acme.dev/api/v3", false),
            ("gitlab", "https://mirror/api/v4", false),
        ];
        assert_eq!(shape, expected);
        assert!(!format!("{found:?}").contains("\"k\""));
    }
}
