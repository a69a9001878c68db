//! What administrators ask of the daemon while it runs, and when a mailbox may be worked on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backoff::jitter;
use super::{PARTING, Shared, disk};
use crate::store::{MailboxOrder, Result, Tx, WriterGone};

/// How soon it is noticed that another process wrote to the database.
const NOTICE: Duration = Duration::from_secs(1);
/// How soon a full disk is looked at again, at most.
const LOOK_AT_DISK: Duration = Duration::from_secs(15);

/// What is asked of each mailbox, for everybody who works on one.
#[derive(Debug)]
pub(super) struct Orders(watch::Sender<BTreeMap<String, Asked>>);

/// What is asked of one mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Asked {
    order: MailboxOrder,
    /// How often its folders were to be looked at anew.
    looks: u64,
}

impl Orders {
    pub(super) fn new(orders: &BTreeMap<String, MailboxOrder>) -> Self {
        let made = Self(watch::Sender::default());
        made.set(orders);
        made
    }

    /// Takes over what the database says.
    pub(super) fn set(&self, orders: &BTreeMap<String, MailboxOrder>) {
        self.0.send_if_modified(|known| {
            let mut changed = false;
            for name in orders.keys() {
                known.entry(name.clone()).or_default();
            }
            for (mailbox, asked) in known.iter_mut() {
                let order = orders.get(mailbox).copied().unwrap_or_default();
                match (asked.order.paused, order.paused) {
                    (false, true) => tracing::info!(mailbox, "an administrator paused the mailbox"),
                    (true, false) => tracing::info!(mailbox, "an administrator resumed the mailbox"),
                    _ => {}
                }
                changed |= asked.order != order;
                asked.order = order;
            }
            changed
        });
    }

    /// Lets the folders of a mailbox be visited anew.
    pub(super) fn look_again(&self, mailbox: &str) {
        self.0.send_modify(|known| known.entry(mailbox.to_owned()).or_default().looks += 1);
    }

    fn of(&self, mailbox: &str) -> Asked {
        self.0.borrow().get(mailbox).copied().unwrap_or_default()
    }

    /// Waits until a mailbox's folders are to be let go, or looked at anew.
    async fn differs(&self, mailbox: &str, from: Asked) {
        let mut news = self.0.subscribe();
        let differs = |known: &BTreeMap<String, Asked>| {
            let now = known.get(mailbox).copied().unwrap_or_default();
            (now.order.paused, now.looks) != (from.order.paused, from.looks)
        };
        if news.wait_for(differs).await.is_err() {
            std::future::pending::<()>().await; // nobody asks any more
        }
    }

    /// Waits until a rescan of a mailbox is asked for: since when.
    pub(super) async fn rescan(&self, mailbox: &str) -> Timestamp {
        let mut news = self.0.subscribe();
        loop {
            let asked = news.borrow_and_update().get(mailbox).and_then(|asked| asked.order.rescan);
            if let Some(since) = asked {
                return since;
            }
            if news.changed().await.is_err() {
                std::future::pending::<()>().await; // nobody asks any more
            }
        }
    }
}

/// A time during which a mailbox may be worked on.
pub(super) struct Turn {
    /// Cancelled when it is over: what is in hand is finished, nothing new is begun.
    pub(super) over: CancellationToken,
    begun: Asked,
}

impl Turn {
    /// Waits until a mailbox may be worked on: nobody paused it, and there is room on the disk. `None`: the daemon
    /// stops.
    pub(super) async fn wait(shared: &Shared, mailbox: &str) -> Option<Self> {
        loop {
            if shared.stop.is_cancelled() {
                return None;
            }
            let begun = shared.orders.of(mailbox);
            if !begun.order.paused && disk::has_room(shared).await {
                return Some(Self { over: shared.stop.child_token(), begun });
            }
            let look_again = async {
                match begun.order.paused {
                    true => std::future::pending().await,
                    false => sleep(LOOK_AT_DISK.mul_f64(0.5 + jitter() / 2.0)).await,
                }
            };
            tokio::select! {
                () = look_again => {}
                () = shared.orders.differs(mailbox, begun) => {}
                () = shared.stop.cancelled() => return None,
            }
        }
    }

    /// Works until the work is done. When the turn is over before, it may finish what it has in hand; `None`: a
    /// server kept it from that.
    pub(super) async fn during<T>(
        &self,
        shared: &Shared,
        mailbox: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let over = async {
            tokio::select! {
                () = shared.orders.differs(mailbox, self.begun) => self.over.cancel(),
                () = self.over.cancelled() => {}
            }
            sleep(PARTING).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = over => None,
        }
    }

    /// Waits before another try, or until something else is asked.
    pub(super) async fn pause(&self, shared: &Shared, mailbox: &str, wait: Duration) {
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.orders.differs(mailbox, self.begun) => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

/// Looks every second whether another process has written to the database: then something may be asked of a mailbox or
/// of the policy, or lie in the outbox. The first time that may be long ago.
pub(super) async fn notice(shared: Shared) {
    let (mut seen, mut failed) = (None, false);
    loop {
        tokio::select! {
            () = sleep(NOTICE) => {}
            () = shared.stop.cancelled() => return,
        }
        let looked = shared.writer.call(move |store| -> Result<_> {
            let version = store.data_version()?;
            let is_new = seen != Some(version);
            let asked = |tx: &Tx<'_>| Ok((tx.orders()?, tx.reload_asked()?));
            Ok((version, is_new.then(|| store.read(asked)).transpose()?))
        });
        match looked.await {
            Ok(Ok((version, asked))) => {
                (seen, failed) = (Some(version), false);
                if let Some((orders, reload)) = asked {
                    shared.orders.set(&orders);
                    shared.in_force.ask(reload);
                    shared.outbox.notify_one();
                }
            }
            Ok(Err(_)) if failed => {}
            Ok(Err(error)) => {
                failed = true;
                tracing::error!(%error, "what was asked of the daemon cannot be read; it is tried again");
            }
            Err(WriterGone) => return shared.stop.cancel(),
        }
    }
}
