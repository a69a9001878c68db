//! Opens the database, or says exactly why not (I14): `run` never creates one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::Access;

use super::{Store, StoreError};
use crate::triage::Reason;

/// The database's file name in the state directory.
pub const DATABASE: &str = "acuse.db";

/// "ACUS": tells our database from anybody else's.
pub(super) const APPLICATION_ID: i32 = 0x4143_5553;

/// Forward only; until 0.1.0 the first may still be edited.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_tables.sql"),
    include_str!("migrations/0002_counted.sql"),
    include_str!("migrations/0003_letters.sql"),
    include_str!("migrations/0004_unanswered.sql"),
];

/// The first SQLite without the WAL-reset bug, which loses committed pages.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Why a database cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No file.
    #[error("there is no database at {0}")]
    Missing(String),
    /// A file is there already.
    #[error("there is a database at {0} already; nothing was changed")]
    Exists(String),
    /// A file of no bytes: what a full disk or a careless restore leaves.
    #[error("the database {0} is empty: 0 bytes")]
    Empty(String),
    /// SQLite, but not ours; or not SQLite at all.
    #[error("{path} is not a database of acuse: {why}")]
    Foreign {
        /// The file.
        path: String,
        /// What it is instead.
        why: String,
    },
    /// Written by a newer acuse.
    #[error("the database {path} has schema {found}, this acuse knows up to {known}")]
    Newer {
        /// The file.
        path: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Nobody may look at it, or its disk fails, or has no room for the files beside it.
    #[error("the database {path} cannot be opened: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's own words.
        why: std::io::Error,
    },
    /// It may be read and not written.
    #[error("the database {0} is read-only")]
    ReadOnly(String),
    /// Its pages contradict one another.
    #[error("the database {path} is corrupt: {why}")]
    Corrupt {
        /// The file.
        path: String,
        /// SQLite's own words.
        why: String,
    },
    /// A copy was put beside the WAL of the database that it replaces.
    #[error("{wal} belongs to another database than {path}")]
    ForeignWal {
        /// The file.
        path: String,
        /// What lies beside it.
        wal: String,
    },
    /// This build's SQLite is too old.
    #[error("SQLite {0} has a bug that loses committed data; 3.51.3 is the oldest that may be used")]
    OldSqlite(String),
    /// Anything else.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => {
                "`acuse init` creates it; if there was one, look whether its disk is mounted, or restore the backup first"
            }
            Self::Exists(_) => "to start anew, move the old state directory away first",
            Self::Empty(_) => "restore it from the backup, or remove the file and run `acuse init`",
            Self::Foreign { .. } => "check state_dir in acuse.toml",
            Self::Newer { .. } => "install the acuse that wrote it, or a newer one",
            Self::Unreadable { .. } => {
                "check the owner of state_dir, and whether its disk is in order and has room"
            }
            Self::ReadOnly(_) => {
                "check the owner of state_dir, and whether its file system is mounted read-only"
            }
            Self::Corrupt { .. } => {
                "restore the last backup: what was moved since is found again on the server"
            }
            Self::ForeignWal { .. } => {
                "it was left when a backup was put back: remove it, and the -shm file; SQLite would write it over the backup"
            }
            Self::OldSqlite(_) => "build acuse with the bundled SQLite",
            Self::Store(_) => "see the message; nothing was changed",
        }
    }
}

impl OpenError {
    /// Whether trying again later may help: the disk failed, or was full.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreadable { why, .. } => {
                !matches!(why.kind(), ErrorKind::PermissionDenied | ErrorKind::NotADirectory)
            }
            Self::Store(error) => error.is_temporary(),
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Creates an empty database in `dir`; fails if there is one, or a link to where one should be.
pub fn create(dir: &Path) -> Result<Store, OpenError> {
    let path = dir.join(DATABASE);
    if path.symlink_metadata().is_ok() {
        return Err(OpenError::Exists(path.display().to_string()));
    }
    // customers' mail: nobody else's to read, and SQLite gives what lies beside it the same mode
    let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
    made.map_err(|why| OpenError::Unreadable { path: path.display().to_string(), why })?;
    let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?; // before the first table
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrate(&mut connection)?;
    Ok(Store { connection })
}

/// Opens the database in `dir` for reading and writing, checked and migrated.
pub fn open(dir: &Path) -> Result<Store, OpenError> {
    let path = dir.join(DATABASE);
    let name = path.display().to_string();
    let store = open_file(&path)?;
    // A copy is in rollback mode, in which a reader would stop the writer.
    let mode: String = store
        .connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| damage(&path, error.into()))?;
    if mode == "wal" {
        return Ok(store);
    }
    Err(OpenError::Foreign { path: name, why: format!("its journal mode stays `{mode}`") })
}

/// Opens a database, checked and migrated, in whatever journal mode it is.
pub(super) fn open_file(path: &Path) -> Result<Store, OpenError> {
    let name = path.display().to_string();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(why) if why.kind() == ErrorKind::NotFound => return Err(OpenError::Missing(name)),
        Err(why) => return Err(OpenError::Unreadable { path: name, why }),
    };
    if !metadata.is_file() {
        let why = if metadata.is_dir() { "it is a directory" } else { "it is no file" };
        return Err(OpenError::Foreign { path: name, why: why.to_owned() });
    }
    if metadata.len() == 0 {
        return Err(OpenError::Empty(name)); // SQLite would call it a healthy, new database
    }
    refuse_foreign_wal(path)?;
    let mut connection =
        connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| damage(path, error))?;
    if connection.is_readonly("main")? {
        return Err(unwritable(path).unwrap_or(OpenError::ReadOnly(name)));
    }
    let pragma = |connection: &Connection, what: &str| {
        connection
            .pragma_query_value(None, what, |row| row.get::<_, i64>(0))
            .map_err(|error| damage(path, error.into()))
    };
    let application = pragma(&connection, "application_id")?;
    if application != i64::from(APPLICATION_ID) {
        let why = format!("its application id is {application:#x}");
        return Err(OpenError::Foreign { path: name, why });
    }
    let (found, known) = (pragma(&connection, "user_version")?, MIGRATIONS.len() as i64);
    if found > known {
        return Err(OpenError::Newer { path: name, found, known });
    }
    migrate(&mut connection).map_err(|error| damage(path, error))?;
    Ok(Store { connection })
}

/// Reads every page of the database in `dir` and looks whether they agree: what a daemon does before it starts. The
/// full-text index is derived, and so no reason to stand still: `acuse db check` tells of it.
///
/// It uses a connection of its own: FTS5 keeps what it saw in a check, and takes it for corruption in a later one
/// on the same connection when somebody else wrote in between.
pub fn verify(dir: &Path) -> Result<(), OpenError> {
    verify_file(&dir.join(DATABASE))
}

/// The same for any database.
pub(super) fn verify_file(path: &Path) -> Result<(), OpenError> {
    let name = path.display().to_string();
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| damage(path, error))?;
    let verdicts = || -> rusqlite::Result<Vec<String>> {
        connection.prepare("PRAGMA quick_check(10)")?.query_map([], |row| row.get(0))?.collect()
    };
    let verdicts = verdicts().map_err(|error| damage(path, error.into()))?;
    let is_fine = |verdict: &String| verdict == "ok" || verdict.contains("message_text");
    if let Some(why) = verdicts.into_iter().find(|verdict| !is_fine(verdict)) {
        return Err(OpenError::Corrupt { path: name, why });
    }
    let made = Connection::open_in_memory()?;
    MIGRATIONS.iter().try_for_each(|sql| made.execute_batch(sql))?;
    let found = columns(&connection).map_err(|error| damage(path, error.into()))?;
    match columns(&made)?.difference(&found).next() {
        None => Ok(()),
        Some((column, _)) => {
            Err(OpenError::Corrupt { path: name, why: format!("the column {column} is not as it was made") })
        }
    }
}

/// The tables' columns, and how each is declared; those of the full-text index apart, without which tickets go on. A
/// damaged schema reads as another one.
fn columns(connection: &Connection) -> rusqlite::Result<BTreeSet<(String, String)>> {
    let mut rows = connection.prepare(
        "SELECT made.name || '.' || held.name, held.type || ' ' || held.\"notnull\" || ' ' || held.pk
         FROM sqlite_schema AS made JOIN pragma_table_info(made.name) AS held WHERE made.type = 'table' AND made.name NOT GLOB 'message_text*'",
    )?;
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// A backup is in rollback mode, and whatever lies beside it as a WAL is not its own: SQLite would write it over the
/// backup all the same.
fn refuse_foreign_wal(path: &Path) -> Result<(), OpenError> {
    /// The file format's read version (https://sqlite.org/fileformat.html §1.3.3): 1 is rollback mode, 2 is WAL.
    const READ_VERSION: u64 = 19;
    let wal = beside(path, "-wal");
    if wal.metadata().map_or(0, |metadata| metadata.len()) == 0 {
        return Ok(());
    }
    match header(path, READ_VERSION) {
        Ok([1]) => {
            Err(OpenError::ForeignWal { path: path.display().to_string(), wal: wal.display().to_string() })
        }
        Ok(_) => Ok(()),
        Err(why) => Err(OpenError::Unreadable { path: path.display().to_string(), why }),
    }
}

/// Bytes of a database's header, which may be in use; zeros beyond its end.
pub(super) fn header<const N: usize>(path: &Path, offset: u64) -> std::io::Result<[u8; N]> {
    let file = File::open(path)?;
    let mut bytes = [0; N];
    let read = file.read_at(&mut bytes, offset);
    // Closing it would drop every lock that SQLite holds on it in this process (POSIX; https://sqlite.org/howtocorrupt.html §2.2).
    std::mem::forget(file);
    read.map(|_| bytes)
}

/// A file's path with something at its end, such as the `-wal` of a database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A connection set up as every one of ours.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite(rusqlite::version().to_owned()));
    }
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?; // busy means wait, never an outcome
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?; // else each new value bound plans anew
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY; -- what a savepoint rolls back to need not be written down
         PRAGMA cache_size = -8192; -- KiB: a batch of mails, and the indexes that it touches
         PRAGMA wal_autocheckpoint = 4000; -- pages: one that many batches change is brought home once",
    )?;
    Ok(connection)
}

/// Brings the schema up to date, and the table of reasons with it.
fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == MIGRATIONS.len() as i64 {
        let reasons: i64 = connection.query_row("SELECT count(*) FROM reason", [], |row| row.get(0))?;
        if reasons >= Reason::ALL.len() as i64 {
            return Ok(()); // the usual case, and no reason to wait for a writer
        }
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (number, sql) in MIGRATIONS.iter().enumerate().skip(usize::try_from(done).unwrap_or(0)) {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", number as i64 + 1)?;
    }
    for reason in Reason::ALL {
        transaction
            .execute("INSERT INTO reason (code) VALUES (?1) ON CONFLICT DO NOTHING", [reason.as_str()])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Tells a damaged file from a foreign one and from everything else.
fn damage(path: &Path, error: OpenError) -> OpenError {
    use rusqlite::ErrorCode as Code;
    let name = path.display().to_string();
    let OpenError::Store(StoreError::Sqlite(inner)) = &error else { return error };
    let why = inner.to_string();
    match inner.sqlite_error_code() {
        Some(Code::NotADatabase) => OpenError::Foreign { path: name, why },
        Some(Code::DatabaseCorrupt) => OpenError::Corrupt { path: name, why },
        Some(Code::ReadOnly | Code::PermissionDenied) => OpenError::ReadOnly(name),
        // When the system finds nothing wrong with the files, it did a moment ago: this is temporary.
        Some(Code::CannotOpen) => unwritable(path).unwrap_or(error),
        _ => error,
    }
}

/// Why SQLite could not open the database for writing: it does not tell a file that is forbidden from a disk that fails,
/// or has no room for a WAL. The system does, when it is asked for the same; it is asked to create nothing (I14).
fn unwritable(path: &Path) -> Option<OpenError> {
    let name = path.display().to_string();
    let why = try_to_write(path).err()?;
    Some(match why.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(name),
        _ => OpenError::Unreadable { path: name, why },
    })
}

/// Opens a database for writing and its WAL, or looks whether one could be made.
fn try_to_write(path: &Path) -> std::io::Result<()> {
    let open = |path: &Path| File::options().write(true).open(path);
    std::mem::forget(open(path)?); // closing it would drop SQLite's locks, as above
    let wal = beside(path, "-wal");
    match open(&wal) {
        Err(why) if why.kind() == ErrorKind::NotFound => {}
        wal => return wal.map(drop), // it has no locks: those are on the database and the -shm file
    }
    let directory = wal.parent().unwrap_or(Path::new("/"));
    rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)?;
    let room = rustix::fs::statvfs(directory)?;
    if room.f_bavail == 0 || room.f_files > 0 && room.f_favail == 0 {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn asking_whether_a_database_can_be_written_creates_and_unlocks_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(DATABASE);
        assert!(matches!(unwritable(&path), Some(OpenError::Unreadable { .. })), "there is none");
        let store = create(directory.path()).unwrap();
        store.connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
        store.connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
        assert!(unwritable(&path).is_none(), "another try may help");
        let left: Vec<_> =
            path.parent().unwrap().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, [DATABASE]);
        // locks of one process do not keep it out itself: what the system lists tells whether they stand
        let inode = format!(":{} ", path.metadata().unwrap().ino());
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        assert!(locks.lines().any(|lock| lock.contains(&inode) && lock.contains("WRITE")), "{locks}");
    }
}
