//! What a disk holds after a power cut: the log of `disk.c`, replayed up to an operation, and of what was not synced
//! whatever chance leaves.
//!
//! The disk is the worst that POSIX allows: the contents of a file are durable by fsync of the file, its name by fsync of
//! the directory. Contents that were not synced may be there or not, in any order, and torn between sectors; names change
//! in order, as journals have it.

use std::collections::BTreeMap;
use std::path::Path;

use super::Dice;

/// A disk writes these whole or not at all, bytes.
const SECTOR: usize = 512;

/// An operation on the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A program begins: it has nothing open.
    Begin,
    /// Opens or makes a file, or the directory (``); `true`: empties it.
    Open(i32, String, bool),
    Close(i32),
    Write(i32, usize, Vec<u8>),
    Truncate(i32, usize),
    Sync(i32),
    Unlink(String),
    Rename(String, String),
}

/// The operations of a log, and where in the log each ends, in bytes.
pub fn read_log(log: &[u8]) -> (Vec<Op>, Vec<u64>) {
    let (mut ops, mut ends, mut rest, mut old) = (Vec::new(), Vec::new(), log, String::new());
    while !rest.is_empty() {
        // struct { uint32_t what; int32_t fd; uint64_t at, size; }
        let (head, tail) = rest.split_at(24);
        let number = |from: usize| {
            usize::try_from(u64::from_ne_bytes(head[from..from + 8].try_into().unwrap())).unwrap()
        };
        let (fd, at, size) = (i32::from_ne_bytes(head[4..8].try_into().unwrap()), number(8), number(16));
        let (data, tail) = tail.split_at(size);
        rest = tail;
        let name = || String::from_utf8(data.to_vec()).unwrap();
        ops.push(match head[0] {
            b'B' => Op::Begin,
            b'O' => Op::Open(fd, name(), at == 1),
            b'C' => Op::Close(fd),
            b'W' => Op::Write(fd, at, data.to_vec()),
            b'T' => Op::Truncate(fd, at),
            b'S' => Op::Sync(fd),
            b'U' => Op::Unlink(name()),
            b'N' => {
                old = name(); // the other name follows
                continue;
            }
            b'R' => Op::Rename(std::mem::take(&mut old), name()),
            other => panic!("the log holds a {other}"),
        });
        ends.push((log.len() - rest.len()) as u64);
    }
    (ops, ends)
}

/// A change of a file that may not be on the disk yet.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

type Names = BTreeMap<String, usize>;

/// The directory: as programs see it, and as the disk has it.
#[derive(Debug, Default)]
pub struct Directory {
    inodes: Vec<Inode>,
    /// `None`: the directory itself.
    open: BTreeMap<i32, Option<usize>>,
    names: Names,
    durable: Names,
    /// The names after each change since the directory was synced.
    pending: Vec<Names>,
}

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it is gone.
    All,
    /// The first of it is there.
    Tail,
    /// Any of it is there.
    Any,
    /// The same, and what is there is torn between sectors.
    Torn,
    /// All of it is there: kill -9, not a power cut.
    None,
}

impl Loss {
    pub const OF_POWER: [Self; 4] = [Self::All, Self::Tail, Self::Any, Self::Torn];
}

impl Directory {
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Begin => self.open.clear(),
            Op::Open(fd, name, _) if name.is_empty() => drop(self.open.insert(*fd, None)),
            Op::Open(fd, name, empties) => {
                let inode = self.names.get(name).copied().unwrap_or_else(|| {
                    let inode = self.inodes.len();
                    self.inodes.push(Inode::default());
                    self.rename(|names| _ = names.insert(name.clone(), inode));
                    inode
                });
                if *empties {
                    self.inodes[inode].pending.push(Change::Truncate(0));
                }
                self.open.insert(*fd, Some(inode));
            }
            Op::Close(fd) => drop(self.open.remove(fd)),
            Op::Write(fd, at, data) => self.change(*fd, Change::Write(*at, data.clone())),
            Op::Truncate(fd, size) => self.change(*fd, Change::Truncate(*size)),
            Op::Sync(fd) => match self.open[fd] {
                Some(inode) => {
                    let Inode { durable, pending } = &mut self.inodes[inode];
                    pending.drain(..).for_each(|change| change.apply(durable));
                }
                None => {
                    self.pending.clear();
                    self.durable.clone_from(&self.names);
                }
            },
            Op::Unlink(name) => self.rename(|names| _ = names.remove(name)),
            Op::Rename(from, to) => self.rename(|names| {
                let inode = names.remove(from).expect("a file that was made here");
                names.insert(to.clone(), inode);
            }),
        }
    }

    fn change(&mut self, fd: i32, change: Change) {
        let inode = self.open[&fd].expect("a file");
        self.inodes[inode].pending.push(change);
    }

    fn rename(&mut self, change: impl FnOnce(&mut Names)) {
        change(&mut self.names);
        self.pending.push(self.names.clone());
    }

    /// The files after a power cut now.
    pub fn cut(&self, loss: Loss, dice: &mut Dice) -> BTreeMap<String, Vec<u8>> {
        let names = match loss {
            Loss::None => &self.names,
            _ => match dice.index(self.pending.len() + 1) {
                0 => &self.durable,
                kept => &self.pending[kept - 1],
            },
        };
        let file = |(name, inode): (&String, &usize)| (name.clone(), self.inodes[*inode].cut(loss, dice));
        names.iter().map(file).collect()
    }
}

impl Inode {
    fn cut(&self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let first = match loss {
            Loss::All => 0,
            Loss::Tail => dice.index(self.pending.len() + 1),
            Loss::Any | Loss::Torn | Loss::None => self.pending.len(),
        };
        for change in &self.pending[..first] {
            let is_whole = match loss {
                Loss::Any | Loss::Torn => dice.below(2) == 0,
                _ => true,
            };
            match change {
                Change::Write(at, data) if loss == Loss::Torn => {
                    // sectors are the disk's, wherever the write began
                    let mut from = 0;
                    while from < data.len() {
                        let to = (from + SECTOR - (at + from) % SECTOR).min(data.len());
                        if is_whole || dice.below(2) == 0 {
                            Change::Write(at + from, data[from..to].to_vec()).apply(&mut bytes);
                        }
                        from = to;
                    }
                }
                change if is_whole => change.clone().apply(&mut bytes),
                _ => {}
            }
        }
        bytes
    }
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                let end = at + data.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[at..end].copy_from_slice(&data);
            }
            Self::Truncate(size) => bytes.resize(size, 0),
        }
    }
}

/// Writes the files of an image into an empty directory.
pub fn write(files: &BTreeMap<String, Vec<u8>>, directory: &Path) {
    for (name, bytes) in files {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
}
