//! A small lexer: Rust source as words with their lines, without comments, and with nothing inside of literals.

/// A name, a sign, `::`, or `"` in the place of a literal.
#[derive(Debug, PartialEq)]
pub struct Word {
    pub text: String,
    pub line: usize,
}

impl Word {
    /// Whether this is a name or a keyword.
    pub fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The words of a source text.
pub fn words(text: &str) -> Vec<Word> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, words: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.words
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    words: Vec<Word>,
}

impl Lexer {
    /// The character `ahead` places further on; a NUL behind the end, which no rule below looks for.
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Goes past `count` characters, and counts their lines.
    fn pass(&mut self, count: usize) {
        let end = (self.at + count).min(self.chars.len());
        self.line += self.chars[self.at..end].iter().filter(|c| **c == '\n').count();
        self.at = end;
    }

    fn push(&mut self, text: &str) {
        self.words.push(Word { text: text.to_owned(), line: self.line });
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.pass_while(|c| c != '\n'),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.quote(),
            (':', ':') => {
                self.push("::");
                self.pass(2);
            }
            (c, _) if c.is_alphabetic() || c == '_' => self.name(),
            (c, _) if c.is_ascii_digit() => {
                self.push("\"");
                self.pass_while(|c| c.is_alphanumeric() || c == '_');
            }
            (c, _) => {
                if !c.is_whitespace() {
                    self.push(&c.to_string());
                }
                self.pass(1);
            }
        }
    }

    fn pass_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.at < self.chars.len() && keep(self.peek(0)) {
            self.pass(1);
        }
    }

    /// Block comments nest in Rust.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.pass(1);
                    continue;
                }
            }
            self.pass(2);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.push("\"");
        self.pass(1);
        while self.at < self.chars.len() && self.peek(0) != '"' {
            self.pass(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        self.pass(1);
    }

    /// A raw string, from its first `#` or quote on.
    fn raw_string(&mut self, fences: usize) {
        self.push("\"");
        self.pass(fences + 1);
        while self.at < self.chars.len() {
            let closes = self.peek(0) == '"' && (1..=fences).all(|ahead| self.peek(ahead) == '#');
            if closes {
                return self.pass(fences + 1);
            }
            self.pass(1);
        }
    }

    /// A character or a lifetime: `'a'` has its second quote where `'a` has none.
    fn quote(&mut self) {
        if self.peek(1) == '\\' {
            self.push("\"");
            self.pass(3);
            self.pass_while(|c| c != '\'');
            self.pass(1);
        } else if self.peek(2) == '\'' {
            self.push("\"");
            self.pass(3);
        } else {
            self.pass(1);
            self.pass_while(|c| c.is_alphanumeric() || c == '_');
        }
    }

    /// A name, or the letters in front of a literal: `r"…"`, `br#"…"#`, `c"…"`, `b'…'`, `r#name`.
    fn name(&mut self) {
        let length = self.chars[self.at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
        let text: String = self.chars[self.at..self.at + length].iter().collect();
        let fences = self.chars[self.at + length..].iter().take_while(|c| **c == '#').count();
        let raw = matches!(text.as_str(), "r" | "br" | "cr");
        if raw && self.peek(length + fences) == '"' {
            self.pass(length);
            self.raw_string(fences);
        } else if text == "r" && fences == 1 {
            self.pass(2);
        } else if matches!(text.as_str(), "b" | "c") && matches!(self.peek(length), '"' | '\'') {
            // The literal itself is the next step.
            self.pass(length);
        } else {
            self.push(&text);
            self.pass(length);
        }
    }
}
