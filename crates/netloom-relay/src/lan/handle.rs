//! A LAN as the rest of the relay has it: where to send clients, and whom to ask.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{LanTask, NewClient};

/// What is asked of a LAN, done on its thread.
pub(super) type Question = Box<dyn FnOnce(&Rc<LanTask>) + Send>;

/// The LAN has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the LAN has stopped")]
pub(crate) struct Stopped;

/// A LAN as the rest of the relay sees it.
#[derive(Clone)]
pub(crate) struct LanHandle {
    pub(super) name: String,
    pub(super) sender: mpsc::UnboundedSender<NewClient>,
    pub(super) questions: mpsc::UnboundedSender<Question>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) resumes: Arc<AtomicBool>,
}

impl LanHandle {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether its clients may come back for their ports.
    pub(crate) fn resumes(&self) -> bool {
        self.resumes.load(Ordering::Relaxed)
    }

    /// Room for one more client, if there is any.
    pub(crate) fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Where to send clients; as many can wait there as there are slots.
    pub(crate) fn sender(&self) -> mpsc::UnboundedSender<NewClient> {
        self.sender.clone()
    }

    /// Has the LAN's thread do something between two of its turns, and waits for what comes of it. It must not take long: meanwhile no
    /// frame moves.
    ///
    /// # Errors
    /// [`Stopped`] if the LAN's thread has ended.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Rc<LanTask>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        // Nobody waits for the answer any more if it cannot be sent.
        let question: Question = Box::new(move |lan| drop(answer.send(question(lan))));
        self.questions.send(question).map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}
