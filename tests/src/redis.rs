//! Redis for tests: real servers on ports of their own, that can be killed,
//! stopped and restarted; and a proxy that can be cut, stalled and garbled.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::eventually;

/// How often another free port is tried: another test may be quicker to take one.
const PORT_TRIES: usize = 20;

/// A server in a process of its own; killed when dropped. It keeps nothing on disk.
pub struct Redis {
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    child: Mutex<Option<Child>>,
}

impl Redis {
    /// An empty server.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with more arguments.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::launch(|_| arguments.iter().map(|a| (*a).to_owned()).collect()).await
    }

    async fn launch(arguments: impl Fn(u16) -> Vec<String>) -> Self {
        for _ in 0..PORT_TRIES {
            let port = free_port();
            let redis = Self {
                port,
                arguments: arguments(port),
                folder: TempDir::new().unwrap(),
                child: Mutex::new(None),
            };
            if redis.spawn().await {
                return redis;
            }
        }
        panic!("no redis-server could be started; it is in the Debian package redis-server");
    }

    /// Whether it answers; otherwise its port was taken.
    async fn spawn(&self) -> bool {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server, of the Debian package of that name (`cargo xtask setup`)");
        *self.child.lock() = Some(child);
        let mut answers = false;
        eventually("redis-server answers", async || {
            let has_ended = |child: &mut Child| child.try_wait().unwrap().is_some();
            if self.child.lock().as_mut().is_none_or(has_ended) {
                return true;
            }
            let reply = self.try_ask(&["PING"]);
            answers = ["PONG", "NOAUTH"].iter().any(|word| reply.contains(word));
            answers
        })
        .await;
        answers
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its URL for a configuration.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// One command by redis-cli; its reply as text.
    pub fn ask(&self, command: &[&str]) -> String {
        self.try_ask(command)
    }

    fn try_ask(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli, of the Debian package redis-server");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text.trim_end().to_owned()
    }

    /// Kills it as a power cut would.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on its port, with nothing in it.
    pub async fn restart(&self) {
        self.kill();
        eventually("the port is free again", async || self.spawn().await).await;
    }

    /// Stops the process without ending it: connections stand, and nothing answers.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.lock().as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success(), "kill -s {name} {id}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three masters that share all slots.
pub struct RedisCluster {
    pub masters: Vec<Redis>,
}

impl RedisCluster {
    pub async fn start() -> Self {
        let mut masters = Vec::new();
        for _ in 0..3 {
            let arguments = |_| {
                let bus = free_port().to_string();
                let arguments = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ];
                arguments.map(str::to_owned).to_vec()
            };
            masters.push(Redis::launch(arguments).await);
        }
        let addresses = masters.iter().map(|master| master.address().to_string());
        let output = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        for master in &masters {
            eventually("the cluster is whole", async || {
                master
                    .ask(&["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
            })
            .await;
        }
        Self { masters }
    }
}

/// A master with a replica, and one Sentinel that decides alone.
pub struct RedisSentinel {
    pub master: Redis,
    pub replica: Redis,
    pub sentinel: Redis,
}

impl RedisSentinel {
    /// The master's name.
    pub const MASTER: &str = "regional";

    pub async fn start() -> Self {
        let master = Redis::start().await;
        let port = master.port.to_string();
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
        eventually("the replica follows", async || {
            replica
                .ask(&["INFO", "replication"])
                .contains("master_link_status:up")
        })
        .await;
        let name = Self::MASTER;
        let folder = TempDir::new().unwrap();
        let file: PathBuf = folder.path().join("sentinel.conf");
        std::fs::write(
            &file,
            format!(
                "sentinel monitor {name} 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds {name} 500\n\
                 sentinel failover-timeout {name} 3000\n"
            ),
        )
        .unwrap();
        let sentinel = Redis::launch_sentinel(&file, folder).await;
        eventually("the Sentinel knows the replica", async || {
            sentinel
                .ask(&["SENTINEL", "MASTER", name])
                .lines()
                .skip_while(|line| *line != "num-slaves")
                .nth(1)
                == Some("1")
        })
        .await;
        Self {
            master,
            replica,
            sentinel,
        }
    }
}

impl Redis {
    async fn launch_sentinel(file: &std::path::Path, folder: TempDir) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        for _ in 0..PORT_TRIES {
            let port = free_port();
            let copy = folder.path().join(format!("sentinel-{port}.conf"));
            std::fs::write(&copy, format!("port {port}\nbind 127.0.0.1\n{text}")).unwrap();
            let child = Command::new("redis-server")
                .arg(&copy)
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let redis = Self {
                port,
                arguments: Vec::new(),
                folder: TempDir::new_in(folder.path()).unwrap(),
                child: Mutex::new(Some(child)),
            };
            let mut answers = false;
            eventually("the Sentinel answers", async || {
                let has_ended = redis
                    .child
                    .lock()
                    .as_mut()
                    .is_none_or(|child| child.try_wait().unwrap().is_some());
                answers = redis.try_ask(&["PING"]).contains("PONG");
                answers || has_ended
            })
            .await;
            if answers {
                // Sentinels write their file; the test's folder goes with the test's end.
                let _ = folder.keep();
                return redis;
            }
        }
        panic!("no Sentinel could be started");
    }
}

fn free_port() -> u16 {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What a proxy does to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// Nothing.
    All,
    /// Connections are closed, and new ones at once.
    Cut,
    /// Connections stand, and nothing passes.
    Stalled,
    /// What comes back is noise.
    Garbled,
}

/// A proxy in front of a server.
pub struct Proxy {
    address: SocketAddr,
    passing: Arc<watch::Sender<Passing>>,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passing = Arc::new(watch::Sender::new(Passing::All));
        let told = Arc::clone(&passing);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *told.borrow() == Passing::Cut {
                    continue;
                }
                tokio::spawn(pass(client, target, told.subscribe()));
            }
        });
        Self { address, passing }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the server behind it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, passing: Passing) {
        self.passing.send_replace(passing);
    }
}

async fn pass(client: TcpStream, target: SocketAddr, mut passing: watch::Receiver<Passing>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = copy(from_client, to_server, passing.clone(), false);
    let back = copy(from_server, to_client, passing.clone(), true);
    let cut = passing.wait_for(|passing| *passing == Passing::Cut);
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = cut => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passing: watch::Receiver<Passing>,
    is_back: bool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let stands = passing.wait_for(|passing| *passing != Passing::Stalled);
        let Ok(now) = stands.await.map(|now| *now) else {
            return;
        };
        let piece = &mut buffer[..read];
        if is_back && now == Passing::Garbled {
            for (index, byte) in piece.iter_mut().enumerate() {
                *byte = (index as u8).wrapping_mul(37) ^ 0x5a;
            }
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}
