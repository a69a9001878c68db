//! A relay that takes everything and keeps nothing, so that it is never what is measured.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A running sink; it ends with the process.
pub struct Sink {
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(&stream, &counter));
            }
        });
        Self { address, taken }
    }

    /// Mails taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

fn serve(stream: &TcpStream, taken: &AtomicUsize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut reader, mut writer) = (BufReader::new(stream), BufWriter::new(stream));
    let mut say = |words: &str| writer.write_all(words.as_bytes()).and_then(|()| writer.flush()).ok();
    say("220 sink ESMTP\r\n")?;
    let mut line = Vec::new();
    let mut next = move |line: &mut Vec<u8>| {
        line.clear();
        reader.read_until(b'\n', line).ok().filter(|read| *read > 0)
    };
    loop {
        next(&mut line)?;
        match line.get(..4).unwrap_or_default() {
            b"EHLO" => say("250-sink\r\n250-SIZE\r\n250-8BITMIME\r\n250 DSN\r\n")?,
            b"DATA" => {
                say("354 go on\r\n")?;
                while line != b".\r\n" {
                    next(&mut line)?;
                }
                taken.fetch_add(1, Ordering::Relaxed);
                say("250 taken\r\n")?;
            }
            b"QUIT" => return say("221 bye\r\n"),
            _ => say("250 ok\r\n")?,
        }
    }
}
