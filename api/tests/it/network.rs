//! A network that can be cut off: a namespace of its own, and a pair of virtual devices to it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// A network; it is gone when dropped.
pub(crate) struct Network {
    name: String,
    /// Our end, and theirs, without the last number.
    addresses: String,
}

impl Network {
    /// Makes one. Panics where that needs a right that this process lacks.
    pub(crate) fn new() -> Network {
        let number = NETWORKS.fetch_add(1, Ordering::SeqCst);
        let pid = std::process::id();
        let network = Network {
            name: format!("hl{}n{number}", pid % 100_000),
            addresses: format!("10.{}.{}", 64 + pid % 64, (pid / 64 + number) % 256),
        };
        let Network { name, addresses } = &network;
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add {name} type veth peer name inside netns {name}"
        ));
        ip(&format!("addr add {addresses}.1/24 dev {name}"));
        ip(&format!("link set {name} up"));
        ip(&format!("-n {name} addr add {addresses}.2/24 dev inside"));
        ip(&format!("-n {name} link set inside up"));
        ip(&format!("-n {name} link set lo up"));
        network
    }

    /// Our address in it.
    pub(crate) fn host(&self) -> String {
        format!("{}.1", self.addresses)
    }

    /// An address in it that nobody listens on.
    pub(crate) fn free_address(&self) -> String {
        format!("{}.2:8080", self.addresses)
    }

    /// What runs a program in it.
    pub(crate) fn prefix(&self) -> Vec<String> {
        let words = ["ip", "netns", "exec", &self.name];
        words.map(str::to_owned).to_vec()
    }

    /// Cuts it off: what is sent is lost, and nobody is told.
    pub(crate) fn cut(&self) {
        ip(&format!("-n {} link set inside down", self.name));
    }

    /// Joins it again.
    pub(crate) fn heal(&self) {
        ip(&format!("-n {} link set inside up", self.name));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).output();
    let done = done.unwrap_or_else(|error| panic!("ip: {error}, run script/bootstrap"));
    assert!(
        done.status.success(),
        "ip {words}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
