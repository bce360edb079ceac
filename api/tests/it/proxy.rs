//! A way to a server that can be disturbed.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What becomes of connections. A change ends those that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// They go through.
    Open,
    /// They are ended at once, as by a server that is down.
    Down,
    /// They are taken, and nothing is answered.
    Silent,
    /// They end after so many bytes of answers.
    Cut(usize),
}

/// A proxy in front of a server; it ends when dropped.
pub(crate) struct Proxy {
    /// Where it listens, as `127.0.0.1:port`.
    pub(crate) address: String,
    target: watch::Sender<String>,
    way: watch::Sender<Way>,
    task: AbortHandle,
}

impl Proxy {
    /// Starts one in front of `host:port`.
    pub(crate) async fn to(target: &str) -> Proxy {
        Proxy::at("127.0.0.1", target).await
    }

    /// The same at another address of this machine.
    pub(crate) async fn at(host: &str, target: &str) -> Proxy {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (way, seen) = watch::channel(Way::Open);
        let (target, seen_target) = watch::channel(target.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = seen_target.borrow().clone();
                tokio::spawn(carry(client, target, seen.clone()));
            }
        });
        Proxy {
            address,
            target,
            way,
            task: task.abort_handle(),
        }
    }

    /// Leads to another server from now on.
    pub(crate) fn lead_to(&self, target: &str) {
        self.target.send_replace(target.to_owned());
        self.set(Way::Open);
    }

    /// Disturbs connections, or lets them go through again.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, target: String, mut way: watch::Receiver<Way>) {
    let now = *way.borrow_and_update();
    let changed = way.changed();
    if now == Way::Down {
        return;
    }
    if now == Way::Silent {
        let _ = changed.await;
        return;
    }
    let Ok(mut server) = TcpStream::connect(&target).await else {
        return;
    };
    let carried = async {
        match now {
            Way::Cut(bytes) => cut(&mut client, &mut server, bytes).await,
            _ => copy_bidirectional(&mut client, &mut server).await.map(drop),
        }
    };
    // Either end may go away, and so may the proxy.
    tokio::select! {
        _ = carried => {}
        _ = changed => {}
    }
}

/// Carries requests whole, and so many bytes of answers.
async fn cut(client: &mut TcpStream, server: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answers = async {
        let (mut left, mut piece) = (bytes, [0; 4096]);
        while left > 0 {
            let read = from_server.read(&mut piece).await?;
            let kept = read.min(left);
            if kept == 0 {
                break;
            }
            to_client.write_all(&piece[..kept]).await?;
            left -= kept;
        }
        Ok(())
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => Ok(()),
        done = answers => done,
    }
}
