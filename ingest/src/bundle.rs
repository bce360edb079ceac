//! Statistics of a JavaScript bundle, as Codecov's bundler plugins write them.
//!
//! Source: the stats of `@codecov/bundle-analyzer`, versions 1 to 3.

use serde::{Deserialize, Serialize};

/// Longest name of a bundle, in bytes.
const NAME_BYTES: usize = 1000;
/// Longest word on what is wrong, in characters.
const WRONG_CHARS: usize = 200;

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
        let wrong = |error: serde_json::Error| {
            error
                .to_string()
                .chars()
                .take(WRONG_CHARS)
                .collect::<String>()
        };
        let stats: Stats = serde_json::from_slice(stats).map_err(wrong)?;
        if stats.name.len() > NAME_BYTES || stats.name.contains('\0') {
            return Err(format!(
                "bundleName is longer than {NAME_BYTES} bytes, or has a NUL"
            ));
        }
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
        let named = |name: &str| {
            Bundle::read(format!(r#"{{"bundleName": {name}, "assets": []}}"#).as_bytes())
        };
        assert!(named(r#""a\u0000b""#).is_err());
        let long = "x".repeat(NAME_BYTES);
        assert!(named(&format!("\"{long}\"")).is_ok() && named(&format!("\"{long}x\"")).is_err());
        let told = named(&format!("{{\"{long}\": 1}}")).unwrap_err();
        assert!(told.chars().count() <= WRONG_CHARS, "{told}");
    }
}
