//! The configuration file of an installation, in the layout of Codecov's own `codecov.yml` of an installation, with
//! our options under `hitline`. Environment variables as `SETUP__CODECOV_URL` go before the file.
//!
//! Strict: an unknown key or a value of another type is an error, so that a misspelt key is not silently without
//! effect. Known keys that have none here are told in docs/configuration.md, each with its reason.

mod keys;
mod s3;

use std::path::{Path, PathBuf};

use engine::secret::Secret;
use engine::{Error, Result};
use ingest::yamls::{Site, SomeOwners, check_site};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::config::Config;
pub use keys::json_schema;

/// The most bytes that a configuration file may have.
const FILE_MAX_BYTES: u64 = 4 << 20;
/// What comes before the name of a variable whose value is JSON.
const JSON_PREFIX: &str = "JSONCONFIG___";
/// What comes behind the name of a variable whose value is the path of a file with the value.
const FILE_SUFFIX: &str = "_file";

/// What becomes of keys that are not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strictness {
    /// They are an error.
    Strict,
    /// They are a warning.
    Lenient,
}

/// What an installation says.
#[derive(Clone, Debug, Default)]
pub struct Install {
    document: Value,
    /// Keys that are not known.
    pub warnings: Vec<String>,
}

impl Install {
    /// Reads a file, if one is given, and the variables over it. Errors: `Io`, and `Invalid` naming each key that is
    /// wrong, but no value.
    pub fn read(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        strictness: Strictness,
    ) -> Result<Install> {
        let mut document = match file {
            Some(path) => parse(path)?,
            None => Map::new(),
        };
        for (name, value) in variables {
            overlay(&mut document, &name, value)?;
        }
        let mut document = Value::Object(document);
        let findings = keys::check(&mut document);
        let wrong = match strictness {
            Strictness::Strict => [findings.wrong, findings.unknown.clone()].concat(),
            Strictness::Lenient => findings.wrong,
        };
        match wrong.is_empty() {
            true => Ok(Install {
                document,
                warnings: findings.unknown,
            }),
            false => Err(Error::invalid("configuration", wrong.join("; "))),
        }
    }

    /// The value at these keys; null where nothing is said.
    pub fn get(&self, keys: &[&str]) -> &Value {
        keys.iter().fold(&self.document, |value, key| &value[*key])
    }

    fn text(&self, keys: &[&str]) -> Option<&str> {
        self.get(keys).as_str()
    }

    /// Puts what is said in the place of defaults. Errors: `Invalid` for settings of all repositories that are no
    /// `codecov.yml`.
    pub fn apply(&self, config: &mut Config) -> Result<()> {
        if let Some(data) = self.text(&["hitline", "data"]) {
            *config = Config::embedded(Path::new(data));
        }
        if let Some(url) = self.database_url() {
            config.database_url = Secret::new(url);
        }
        config.replica_url = self.replica_url().map(Secret::new);
        let redis = self.text(&["hitline", "redis_url"]);
        if let Some(url) = redis.or_else(|| self.text(&["services", "redis_url"])) {
            config.redis_url = Some(Secret::new(url));
        }
        let authority = self.text(&["hitline", "redis_ca_file"]);
        config.redis_ca_file = authority.map(PathBuf::from);
        let public = self.text(&["hitline", "public_url"]);
        if let Some(url) = public.or_else(|| self.text(&["setup", "codecov_url"])) {
            config.public_url = Some(url.trim_end_matches('/').to_owned());
        }
        if let Some(jobs) = self.get(&["hitline", "jobs"]).as_u64() {
            config.jobs = usize::try_from(jobs).unwrap_or(usize::MAX).max(1);
        }
        if let Some(jobs) = self.get(&["hitline", "queue_max"]).as_i64() {
            config.queue_max = jobs;
        }
        if let Some(calls) = self.get(&["hitline", "uploads_per_second"]).as_u64() {
            config.uploads_per_second = u32::try_from(calls).unwrap_or(u32::MAX);
        }
        if let Some(guest_access) = self.get(&["setup", "guest_access"]).as_bool() {
            config.guest_access = guest_access;
        }
        config.admins = self.admins()?;
        config.cors_origins = self.cors_origins();
        config.s3 = self.s3()?;
        config.site = self.site()?;
        Ok(())
    }

    /// Whether it says where the metadata database is.
    pub fn names_database(&self) -> bool {
        self.database_url().is_some()
    }

    /// The address to listen on.
    pub fn listen(&self) -> Option<&str> {
        self.text(&["hitline", "listen"])
    }

    fn database_url(&self) -> Option<String> {
        let whole = self.text(&["hitline", "database_url"]);
        if let Some(url) = whole.or_else(|| self.text(&["services", "database_url"])) {
            return Some(url.to_owned());
        }
        self.database_of_parts("database")
    }

    /// The replica, which Codecov's layout has to switch on.
    fn replica_url(&self) -> Option<String> {
        if let Some(url) = self.text(&["hitline", "database_read_url"]) {
            return Some(url.to_owned());
        }
        let enabled = self.get(&["setup", "database", "read_replica_enabled"]);
        if *enabled != true {
            return None;
        }
        let whole = self.text(&["services", "database_read_url"]);
        whole
            .map(str::to_owned)
            .or_else(|| self.database_of_parts("database_read"))
    }

    /// The URL of a database that is told in parts below this key of `services`.
    fn database_of_parts(&self, name: &str) -> Option<String> {
        self.get(&["services", name]).as_object()?;
        let text = |key| self.text(&["services", name, key]);
        let part = |key, default: &str| {
            let text = text(key).unwrap_or(default);
            utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
        };
        let host = text("host").unwrap_or("postgres");
        let port = self
            .get(&["services", name, "port"])
            .as_u64()
            .unwrap_or(5432);
        Some(format!(
            "postgres://{}:{}@{host}:{port}/{}",
            part("username", "postgres"),
            part("password", "postgres"),
            part("name", "postgres")
        ))
    }

    /// The admins of the instance, as `service/username`.
    fn admins(&self) -> Result<Vec<String>> {
        let admins = self.get(&["setup", "admins"]).as_array();
        let admins = admins.into_iter().flatten().enumerate().map(|(at, admin)| {
            match (admin["service"].as_str(), admin["username"].as_str()) {
                (Some(service), Some(username)) => Ok(format!("{service}/{username}")),
                _ => Err(Error::invalid(
                    format_args!("setup.admins.{at}"),
                    "give service and username",
                )),
            }
        });
        admins.collect()
    }

    /// Origins whose pages may use a login: a list, or a text with commas between.
    fn cors_origins(&self) -> Vec<String> {
        let said = self.get(&["setup", "api_cors_allowed_origins"]);
        let listed = said.as_array().into_iter().flatten();
        let texts = listed.chain([said]).filter_map(Value::as_str);
        let origins = texts.flat_map(|text| text.split(',')).map(str::trim);
        origins.map(str::to_owned).collect()
    }

    /// What holds for every repository.
    fn site(&self) -> Result<Site> {
        let yaml = match self.get(&["site"]) {
            Value::Object(yaml) => check_site("site", yaml.clone())?,
            _ => Map::new(),
        };
        let some = self.get(&["additional_user_yamls"]).as_array();
        let some = some.into_iter().flatten().enumerate().map(|(at, some)| {
            let name = format!("additional_user_yamls.{at}");
            let percentage = some["percentage"].as_i64();
            let share = percentage.filter(|share| (0..=100).contains(share));
            let missing =
                || Error::invalid(&name, "percentage must be a whole number from 0 to 100");
            Ok(SomeOwners {
                percentage: share.ok_or_else(missing)?,
                name: some["name"].as_str().unwrap_or_default().to_owned(),
                yaml: match &some["override"] {
                    Value::Object(yaml) => check_site(&format!("{name}.override"), yaml.clone())?,
                    _ => Map::new(),
                },
            })
        });
        Ok(Site {
            yaml,
            some: some.collect::<Result<_>>()?,
        })
    }
}

fn parse(path: &Path) -> Result<Map<String, Value>> {
    let name = format!("configuration file {}", path.display());
    let io = |error| Error::io(format_args!("read {name}"), error);
    if std::fs::metadata(path).map_err(io)?.len() > FILE_MAX_BYTES {
        return Err(Error::invalid(
            &name,
            format!("it has more than {FILE_MAX_BYTES} bytes"),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match serde_yaml::from_str(text) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Error::invalid(
            &name,
            "it must be a list of keys with values",
        )),
        Err(error) => Err(Error::invalid(&name, error)),
    }
}

/// Puts a variable's value at its keys, if its name is one of ours: `SETUP__HTTP__COOKIE_SECRET`,
/// `JSONCONFIG___SETUP__ADMINS` with JSON, or `SETUP__HTTP__COOKIE_SECRET_FILE` with the path of a file that has it, unless
/// there is a key of that very name.
fn overlay(document: &mut Map<String, Value>, name: &str, value: String) -> Result<()> {
    let (keys, value) = match name.strip_prefix(JSON_PREFIX) {
        Some(keys) => {
            let parsed = serde_json::from_str(&value);
            let no_json = |error| Error::invalid(format!("variable {name}"), error);
            (keys, parsed.map_err(no_json)?)
        }
        None if name.starts_with('_') || !name.contains("__") => return Ok(()),
        None => (name, Value::String(value)),
    };
    let keys = keys.to_ascii_lowercase();
    let mut keys: Vec<&str> = keys.split("__").collect();
    if !keys::is_root(keys[0]) {
        return Ok(());
    }
    let in_file = match keys::is_known(&keys) {
        true => None,
        false => keys.last().and_then(|last| last.strip_suffix(FILE_SUFFIX)),
    };
    let value = match (value, in_file) {
        (Value::String(path), Some(key)) => {
            let at = keys.len() - 1;
            keys[at] = key;
            let read = std::fs::read_to_string(&path);
            let text =
                read.map_err(|e| Error::io(format_args!("read {path} of variable {name}"), e))?;
            Value::String(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (value, _) => value,
    };
    put(document, &keys, value);
    Ok(())
}

fn put(document: &mut Map<String, Value>, keys: &[&str], value: Value) {
    let Some((key, rest)) = keys.split_first() else {
        return;
    };
    if rest.is_empty() {
        document.insert((*key).to_owned(), value);
        return;
    }
    let below = document.entry(*key).or_insert(Value::Null);
    if !below.is_object() {
        *below = Value::Object(Map::new());
    }
    if let Value::Object(below) = below {
        put(below, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str, variables: &[(&str, &str)], strictness: Strictness) -> Result<Install> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codecov.yml");
        std::fs::write(&path, text).unwrap();
        let variables = variables
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Install::read(Some(&path), variables, strictness)
    }

    fn strict(text: &str, variables: &[(&str, &str)]) -> Install {
        read(text, variables, Strictness::Strict).unwrap()
    }

    fn refusal(text: &str) -> String {
        read(text, &[], Strictness::Strict).unwrap_err().to_string()
    }

    #[test]
    fn a_file_in_codecov_s_layout_sets_what_hitline_has() {
        let install = strict(
            "\u{feff}setup:\r\n  codecov_url: https://cov.example.com/\r\n  guest_access: off\r\n  enterprise_license:\r\nservices:\r\n  database: {username: a b, password: 007, host: db}\r\n  minio: {port: '9000', verify_ssl: no, bucket: b}\r\nsite:\r\n  coverage: {round: up}\r\n",
            &[],
        );
        let mut config = Config::embedded(Path::new("data"));
        install.apply(&mut config).unwrap();
        assert_eq!(
            config.public_url.as_deref(),
            Some("https://cov.example.com")
        );
        assert_eq!(
            config.database_url.expose(),
            "postgres://a%20b:007@db:5432/postgres"
        );
        assert_eq!(
            Value::Object(config.site.yaml),
            json!({"coverage": {"round": "up"}})
        );
        assert!(!config.guest_access && config.replica_url.is_none());
        assert_eq!(install.get(&["services", "minio", "port"]), 9000);
    }

    #[test]
    fn variables_go_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "hush\n").unwrap();
        let install = strict(
            "setup: {codecov_url: http://a, http: {cookie_secret: 1}}",
            &[
                ("SETUP__CODECOV_URL", "http://b"),
                ("SETUP__HTTP__COOKIE_SECRET_FILE", secret.to_str().unwrap()),
                (
                    "JSONCONFIG___SETUP__ADMINS",
                    r#"[{"service": "github", "username": "ann"}]"#,
                ),
                ("HITLINE__JOBS", "3"),
                ("HITLINE__S3__CA_FILE", "ca.pem"),
                ("__IGNORED__", "x"),
                ("FOO__BAR", "x"),
                ("PATH", "x"),
            ],
        );
        assert_eq!(install.get(&["setup", "codecov_url"]), "http://b");
        assert_eq!(install.get(&["setup", "http", "cookie_secret"]), "hush");
        assert_eq!(install.get(&["setup", "admins", "0"]), &Value::Null);
        let mut config = Config::embedded(Path::new("data"));
        install.apply(&mut config).unwrap();
        assert!(config.is_admin("github", "Ann") && !config.is_admin("gitlab", "ann"));
        assert_eq!(install.get(&["hitline", "jobs"]), 3);
        assert_eq!(install.get(&["hitline", "s3", "ca_file"]), "ca.pem");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest_one() {
        let told = refusal("setup: {codecov_ulr: x}\nservice: {}\n");
        assert!(
            told.contains("setup.codecov_ulr is not known; the nearest key is setup.codecov_url"),
            "{told}"
        );
        assert!(
            told.contains("service is not known; the nearest key is services"),
            "{told}"
        );
        let lenient = read("setup: {codecov_ulr: x}", &[], Strictness::Lenient).unwrap();
        assert_eq!(lenient.warnings.len(), 1);
    }

    #[test]
    fn a_value_of_another_type_is_an_error_without_the_value() {
        let told = refusal("setup: {guest_access: secretly, codecov_url: [a]}\nservices: x\n");
        for expected in [
            "setup.guest_access must be a bool",
            "setup.codecov_url must be a text",
            "services must be a list of keys",
        ] {
            assert!(told.contains(expected), "{told}");
        }
        assert!(!told.contains("secretly"));
        assert!(refusal("- a").contains("a list of keys with values"));
        let install = strict("site: {coverage: {precison: 1}}", &[]);
        let refused = install
            .apply(&mut Config::embedded(Path::new("d")))
            .unwrap_err();
        assert!(refused.to_string().contains("precison"), "{refused}");
    }

    #[test]
    fn aliases_that_explode_are_refused() {
        let mut text = String::from("setup:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let names = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("  a{level}: &a{level} [{names}]\n"));
        }
        assert!(refusal(&text).contains("configuration file"));
    }

    #[test]
    fn shares_of_owners_are_read() {
        let install = strict(
            "additional_user_yamls: [{percentage: 10, name: half, override: {comment: false}}]",
            &[],
        );
        let site = install.site().unwrap();
        assert_eq!(
            (
                site.some[0].percentage,
                site.some[0].yaml["comment"].clone()
            ),
            (10, json!(false))
        );
        let install = strict("additional_user_yamls: [{percentage: all}]", &[]);
        assert!(install.site().is_err());
    }
}
