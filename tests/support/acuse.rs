//! The program under test: a site of its own (acuse.toml, passwords, state directory) and `acuse` running on it.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ::acuse::store;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use super::canary::{Canary, files_below};
use super::{PATIENCE, eventually, within};

/// What the site's one mailbox and SMTP user log in with. No word of any mail: a site that ends is searched for it (I16).
pub const USER: &str = "soporte";
pub const PASSWORD: &str = "kanarienvogel";
/// The support address.
pub const ADDRESS: &str = "soporte@mihost.example";

/// A site before it is written down.
pub struct SiteBuilder {
    config: Table,
    program: Vec<PathBuf>,
    within: PathBuf,
}

/// A site: its files, and the daemon while it runs. Dropping it kills the daemon and deletes the files.
pub struct Site {
    directory: TempDir,
    program: Vec<PathBuf>,
    daemon: Option<Child>,
    /// What the daemon alone finds in its environment, beside the rest.
    environment: Vec<(String, OsString)>,
    /// Where the daemon says that it is ready, until it has.
    notify: Option<UnixDatagram>,
    lives: usize,
    log: Arc<Mutex<String>>,
}

impl Site {
    /// A site with one mailbox on a plain IMAP server and a plain SMTP server, both on loopback.
    pub fn builder(imap: SocketAddr, smtp: SocketAddr) -> SiteBuilder {
        let config = format!(
            r#"
            [support]
            name = "MiHost"
            addresses = ["{ADDRESS}"]
            phone = "+57 601 555 0100"
            [[mailbox]]
            name = "soporte"
            host = "{imap_host}"
            port = {imap_port}
            tls = "none"
            user = "{USER}"
            password_file = "imap.password"
            [smtp]
            host = "{smtp_host}"
            port = {smtp_port}
            tls = "none"
            from = "Soporte MiHost <{ADDRESS}>"
            [limits]
            min_free_mib = 1 # a test needs no more, and the disk of who runs it may be small
            "#,
            imap_host = imap.ip(),
            imap_port = imap.port(),
            smtp_host = smtp.ip(),
            smtp_port = smtp.port(),
        );
        // Cargo tells it to integration tests alone; an example brings a program of its own.
        let program = option_env!("CARGO_BIN_EXE_acuse").map(PathBuf::from).into_iter().collect();
        SiteBuilder {
            config: config.parse().expect("the site's own TOML"),
            program,
            within: std::env::temp_dir(),
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("acuse.toml")
    }

    /// Lays a file of one line beside acuse.toml, such as a password.
    pub fn give(&self, name: &str, line: &str) {
        fs::write(self.directory.path().join(name), format!("{line}\n")).expect("a file beside acuse.toml");
    }

    // ── the command line ──────────────────────────────────────────────────────────────────────────────

    /// Runs `acuse --config … args` to its end.
    pub fn acuse(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("acuse runs")
    }

    /// The same, which must succeed; what it printed.
    pub fn text(&self, args: &[&str]) -> String {
        let output = self.acuse(args);
        assert!(
            output.status.success(),
            "acuse {}: {}\n{}",
            args.join(" "),
            output.status,
            lossy(&output.stderr)
        );
        lossy(&output.stdout)
    }

    /// The same with `--json`: what it printed, read.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("acuse {args:?}: {error} in {text}"))
    }

    /// A command that is not run yet: for standard input, or to be killed.
    pub fn command(&self, args: &[&str]) -> Command {
        let (program, front) =
            self.program.split_first().expect("built by cargo test, or `program` was called");
        let mut command = Command::new(program);
        command
            .args(front)
            .arg("--config")
            .arg(self.config_file())
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TZ", "Asia/Kathmandu"); // the host's zone must not count (I10)
        command
    }

    // ── the daemon ────────────────────────────────────────────────────────────────────────────────────

    /// Sets a variable in the environment of the daemon's next lives; `acuse` commands do not see it.
    pub fn set_env(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Starts `acuse run` and waits until it says that it is ready; panics with its log when it does not.
    pub fn run(&mut self) {
        self.run_with(&[]);
    }

    /// The same with more arguments, such as `--shadow`.
    pub fn run_with(&mut self, args: &[&str]) {
        self.start_with(args);
        assert!(self.becomes_ready(), "acuse run is not ready; its log:\n{}", self.log());
    }

    /// Starts `acuse run` and waits for nothing.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    fn start_with(&mut self, args: &[&str]) {
        assert!(!self.is_running(), "one daemon per site");
        self.unlink_notify();
        self.lives += 1;
        let path = self.notify_path();
        let socket = UnixDatagram::bind(&path).expect("a socket for sd_notify(3)");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a read time-out");
        self.notify = Some(socket);
        // whatever it says at `trace` is looked through at the end
        let level: &[&str] = if args.contains(&"--log") { &[] } else { &["--log", "trace"] };
        self.spawn(&[&["run"], level, args].concat(), &path);
    }

    /// Waits until the daemon that was started says that it is ready; whether it did before it ended.
    pub fn becomes_ready(&mut self) -> bool {
        let socket = self.notify.take().expect("a daemon that was started and not waited for");
        let mut buffer = [0; 4096];
        let ready = within(PATIENCE, || {
            if !self.is_running() {
                return Some(false);
            }
            let size = socket.recv(&mut buffer).ok()?;
            lossy(&buffer[..size]).lines().any(|line| line == "READY=1").then_some(true)
        });
        let path = self.notify_path();
        thread::spawn(move || {
            while path.exists() {
                let _ = socket.recv(&mut [0; 4096]); // a full socket would block the daemon
            }
        });
        ready == Some(true)
    }

    /// Each life has a socket of its own, so that who still reads the last one's sees that it is gone.
    fn notify_path(&self) -> PathBuf {
        self.directory.path().join(format!("notify-{}", self.lives))
    }

    fn unlink_notify(&mut self) {
        self.notify = None;
        let _ = fs::remove_file(self.notify_path());
    }

    fn spawn(&mut self, args: &[&str], notify: &Path) {
        let mut child = self
            .command(args)
            .env("NOTIFY_SOCKET", notify)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("acuse runs");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let log = self.log.clone();
        thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let mut log = log.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                log.push_str(&String::from_utf8_lossy(&line));
                log.push('\n');
            }
        });
        self.daemon = Some(child);
    }

    pub fn is_running(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none()))
    }

    /// SIGTERM; how the daemon ended, within [`PATIENCE`].
    pub fn stop(&mut self) -> ExitStatus {
        let child = self.daemon.as_ref().expect("a running daemon");
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
        self.wait_for_end()
    }

    /// How the daemon ends by itself, within [`PATIENCE`].
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.daemon.take().expect("a running daemon");
        let ended = within(PATIENCE, || child.try_wait().expect("a child"));
        self.unlink_notify();
        ended.unwrap_or_else(|| {
            let _ = child.kill();
            panic!("acuse run does not end; its log:\n{}", self.log())
        })
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.unlink_notify();
    }

    /// SIGHUP, or any other.
    pub fn signal(&self, signal: Signal) {
        let child = self.daemon.as_ref().expect("a running daemon");
        let _ = kill_process(Pid::from_child(child), signal);
    }

    /// The running daemon's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a running daemon").id()
    }

    /// Everything every daemon of this site has written to stderr.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Asserts that neither its log nor any file but their own shows the password or the thread key (I16).
    fn assert_no_secret_left(&self) {
        let own = [::acuse::config::THREAD_KEY, "imap.password"]; // wherever the state directory was moved to
        let mut canaries = Canary::keys_in(&self.state_dir().join(own[0]));
        canaries.push(Canary::new("the password", PASSWORD.as_bytes()));
        let is_own = |file: &PathBuf| own.iter().any(|name| file.ends_with(name));
        let files = files_below(self.directory()).into_iter().filter(|file| !is_own(file));
        let read = files.map(|file| (file.display().to_string(), fs::read(&file).unwrap_or_default()));
        for (place, bytes) in read.chain([("its log".to_owned(), self.log().into_bytes())]) {
            canaries.iter().for_each(|canary| canary.assert_absent(&place, &bytes));
        }
    }

    // ── what tests ask most ───────────────────────────────────────────────────────────────────────────

    /// `acuse tickets list --json`.
    pub fn tickets(&self) -> Vec<Value> {
        list(self.json(&["tickets", "list"]))
    }

    /// `acuse outbox list --json`.
    pub fn outbox(&self) -> Vec<Value> {
        list(self.json(&["outbox", "list"]))
    }

    /// Waits until there are this many tickets.
    pub fn wait_for_tickets(&self, tickets: usize) -> Vec<Value> {
        eventually(&format!("{tickets} tickets; log:\n{}", self.log()), || {
            Some(self.tickets()).filter(|found| found.len() >= tickets)
        })
    }

    /// Waits until nothing is left to send. It reads the database: `outbox list` compiles the policy each time.
    pub fn wait_until_sent(&self) {
        let store = store::open(&self.state_dir()).expect("the database");
        eventually("an outbox with nothing due", || {
            let rows = store.read(|tx| tx.outbox(None)).expect("the outbox");
            (!rows
                .iter()
                .any(|row| matches!(row.state, store::OutboxState::Due | store::OutboxState::Sending)))
            .then_some(())
        });
    }

    /// Asserts conservation (I1): every UID ever listed has exactly one outcome; returns the counts.
    pub fn assert_conserved(&self) -> Value {
        let check = self.json(&["db", "check"]);
        assert_eq!(check["ok"], true, "{check:#}");
        assert_eq!(check["pending"], 0, "{check:#}");
        check
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill9();
        if self.lives > 0 && !thread::panicking() {
            self.assert_no_secret_left();
        }
    }
}

impl SiteBuilder {
    /// Sets a key of acuse.toml by its path: `set("ack.max_age", "6h")`, `set("mailbox.0.after", "keep")`.
    pub fn set(mut self, path: &str, value: impl Into<toml::Value>) -> Self {
        let (table, key) = self.place(path);
        table.insert(key.to_owned(), value.into());
        self
    }

    /// The table that a path leads to, and the key in it.
    fn place<'a>(&mut self, path: &'a str) -> (&mut Table, &'a str) {
        let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = &mut self.config;
        let mut steps = tables.split('.').filter(|step| !step.is_empty()).peekable();
        while let Some(step) = steps.next() {
            let inner = table.entry(step).or_insert_with(|| toml::Value::Table(Table::new()));
            let inner = match steps.peek().and_then(|step| step.parse::<usize>().ok()) {
                Some(index) => {
                    steps.next();
                    &mut inner.as_array_mut().expect("an array of tables")[index]
                }
                None => inner,
            };
            table = inner.as_table_mut().expect("a table");
        }
        (table, key)
    }

    /// Leaves a key of acuse.toml out, by its path.
    pub fn without(mut self, path: &str) -> Self {
        let (table, key) = self.place(path);
        table.remove(key).expect("a key that is there");
        self
    }

    /// Adds a mailbox like the first, with this name and user.
    pub fn and_mailbox(mut self, name: &str, user: &str) -> Self {
        let mailboxes = self.config["mailbox"].as_array_mut().expect("mailboxes");
        let mut other = mailboxes[0].clone();
        for (key, value) in [("name", name), ("user", user)] {
            other.as_table_mut().expect("a table").insert(key.to_owned(), value.into());
        }
        mailboxes.push(other);
        self
    }

    /// Uses this program, with these arguments in front, in place of the one cargo built.
    pub fn program(mut self, program: impl Into<PathBuf>, front: &[&str]) -> Self {
        self.program = vec![program.into()];
        self.program.extend(front.iter().map(PathBuf::from));
        self
    }

    /// Puts the site into this directory in place of the system's for temporary files.
    pub fn within(mut self, directory: impl Into<PathBuf>) -> Self {
        self.within = directory.into();
        self
    }

    /// Writes the files and runs `acuse init`.
    pub fn init(self) -> Site {
        let site = self.write();
        site.text(&["init"]);
        site
    }

    /// Writes the files; `acuse init` is the test's own.
    pub fn write(mut self) -> Site {
        let directory =
            tempfile::Builder::new().prefix("acuse-site-").tempdir_in(&self.within).expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for (key, name) in [("state_dir", "state"), ("local_dir", "rules")] {
            let path = at(name).display().to_string();
            self.config.entry(key).or_insert(path.into());
        }
        fs::create_dir(at("rules")).expect("a directory");
        fs::write(at("imap.password"), PASSWORD).expect("the password's file");
        fs::write(at("acuse.toml"), self.config.to_string()).expect("acuse.toml");
        Site {
            directory,
            program: self.program,
            daemon: None,
            environment: Vec::new(),
            notify: None,
            lives: 0,
            log: Arc::default(),
        }
    }
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("not a list: {other}"),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
