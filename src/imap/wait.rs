//! Waits for news: IDLE (RFC 2177), or a pause and NOOP where IDLE is missing or broken.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::wire::Continued;
use super::{ImapError, Session};

/// An IDLE that ends by itself sooner than this is worth less than polling.
const SHORTEST_IDLE: Duration = Duration::from_secs(60);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Mail has arrived, or did while other commands were under way.
    News,
    /// Time is up, or the server ended it: look anyway.
    Timeout,
    /// The token was cancelled.
    Cancelled,
}

impl Session {
    /// Waits for mail in the selected folder. Where [`Session::idles`], `at_most` may be minutes; elsewhere it
    /// is the polling interval. News that came since the last [`Session::list_above`] began ends it at once.
    ///
    /// # Errors
    /// [`ImapError`]; a server that refuses IDLE makes no error: the wait ends, and later ones poll.
    pub async fn wait(&mut self, at_most: Duration, cancel: &CancellationToken) -> Result<Woken, ImapError> {
        if self.selected.is_none() {
            return Err(ImapError::NotSelected { command: "IDLE" });
        }
        if self.wire.news {
            return Ok(Woken::News);
        }
        let until = Instant::now() + at_most;
        if self.idle { self.push(until, cancel).await } else { self.poll(until, cancel).await }
    }

    async fn push(&mut self, until: Instant, cancel: &CancellationToken) -> Result<Woken, ImapError> {
        let started = Instant::now();
        let mut sent = self.wire.send("IDLE", "IDLE").await?;
        match self.wire.continued(&sent).await {
            Ok(Continued::Yes(_)) => {}
            Ok(Continued::Done) | Err(ImapError::No { .. } | ImapError::Bad { .. }) => {
                self.idle = false;
                return Ok(self.woken(Woken::Timeout));
            }
            Err(error) => return Err(error),
        }
        // The deadline is absolute: what a server sends to keep the line open does not move it.
        let woken = loop {
            if self.wire.news {
                break Woken::News;
            }
            let heard = tokio::select! {
                heard = self.wire.overhear(&sent, until) => heard?,
                () = cancel.cancelled() => break Woken::Cancelled,
            };
            match heard {
                Some(false) => {}
                Some(true) => {
                    self.idle = started.elapsed() >= SHORTEST_IDLE || self.wire.news;
                    return Ok(self.woken(Woken::Timeout));
                }
                None => break Woken::Timeout,
            }
        };
        self.wire.send_more(&mut sent, "DONE").await?;
        self.wire.finish(sent, |_| ()).await?;
        Ok(self.woken(woken))
    }

    async fn poll(&mut self, until: Instant, cancel: &CancellationToken) -> Result<Woken, ImapError> {
        tokio::select! {
            () = sleep_until(until) => {}
            () = cancel.cancelled() => return Ok(Woken::Cancelled),
        }
        self.noop().await?;
        Ok(self.woken(Woken::Timeout))
    }

    /// News counts for more than the end of the time.
    fn woken(&self, otherwise: Woken) -> Woken {
        if self.wire.news && otherwise == Woken::Timeout { Woken::News } else { otherwise }
    }
}
