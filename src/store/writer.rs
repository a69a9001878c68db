//! The one thread that writes: everybody else sends it work and waits for the answer.

use std::sync::mpsc;

use tokio::sync::oneshot;

use super::Store;

/// The writer's thread is gone; only a panic in it can do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database's writer stopped")]
pub struct WriterGone;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// A handle to the thread that owns the database's writing connection.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: mpsc::SyncSender<Job>,
}

/// Jobs that may wait: whoever sends more waits himself.
const WAITING: usize = 16;
/// As deep as the reading threads': a late text reads the mail that it answers once more.
const STACK: usize = 16 << 20;

impl Writer {
    /// Starts the thread. It ends when the last handle is dropped.
    pub fn start(mut store: Store) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(WAITING);
        let thread = std::thread::Builder::new().name("store".into()).stack_size(STACK).spawn(move || {
            inbox.into_iter().for_each(|job| job(&mut store));
        })?;
        Ok((Self { jobs }, thread))
    }

    /// Runs `work` on the writing connection, after what was sent before.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, WriterGone> {
        let (answer, wait) = oneshot::channel();
        let job: Job = Box::new(move |store| drop(answer.send(work(store)))); // nobody waits any more: the work is done all the same
        let jobs = self.jobs.clone();
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(job)) => {
                // back-pressure: a blocking thread waits for a place, the runtime's workers go on
                tokio::task::spawn_blocking(move || jobs.send(job))
                    .await
                    .map_err(|_| WriterGone)?
                    .map_err(|_| WriterGone)?;
            }
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(WriterGone),
        }
        wait.await.map_err(|_| WriterGone)
    }
}
