//! A real terminal with a program in it: tmux, which says what a person would see.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub struct Terminal {
    dir: tempfile::TempDir,
}

impl Terminal {
    /// A terminal of this size that runs a shell script, or `None` (loudly) without tmux. When the script ends, what it
    /// left on the terminal stays.
    pub fn run(home: &Path, script: &str, width: u16, height: u16) -> Option<Terminal> {
        if !super::need("tmux") {
            return None;
        }
        let terminal = Terminal { dir: tempfile::tempdir().unwrap() };
        let file = terminal.dir.path().join("script");
        let home = home.display();
        let usual = format!(
            "cd '{home}'\nexport HOME='{home}' XDG_STATE_HOME='{home}/state' XDG_CACHE_HOME='{home}/cache'\n\
             export XDG_CONFIG_HOME='{home}/config'\n"
        );
        std::fs::write(&file, format!("{usual}{script}\nsleep 600\n")).unwrap();
        let (width, height) = (width.to_string(), height.to_string());
        let shell = format!("sh {}", file.display());
        let out = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &shell]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-u", "-S"]).arg(self.dir.path().join("socket")).args(args).env_remove("TMUX");
        command.output().unwrap()
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// Waits until `is_there` finds something on the screen.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, is_there: impl Fn(&str) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            let screen = self.screen();
            if let Some(found) = is_there(&screen) {
                return found;
            }
            assert!(since.elapsed() < Duration::from_secs(100), "{what:?} did not come:\n{screen}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the text is on the screen.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text).then(|| screen.to_owned()))
    }

    /// Types keys, as tmux names them: `Enter`, `C-c`, or text.
    pub fn keys(&self, keys: &[&str]) {
        assert!(self.tmux(&[&["send-keys"], keys].concat()).status.success());
    }

    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        assert!(self.tmux(&["resize-window", "-x", &width, "-y", &height]).status.success());
    }

    /// Whether a program has the whole screen.
    pub fn is_taken_over(&self) -> bool {
        let out = self.tmux(&["display-message", "-p", "#{alternate_on}"]).stdout;
        String::from_utf8(out).unwrap().trim() == "1"
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
