//! The loop that polls tasks, and moves the time when none is ready.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use uis_clock::Instant;
use uis_internet::Internet;

use crate::prospects;
use crate::settings::Settings;
use crate::shared::{Local, Shared, Work};
use crate::stuck::{Stuck, StuckKind};
use crate::task::Task;

/// How long the last packets may take when the program has ended.
const LINGER: Duration = Duration::from_secs(2);

/// How many times the limit of a stall is extended for retransmissions. With the default one of ten minutes, fifteen
/// retransmissions have their time, the last ones two minutes apart.
const EXTENSIONS: u32 = 2;

/// A run under way.
pub(crate) struct Executor<'a> {
    settings: &'a Settings,
    shared: &'a Arc<Shared>,
    local: &'a Local,
    internet: &'a Internet,
    works: BTreeMap<u64, (Arc<Task>, Work)>,
    steps: u64,
    /// Steps since the time has moved.
    steps_now: u64,
    /// When a task of the program was polled.
    progress: Instant,
    /// How many times since then the limit was extended.
    extensions: u32,
    /// As many there were at the last look.
    retransmits: u64,
    /// How many times more the time moves before the next look at what may come of it.
    moves_unseen: usize,
}

impl<'a> Executor<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        shared: &'a Arc<Shared>,
        local: &'a Local,
        internet: &'a Internet,
    ) -> Self {
        Self {
            settings,
            shared,
            local,
            internet,
            works: BTreeMap::new(),
            steps: 0,
            steps_now: 0,
            progress: Instant::ZERO,
            extensions: 0,
            retransmits: 0,
            moves_unseen: 0,
        }
    }

    /// Runs the program to the end of `main`, then the last packets to theirs, and drops all tasks.
    pub(crate) fn run<F: Future>(&mut self, main: &Arc<Task>, program: F) -> Result<F::Output, Stuck> {
        let mut program = Box::pin(program);
        // What a report shows is gone when the panic has passed here.
        let result = catch_unwind(AssertUnwindSafe(|| self.run_main(main, program.as_mut())));
        let result = result.unwrap_or_else(|payload| {
            self.shared.note_failure(self.internet);
            resume_unwind(payload)
        });
        drop(program);
        self.shared.forget(main.id);
        if result.is_ok() {
            self.linger();
        }
        self.drop_all();
        result
    }

    fn run_main<F: Future>(
        &mut self,
        main: &Arc<Task>,
        mut program: Pin<&mut F>,
    ) -> Result<F::Output, Stuck> {
        loop {
            while let Some(task) = self.shared.ready.pop() {
                self.step()?;
                if task.id == main.id {
                    if let Poll::Ready(output) = self.poll(&task, program.as_mut()) {
                        return Ok(output);
                    }
                } else {
                    self.poll_task(&task);
                }
            }
            self.step()?;
            self.check_progress()?;
            // Another thread may have woken a task after the look above, and that counts.
            if self.shared.clock.advance_to_next().is_none() && self.shared.ready.is_empty() {
                return Err(self.stuck(
                    StuckKind::Deadlock,
                    "nothing is runnable and no timer is armed, so nothing can ever happen",
                ));
            }
        }
    }

    /// Counts a step: a poll, or a move of the time.
    fn step(&mut self) -> Result<(), Stuck> {
        self.steps += 1;
        self.steps_now += 1;
        if self.steps_now > self.settings.spin_limit {
            let limit = self.settings.spin_limit;
            let text = format!("{limit} steps were made and the time has not moved: some task is spinning");
            return Err(self.stuck(StuckKind::StepLimit, &text));
        }
        if self.steps > self.settings.step_limit {
            let text = format!("the limit of {} steps is passed", self.settings.step_limit);
            return Err(self.stuck(StuckKind::StepLimit, &text));
        }
        Ok(())
    }

    /// Looks at where the time is about to move.
    fn check_progress(&mut self) -> Result<(), Stuck> {
        let Some(next) = self.shared.clock.next_deadline() else { return Ok(()) };
        if next > self.shared.clock.now() {
            self.steps_now = 0;
        }
        if next.since_epoch() > self.settings.time_limit {
            let text = format!("the limit of {:?} is reached", self.settings.time_limit);
            return Err(self.stuck(StuckKind::TimeLimit, &text));
        }
        // Whoever sleeps wakes up.
        if self.shared.clock.sleepers() > 0 {
            return Ok(());
        }
        self.check_prospects()?;
        // Of hosts, routers and timers that are not known better it is time that tells. Retransmissions, and probes that
        // nobody answers, may end with an error, so they get some more of it.
        let limit = self.settings.stall_limit.saturating_mul(1 + self.extensions);
        if next - self.progress > limit {
            let connections = self.shared.connections();
            let retransmits = connections.iter().map(|c| c.retransmits).sum();
            let retransmitted = retransmits > std::mem::replace(&mut self.retransmits, retransmits);
            let asks = connections.iter().any(|c| c.unanswered > 0);
            if !(retransmitted || asks) || self.extensions == EXTENSIONS {
                let text = format!(
                    "no task is polled for {limit:?}, and none sleeps: only timers of the network are left"
                );
                return Err(self.stuck(StuckKind::Deadlock, &text));
            }
            self.extensions += 1;
        }
        Ok(())
    }

    /// Whether the network's timers, which are all that is left, are good for anything.
    fn check_prospects(&mut self) -> Result<(), Stuck> {
        if self.moves_unseen > 0 {
            self.moves_unseen -= 1;
            return Ok(());
        }
        match prospects::look(self.shared, self.internet, self.progress) {
            Ok(idle) => {
                let text = format!(
                    "no task can run and none sleeps, and of the timers that are left nothing can come: {}",
                    idle.text()
                );
                Err(self.stuck(StuckKind::Deadlock, &text))
            }
            Err(hope) => {
                // A look at very many connections takes its time, so the next one has to wait.
                self.moves_unseen = hope.looked_at / 64;
                Ok(())
            }
        }
    }

    fn poll_task(&mut self, task: &Arc<Task>) {
        if self.local.has_spawned() {
            for (task, work) in self.local.take_spawned() {
                self.works.insert(task.id, (task, work));
            }
        }
        // Taken out, so that it is dropped in its place if it panics. One that has ended is woken in vain.
        let Some((_, mut work)) = self.works.remove(&task.id) else { return };
        let ended = task.is_aborted() || self.poll(task, work.as_mut()).is_ready();
        if ended || task.is_aborted() {
            self.shared.end(task);
            drop(work);
        } else {
            self.works.insert(task.id, (task.clone(), work));
        }
    }

    fn poll<F: Future + ?Sized>(&mut self, task: &Arc<Task>, work: Pin<&mut F>) -> Poll<F::Output> {
        let now = self.shared.clock.now();
        task.on_poll(now);
        if !task.upkeep {
            self.progress = now;
            self.extensions = 0;
        }
        *self.shared.current.lock() = Some(task.clone());
        let polled = work.poll(&mut Context::from_waker(&Waker::from(task.clone())));
        // After a panic it stays, and is named.
        *self.shared.current.lock() = None;
        polled
    }

    /// Lets the other tasks go on until nothing is in flight, so that a capture has the last packets too.
    fn linger(&mut self) {
        let until = self.shared.clock.now() + LINGER;
        loop {
            while let Some(task) = self.shared.ready.pop() {
                if self.step().is_err() {
                    return;
                }
                self.poll_task(&task);
            }
            let stats = self.internet.stats();
            let next = self.shared.clock.next_deadline().filter(|&at| at <= until);
            if stats.queued + stats.held == 0 || next.is_none() || self.step().is_err() {
                return;
            }
            self.shared.clock.advance_to_next();
        }
    }

    /// Ends all tasks, in the order in which they were spawned. What a task spawns while it is dropped is not run.
    fn drop_all(&mut self) {
        self.local.close();
        for (task, work) in self.local.take_spawned() {
            self.works.insert(task.id, (task, work));
        }
        while let Some((id, work)) = self.works.pop_first() {
            drop(work);
            self.shared.forget(id);
        }
    }

    fn stuck(&self, kind: StuckKind, what: &str) -> Stuck {
        Stuck::new(kind, self.shared.clock.now(), what, &self.shared.report(self.internet))
    }
}
