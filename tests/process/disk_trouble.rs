//! A disk of its own for a node, as small and as read-only as a disk can get. Who may not
//! mount one does so in a user namespace; where that is forbidden, too, the test fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use verge_tests::Origin;
use verge_tests::client::Client;
use verge_tests::origin::respond;

use crate::kit::{Place, Process, on_free_ports};

/// A file system in memory, gone with the value.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` without the right to mount.
    fn of(path: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Self(path);
        let arguments = ["-t", "tmpfs", "-o", options, "none"];
        mount(&arguments, &mounted.0).then_some(mounted)
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(mount(&["-o", &options], &self.0), "{options}");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(arguments).arg(path).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The test.
const TEST: &str = "disk_trouble::disk_without_room_and_then_without_rights_fails_no_request";

/// Set where the test runs in a namespace of its own.
const IN_NAMESPACE: &str = "VERGE_TEST_IN_NAMESPACE";

/// Runs the test once more, as a process that may mount what it alone sees.
fn again_in_a_namespace() {
    let is_again = std::env::var_os(IN_NAMESPACE).is_some();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(IN_NAMESPACE, "1");
    assert!(
        !is_again && command.status().is_ok_and(|status| status.success()),
        "this test mounts a file system: run it as root, or where user namespaces are allowed"
    );
}

const BODY: usize = 50_000;

async fn origin() -> Origin {
    Origin::start(async |request| {
        let name = request.path().to_owned();
        let fields = [("cache-control", "max-age=3600")];
        respond(200, &fields, name.repeat(BODY / name.len()))
    })
    .await
}

fn config(place: &Place, disk: &Path, origin: &Origin) -> PathBuf {
    let text = on_free_ports(&format!(
        "[cache]\nmemory = \"1MiB\"\n[cache.disk]\npath = \"{}\"\nsize = \"64MiB\"\n{}",
        disk.display(),
        verge_tests::node::route_to(origin)
    ));
    let log = "access = \"off\"\nfilter = \"info\"";
    let text = text.replace("access = \"access.log\"", log);
    place.write("verge.toml", &text)
}

/// Asks for `count` names, all of which are answered rightly.
async fn all_right(process: &Process, count: usize) {
    let mut client = Client::http1(process.address("http")).await;
    for number in 0..count {
        let path = format!("/{number:04}");
        let reply = client.get(&path).await;
        assert_eq!(reply.status.as_u16(), 200);
        assert!(reply.text() == path.repeat(BODY / path.len()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_without_room_and_then_without_rights_fails_no_request() {
    let place = Place::new();
    let disk = place.path("small");
    let Some(mounted) = Mounted::of(disk.clone(), "size=2m") else {
        return again_in_a_namespace();
    };
    let origin = origin().await;
    let path = config(&place, &disk, &origin);
    // The disk is smaller than its configured size says.
    let process = Process::serve(&path);
    all_right(&process, 100).await;
    process.wait_for("the disk cache is off");
    assert!(process.log().contains("off-full"), "{}", process.log());
    all_right(&process, 100).await;
    process.signal("KILL");
    let (_, log) = process.end();
    assert!(!log.contains("panicked"), "{log}");
    // What was written in part by then is nothing, and the node starts on it.
    let process = Process::serve(&path);
    all_right(&process, 100).await;
    process.signal("KILL");
    process.end();
    mounted.remount("ro");
    let process = Process::serve(&path);
    process.wait_for("the disk cache is off");
    assert!(process.log().contains("off-read-only"), "{}", process.log());
    all_right(&process, 100).await;
    // It is used again once it can be.
    mounted.remount("rw,size=200m");
    process.wait_for("the disk cache is on");
    all_right(&process, 100).await;
}
