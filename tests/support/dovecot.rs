//! A private real Dovecot on loopback ports, with its mail in a directory of its own: nothing of the system's
//! Dovecot is used or touched. Works as root (mail belongs to the user `mail`) and without.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::client::{ImapClient, deliver_lmtp};
use super::{eventually, within};

mod config;

/// Every user's password; any name is a user.
pub const PASSWORD: &str = super::acuse::PASSWORD;

const INSTALL: &str = "apt-get install -y dovecot-imapd dovecot-lmtpd";

/// How a server differs from the plainest.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Folders live under `INBOX.` with separator `.`, as on cPanel.
    pub inbox_namespace: bool,
    /// Replaces what the server says it can do: without IDLE, without MOVE, …
    pub capabilities: Option<&'static str>,
    /// Access tokens are taken too, by asking this introspection endpoint.
    pub introspection: Option<String>,
    /// Lines to add to the configuration; mind that 2.3 and 2.4 differ.
    pub extra: String,
}

/// The server; dropping it kills it and deletes its mail.
pub struct Dovecot {
    directory: TempDir,
    program: PathBuf,
    ports: Ports,
    guard: Option<Child>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    imap: u16,
    imaps: u16,
    lmtp: u16,
}

impl Dovecot {
    /// Starts the plainest server: no namespace prefix, separator `/`, every capability.
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    pub fn start_with(options: &Options) -> Self {
        let program = program("dovecot");
        let directory = tempfile::Builder::new().prefix("acuse-dovecot-").tempdir().expect("a directory");
        let owner = Owner::of_the_mail();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        for name in ["mail", "run", "state"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        if owner.root {
            chown(directory.path().join("mail"), Some(owner.uid), Some(owner.gid)).expect("chown");
        }
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        fs::write(directory.path().join("cert.pem"), made.cert.pem()).expect("the certificate");
        fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).expect("the key");
        let mut server = Self { directory, program, ports: Ports::pick(), guard: None };
        // Another process may take a port between our look and Dovecot's bind: then others are tried.
        for _ in 0..5 {
            server.write_config(options, &owner);
            if server.spawn() {
                return server;
            }
            server.ports = Ports::pick();
        }
        panic!("Dovecot does not start; its log:\n{}", server.log());
    }

    /// IMAP without TLS.
    pub fn imap(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.imap))
    }

    /// IMAP with TLS from the first byte, by [`Self::certificate`].
    pub fn imaps(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.imaps))
    }

    pub fn lmtp(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.lmtp))
    }

    /// The server's own certificate, for `localhost` and `127.0.0.1`: a `ca_file` for clients.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// A client logged in as `user`.
    pub fn client(&self, user: &str) -> ImapClient {
        ImapClient::login(self.imap(), user, PASSWORD)
    }

    /// Delivers a mail as the host's mail transport does.
    pub fn deliver(&self, user: &str, raw: &[u8]) {
        deliver_lmtp(self.lmtp(), "sender@customer.example", user, raw);
    }

    /// Lays mails into the inbox of a user who has logged in before, as delivery agents do that know maildir(5):
    /// many at once, and without a word to the server.
    pub fn lay_into_inbox(&self, user: &str, mails: impl IntoIterator<Item = Vec<u8>>) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let maildir = self.directory.path().join("mail").join(user);
        let owner = fs::metadata(maildir.join("new")).expect("the maildir of a user");
        for raw in mails {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{number}.M{number:09}P{}.test", process::id());
            let fresh = maildir.join("tmp").join(&name);
            fs::write(&fresh, raw).expect("a mail");
            chown(&fresh, Some(owner.uid()), Some(owner.gid())).expect("chown");
            fs::rename(&fresh, maildir.join("new").join(&name)).expect("a delivery");
        }
    }

    /// Ends the server in an orderly way; the mail stays.
    pub fn stop(&mut self) {
        if let Some(master) = self.master() {
            let _ = kill_process(master, Signal::TERM);
            within(Duration::from_secs(5), || self.master().is_none().then_some(()));
        }
        self.kill9(); // what an orderly end has left over
    }

    /// Starts the server again on the same ports with the same mail.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.spawn(), "Dovecot does not start again; its log:\n{}", self.log());
    }

    /// Kills the server and all its processes: an unclean crash. [`Self::restart`] brings it back.
    pub fn kill9(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            let _ = kill_process_group(Pid::from_child(&guard), Signal::KILL);
            let _ = guard.wait();
            // The others of the group die in their own time, and the port is theirs until then.
            let refuses = || TcpStream::connect(self.imap()).is_err().then_some(());
            within(Duration::from_secs(5), refuses).expect("a killed Dovecot leaves its port");
        }
        let _ = fs::remove_file(self.directory.path().join("run/master.pid"));
    }

    /// Kills the processes that serve logged-in clients: every connection breaks, the server stays.
    pub fn drop_connections(&self) {
        self.signal_sessions(Signal::KILL);
    }

    /// Stops those processes: connections stay open and silent, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.signal_sessions(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal_sessions(Signal::CONT);
    }

    /// Gives a folder another UIDVALIDITY; the UIDs stay.
    pub fn new_uidvalidity(&self, user: &str, folder: &str) {
        let before = self.client(user).uidvalidity(folder);
        let value = (before + 1).to_string();
        self.doveadm(&["mailbox", "update", "-u", user, "--uid-validity", &value, folder]);
    }

    /// Runs `doveadm` on this server and returns what it prints.
    pub fn doveadm(&self, args: &[&str]) -> String {
        let output = Command::new(program("doveadm"))
            .arg("-c")
            .arg(self.config())
            .args(args)
            .output()
            .expect("doveadm runs");
        assert!(output.status.success(), "doveadm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("dovecot.log")).unwrap_or_default()
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("dovecot.conf")
    }

    /// The running master process.
    fn master(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.directory.path().join("run/master.pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        Path::new(&format!("/proc/{pid}")).exists().then(|| Pid::from_raw(pid))?
    }

    fn signal_sessions(&self, signal: Signal) {
        let Some(master) = self.master() else { return };
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // proc_pid_stat(5): `pid (name) state ppid …`
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let Some((head, tail)) = stat.rsplit_once(')') else { continue };
            let parent = tail.split_whitespace().nth(1).and_then(|word| word.parse().ok());
            if head.ends_with("(imap") && parent == Some(master.as_raw_nonzero().get()) {
                let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
            }
        }
    }

    /// Whether the server came up. A shell in front of it holds our end of a pipe: should the test's process
    /// die without a chance to clean up, the shell sees the pipe close and takes the whole group with it.
    fn spawn(&mut self) -> bool {
        let guard = Command::new("sh")
            .args(["-c", r#""$0" -F -c "$1" & read -r _; kill -KILL 0"#])
            .arg(&self.program)
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh runs");
        self.guard = Some(guard);
        let up = within(Duration::from_secs(5), || {
            let greets = |port| {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
                stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
                let mut line = String::new();
                BufReader::new(stream).read_line(&mut line).ok()?;
                Some(line)
            };
            let refused = self.log().contains("Fatal:");
            if refused {
                return Some(false);
            }
            self.master()?;
            Some(greets(self.ports.imap)?.starts_with("* OK") && greets(self.ports.lmtp)?.starts_with("220"))
        });
        if up == Some(true) {
            return true;
        }
        self.kill9();
        false
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Whose the mail is.
struct Owner {
    root: bool,
    user: String,
    group: String,
    uid: u32,
    gid: u32,
}

impl Owner {
    /// Dovecot refuses to serve mail as root: then it is the user `mail`, else whoever runs the tests.
    fn of_the_mail() -> Self {
        let me = rustix::process::getuid().as_raw();
        let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let users = || passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = if me == 0 {
            users().find(|fields| fields[0] == "mail")
        } else {
            users().find(|fields| fields[2] == me.to_string())
        };
        let fields = found.expect("the mail's owner in /etc/passwd");
        let (uid, gid) = (fields[2].parse().expect("a uid"), fields[3].parse().expect("a gid"));
        let groups = fs::read_to_string("/etc/group").expect("/etc/group");
        let mut groups = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let group = groups.find(|group| group[2] == fields[3]).expect("the owner's group in /etc/group");
        Self { root: me == 0, user: fields[0].to_owned(), group: group[0].to_owned(), uid, gid }
    }
}

impl Ports {
    /// Three ports that nobody listens on, below the range that outgoing connections draw from, so that a
    /// restart finds them free.
    fn pick() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = process::id().wrapping_mul(37) % 12_000; // test processes that run at once start apart
        let mut free = std::iter::repeat_with(|| {
            let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let port = 20_000 + (start + step) % 12_000;
            u16::try_from(port).expect("below 32 000")
        })
        .filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
        let mut next = || free.next().expect("the iterator has no end");
        Self { imap: next(), imaps: next(), lmtp: next() }
    }
}

/// `/usr/sbin` is often not in the PATH of those who run tests.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let mut found = places.map(|place| place.join(name)).filter(|file| file.is_file());
    found.next().unwrap_or_else(|| panic!("no {name} on this machine; install it with: {INSTALL}"))
}

/// Waits until a folder of a real server holds this many mails.
pub fn wait_for_mails(server: &Dovecot, user: &str, folder: &str, mails: usize) {
    let mut client = server.client(user);
    eventually(&format!("{mails} mails in {folder}"), || (client.list(folder).len() == mails).then_some(()));
}
