//! nginx before another server of a test.

use std::fs;
use std::process::Child;

use super::Certificate;
use super::server::{await_port, free_port, run_guarded};

/// An nginx that takes TLS connections and passes what they ask on to another server; it ends when dropped.
pub struct Nginx {
    /// Where it is.
    pub url: String,
    _process: Child,
}

impl Nginx {
    /// Starts one before the server at `to`, which speaks HTTP, and waits until it listens.
    pub fn before(to: &str, certificate: &Certificate) -> Nginx {
        let folder = tempfile::Builder::new()
            .prefix("hitline-nginx-")
            .tempdir()
            .expect("make a temporary folder")
            .keep();
        let (port, home) = (free_port(), folder.display());
        let (file, key) = (certificate.file(), certificate.key_file());
        let (file, key) = (file.display(), key.display());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {home}/{what};\n"))
            .concat();
        let settings = format!(
            "daemon off;\nmaster_process off;\npid {home}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {file};
                ssl_certificate_key {key};
                client_max_body_size 0;
                location / {{ proxy_pass {to}; proxy_set_header Host $http_host; proxy_http_version 1.1; }}
            }}\n}}\n"
        );
        let settings_file = folder.join("nginx.conf");
        fs::write(&settings_file, settings).expect("write the settings of nginx");
        let words = ["nginx".into(), "-c".into(), settings_file.into()];
        let process = run_guarded(&folder, &words);
        await_port(port, "nginx", &folder);
        Nginx {
            url: format!("https://127.0.0.1:{port}"),
            _process: process,
        }
    }
}
