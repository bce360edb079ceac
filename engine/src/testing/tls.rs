//! A certificate for servers of tests, made by `openssl`.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// The subject, and what it is used for: no authority, as clients refuse one as a server.
const OPTIONS: &str = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hitline-test \
    -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";

/// A certificate of the address 127.0.0.1, which vouches for itself; its files are gone when dropped.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes one. Panics with what `openssl` says if it cannot.
    pub fn make() -> Certificate {
        let folder = tempfile::tempdir().expect("make a temporary folder");
        let certificate = Certificate { folder };
        let made = Command::new("openssl")
            .args(OPTIONS.split_whitespace())
            .arg("-out")
            .arg(certificate.file())
            .arg("-keyout")
            .arg(certificate.key_file())
            .output()
            .expect("run openssl");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "openssl: {said}");
        certificate
    }

    /// The certificate, in PEM.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Its key, in PEM.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
