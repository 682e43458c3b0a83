//! What long work tells while it runs: to a person, to a program, or to nobody.
//!
//! Library rooms take `&dyn Progress` and never print; how it is shown is the command line's business ([`crate::cli`]).

use crate::units::ByteSize;

/// Where news of running work goes.
pub trait Progress: Send + Sync {
    /// Work that takes a while begins. `label` is short ("slot left-2", "decode"); `total` is what 100 % means.
    fn task(&self, label: &str, total: Option<ByteSize>) -> Box<dyn Task>;

    /// Something worth knowing, for people.
    fn note(&self, text: &str);

    /// Something that a person should look at, though the work goes on.
    fn warn(&self, text: &str);
}

/// One piece of work that is under way. Dropped without an outcome, it counts as abandoned.
pub trait Task: Send {
    /// The work entered a stage: "write", "verify".
    fn stage(&mut self, stage: &str, total: Option<ByteSize>);

    /// So much of this stage is done in all.
    fn at(&mut self, done: ByteSize);

    /// The work ended well; `summary` is one line.
    fn done(self: Box<Self>, summary: &str);

    /// The work failed; `summary` is one line.
    fn failed(self: Box<Self>, summary: &str);
}

/// Tells nobody. For tests and for library users who want silence.
pub struct Silent;

struct SilentTask;

impl Progress for Silent {
    fn task(&self, _: &str, _: Option<ByteSize>) -> Box<dyn Task> {
        Box::new(SilentTask)
    }
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

impl Task for SilentTask {
    fn stage(&mut self, _: &str, _: Option<ByteSize>) {}
    fn at(&mut self, _: ByteSize) {}
    fn done(self: Box<Self>, _: &str) {}
    fn failed(self: Box<Self>, _: &str) {}
}
