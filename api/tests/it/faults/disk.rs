//! A disk that is full for a while.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Command;

use crate::fleet::send;
use crate::node::{Node, pause};

use super::{LASTS, UPLOADS, calm};

/// Room for the data of one server.
const DISK: &str = "size=64m";
/// How often it is full.
const TIMES: usize = 3;

/// A file system of its own, in memory; it is gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// Panics where mounting needs a right that this process lacks.
    fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "tmpfs"])
            .arg(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "mount: {said}");
        Disk(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        let mut size = 1 << 20;
        let zeros = vec![0; size];
        while size > 0 {
            match filler.write(&zeros[..size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
                Err(error) => panic!("fill the disk: {error}"),
            }
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test]
#[ignore = "needs the right to mount: script/test --faults"]
async fn every_acknowledged_upload_is_merged_once_though_the_disk_is_full_for_a_while() {
    let calm = calm(UPLOADS).await;
    let disk = Disk::new();
    let mut node = Node::start_in(disk.path()).await;
    let disturbed = send(&mut node, UPLOADS, async |_, mut done| {
        for nth in 1..=TIMES {
            let steps = nth * 2 * UPLOADS / (TIMES + 1);
            done.wait_for(|&done| done >= steps).await.unwrap();
            disk.fill();
            pause(LASTS).await;
            disk.empty();
        }
    })
    .await;
    disturbed.assert_is_that_of(&calm, "a full disk");
    drop(node);
}
