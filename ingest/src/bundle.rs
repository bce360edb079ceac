//! Statistics of a JavaScript bundle, as Codecov's bundler plugins write them.
//!
//! Source: the stats of `@codecov/bundle-analyzer`, versions 1 to 3.

use serde::{Deserialize, Serialize};

/// What is known of a bundle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// Bytes of all of its assets.
    pub size_bytes: u64,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(rename = "bundleName", alias = "bundle_name")]
    name: String,
    assets: Vec<Asset>,
}

#[derive(Deserialize)]
struct Asset {
    size: u64,
}

impl Bundle {
    /// Reads statistics. Errors: what is wrong with them, for people.
    pub fn read(stats: &[u8]) -> Result<Bundle, String> {
        let stats: Stats = serde_json::from_slice(stats).map_err(|error| error.to_string())?;
        let sizes = stats.assets.iter().map(|asset| asset.size);
        Ok(Bundle {
            name: stats.name,
            size_bytes: sizes.fold(0, u64::saturating_add),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_as_large_as_its_assets() {
        let stats = r#"{"version": "3", "bundleName": "app", "duration": 5, "chunks": [{"id": "a"}],
            "assets": [{"name": "a.js", "size": 14, "gzipSize": 34}, {"name": "b.css", "size": 6}]}"#;
        let app = Bundle {
            name: "app".into(),
            size_bytes: 20,
        };
        assert_eq!(Bundle::read(stats.as_bytes()), Ok(app));
        for odd in [
            "",
            "[]",
            "{}",
            r#"{"bundleName": "a"}"#,
            r#"{"bundleName": 1, "assets": []}"#,
        ] {
            assert!(Bundle::read(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
