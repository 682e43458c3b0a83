//! Progress for programs: one JSON object per line on stdout, `{"v":1,"event":…}`. README, "JSON", documents them.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::printable::Printable;
use crate::progress::{Progress, Task};
use crate::units::ByteSize;

/// The version of every event's shape. It grows when a field changes its meaning or goes; new fields may come any time.
pub const VERSION: u64 = 1;

/// How often a stage reports at most.
const EVERY: Duration = Duration::from_millis(500);

/// Progress as NDJSON events.
pub struct Events {
    tasks: AtomicU64,
    sink: Sink,
}

/// Where lines go; each call is one whole line.
pub type Sink = Arc<dyn Fn(&Value) + Send + Sync>;

impl Events {
    /// Events go to `sink`, one value each; [`Events::line`] says how one is written.
    pub fn new(sink: Sink) -> Events {
        Events { tasks: AtomicU64::new(1), sink }
    }

    /// An event's line: its version and name first, then its fields.
    pub fn line(event: &str, fields: Value) -> Value {
        let mut line = serde_json::Map::new();
        line.insert("v".into(), VERSION.into());
        line.insert("event".into(), event.into());
        match fields {
            // Beside `v` and `event`, not below a key of their own: filters stay short.
            Value::Object(fields) => line.extend(fields),
            Value::Null => {}
            other => {
                line.insert("value".into(), other);
            }
        }
        Value::Object(line)
    }
}

impl Progress for Events {
    fn task(&self, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        // Labels may be the same; programs tell tasks apart by number.
        let id = self.tasks.fetch_add(1, Ordering::Relaxed);
        let task = EventTask { id, label: label.to_owned(), stage: None, total, said: None, sink: self.sink.clone() };
        task.say("started", json!({ "total": total }));
        Box::new(task)
    }

    fn note(&self, text: &str) {
        (self.sink)(&Events::line("note", json!({ "text": text })));
    }

    fn warn(&self, text: &str) {
        (self.sink)(&Events::line("warning", json!({ "text": text })));
        // On stderr as well: whoever reads the log of CI does not see the events.
        let _ = writeln!(anstream::stderr(), "warning: {}", Printable::of(text));
    }
}

struct EventTask {
    id: u64,
    label: String,
    stage: Option<String>,
    total: Option<ByteSize>,
    said: Option<Instant>,
    sink: Sink,
}

impl EventTask {
    fn say(&self, event: &str, more: Value) {
        let mut fields = serde_json::Map::new();
        fields.insert("task".into(), self.id.into());
        fields.insert("label".into(), self.label.clone().into());
        if let Value::Object(more) = more {
            fields.extend(more);
        }
        (self.sink)(&Events::line(event, Value::Object(fields)));
    }

    fn progress(&mut self, done: ByteSize) {
        self.said = Some(Instant::now());
        self.say("progress", json!({ "stage": self.stage, "done": done, "total": self.total }));
    }
}

impl Task for EventTask {
    fn stage(&mut self, stage: &str, total: Option<ByteSize>) {
        self.stage = Some(stage.to_owned());
        self.total = total;
        self.progress(ByteSize(0));
    }

    fn at(&mut self, done: ByteSize) {
        let done = self.total.map_or(done, |total| done.min(total));
        // The last one always comes: a program may wait for 100 %.
        let complete = self.total == Some(done);
        if complete || self.said.is_none_or(|said| said.elapsed() >= EVERY) {
            self.progress(done);
        }
    }

    fn done(self: Box<Self>, summary: &str) {
        self.say("finished", json!({ "ok": true, "summary": summary }));
    }

    fn failed(self: Box<Self>, summary: &str) {
        self.say("finished", json!({ "ok": false, "summary": summary }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn events_are_versioned_and_progress_never_passes_its_total() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let events = Events::new(Arc::new(move |line: &Value| sink.lock().unwrap().push(line.clone())));
        let mut task = events.task("slot left-2", None);
        task.stage("write", Some(ByteSize(100)));
        task.at(ByteSize(250));
        task.done("written");
        events.note("hello");
        let lines = lines.lock().unwrap();
        let names: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["started", "progress", "progress", "finished", "note"]);
        assert!(lines.iter().all(|line| line["v"] == 1));
        assert_eq!((&lines[2]["done"], &lines[2]["total"]), (&json!(100), &json!(100)));
        assert_eq!(lines[3]["ok"], true);
    }
}
