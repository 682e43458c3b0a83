//! The whole terminal, for a bench: one line per slot, redrawn ten times a second. The terminal is given back as it was
//! when this is dropped, after a panic in any thread, and before the program is ended by a second Ctrl-C.

mod board;
mod draw;

use std::io::{self, IsTerminal, Stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::printable::Printable;
use crate::progress::{Progress, Task};
use crate::units::ByteSize;

pub use board::{Board, Mark, Row};

/// How long a frame lasts.
const FRAME: Duration = Duration::from_millis(100);

/// Whether a screen is up. A process has one terminal, hence one of these.
static UP: AtomicBool = AtomicBool::new(false);
/// Held while a frame goes to the terminal.
static DRAWING: Mutex<()> = Mutex::new(());
static PANICS: Once = Once::new();

/// What a person at the screen can say.
#[derive(Clone)]
pub struct Keys {
    /// Set by Ctrl-C.
    pub cancel: Arc<AtomicBool>,
    /// Set by `q`: no more cards.
    pub no_more: Arc<AtomicBool>,
}

/// A full screen on stderr.
pub struct Screen {
    board: Arc<Mutex<Board>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Whether there is a terminal that a screen could take: one to read keys from and one to draw on.
pub fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdin().is_terminal() && io::stderr().is_terminal() && !dumb
}

/// Whether a screen is up: nobody else may write to the terminal then.
pub fn is_up() -> bool {
    UP.load(Ordering::SeqCst)
}

/// Gives the terminal back as it was. Does nothing where no screen is up; may be called from anywhere.
pub fn restore() {
    // A frame that is half out would end up on the restored terminal. After a panic in the middle of one nobody lets go.
    let since = Instant::now();
    let _frame = loop {
        match DRAWING.try_lock() {
            Ok(frame) => break Some(frame),
            Err(_) if since.elapsed() > Duration::from_millis(300) => break None,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    };
    if UP.swap(false, Ordering::SeqCst) {
        // A terminal that is gone cannot be restored, and need not.
        let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// What the terminal reports; it is as it was then.
    pub fn open(board: Board, keys: Keys) -> io::Result<Screen> {
        // Once: hooks pile up, and each screen would add one more.
        PANICS.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                usual(panic);
            }));
        });
        enable_raw_mode()?;
        // Before the rest: whatever fails from here on, `restore` undoes it.
        UP.store(true, Ordering::SeqCst);
        let opened = execute!(io::stderr(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())))
            .and_then(|terminal| Screen::start(terminal, board, keys));
        if opened.is_err() {
            restore();
        }
        opened
    }

    fn start(mut terminal: Terminal<CrosstermBackend<Stderr>>, board: Board, keys: Keys) -> io::Result<Screen> {
        let board = Arc::new(Mutex::new(board));
        let over = Arc::new(AtomicBool::new(false));
        let (shown, ended) = (board.clone(), over.clone());
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let draw = move || {
            while !ended.load(Ordering::Relaxed) {
                {
                    let _frame = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
                    // Given back meanwhile: one more frame would land on the shell.
                    if is_up() {
                        // A resize between two frames is seen by the next one; what is wrong with the terminal stays so.
                        let board = shown.lock().unwrap_or_else(PoisonError::into_inner);
                        let _ = terminal.draw(|frame| draw::board(frame, &board, colour));
                    }
                }
                listen(&keys, &shown);
            }
        };
        let thread = thread::Builder::new().name("screen".to_owned()).spawn(draw)?;
        Ok(Screen { board, over, thread: Some(thread) })
    }

    /// Changes what is shown.
    pub fn change<T>(&self, act: impl FnOnce(&mut Board) -> T) -> T {
        act(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work in the row of this number.
    pub fn task(&self, row: usize, total: Option<ByteSize>) -> Box<dyn Task> {
        let mut task = RowTask { board: self.board.clone(), row };
        task.stage("", total);
        Box::new(task)
    }

    /// Gives the terminal back and answers the warnings that were shown: they go by on a screen.
    pub fn close(mut self) -> Vec<String> {
        self.end();
        self.change(|board| board.take_warnings())
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        restore();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for a frame's time and takes what was typed.
fn listen(keys: &Keys, board: &Mutex<Board>) {
    if is_hung_up() {
        // Not every terminal that goes says SIGHUP; nobody watches any more, and crossterm would ask a dead one for ever.
        keys.cancel.store(true, Ordering::SeqCst);
        return thread::sleep(FRAME);
    }
    match event::poll(FRAME) {
        Ok(true) => {}
        Ok(false) => return,
        // Not at once again: a terminal that only fails would take a whole core.
        Err(_) => return thread::sleep(FRAME),
    }
    let (key, modifiers) = match event::read() {
        // Some terminals report the release of a key, too.
        Ok(Event::Key(KeyEvent { code: KeyCode::Char(key), modifiers, kind: KeyEventKind::Press, .. })) => {
            (key, modifiers)
        }
        Ok(_) => return,
        Err(_) => return thread::sleep(FRAME),
    };
    let say = |what| board.lock().unwrap_or_else(PoisonError::into_inner).ending = Some(what);
    match (key, modifiers.contains(KeyModifiers::CONTROL)) {
        // The terminal is raw: it makes no signal of the key.
        ('c', true) => {
            // The second time. 130 is 128 and SIGINT, as shells have it.
            if keys.cancel.swap(true, Ordering::SeqCst) {
                restore();
                std::process::exit(130);
            }
            say("stopping in order; press Ctrl-C again to stop at once");
        }
        ('q', false) => {
            keys.no_more.store(true, Ordering::SeqCst);
            say("no more cards; those under way are finished. Ctrl-C stops them");
        }
        _ => {}
    }
}

/// Whether the terminal that keys come from is gone.
fn is_hung_up() -> bool {
    let stdin = io::stdin();
    let mut asked = [PollFd::new(&stdin, PollFlags::IN)];
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked.iter().any(|fd| fd.revents().intersects(gone))
}

impl Progress for Screen {
    fn task(&self, label: &str, _: Option<ByteSize>) -> Box<dyn Task> {
        Box::new(Unseen { board: self.board.clone(), label: Printable::of(label).to_string() })
    }

    fn note(&self, text: &str) {
        self.change(|board| board.say(Printable::of(text).to_string()));
    }

    fn warn(&self, text: &str) {
        let text = Printable::of(text).to_string();
        self.change(|board| {
            board.say(format!("warning: {text}"));
            board.warn(text);
        });
    }
}

/// Work that belongs to no slot: only its failure is worth a line.
struct Unseen {
    board: Arc<Mutex<Board>>,
    label: String,
}

impl Task for Unseen {
    fn stage(&mut self, _: &str, _: Option<ByteSize>) {}
    fn at(&mut self, _: ByteSize) {}
    fn done(self: Box<Self>, _: &str) {}
    fn failed(self: Box<Self>, summary: &str) {
        let text = format!("{}: {}", self.label, Printable::of(summary));
        self.board.lock().unwrap_or_else(PoisonError::into_inner).say(text);
    }
}

struct RowTask {
    board: Arc<Mutex<Board>>,
    row: usize,
}

impl RowTask {
    fn row(&self, act: impl FnOnce(&mut Row)) {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).row(self.row, act);
    }
}

impl Task for RowTask {
    fn stage(&mut self, stage: &str, total: Option<ByteSize>) {
        self.row(|row| row.stage(Printable::of(stage).to_string(), total));
    }

    fn at(&mut self, done: ByteSize) {
        self.row(|row| row.at(done));
    }

    // How a card ended is told with its receipt, which knows more.
    fn done(self: Box<Self>, _: &str) {}
    fn failed(self: Box<Self>, _: &str) {}
}
