//! Reads a chapter: Markdown cut at its fences into the pieces that a reader does one after the other.
//!
//! The first word of a fence's info string is a language, so that mdBook shows it well; what follows says what to do:
//! `toml,file=banyan.toml` writes a file, `console,server` starts a server, `text,stop=catalog` stops one,
//! `console` runs commands and compares their output, `console,until` does so again until the output is as shown.

use std::fmt;

/// A chapter, read.
#[derive(Debug)]
pub struct Chapter {
    /// The name of its file without `.md`.
    pub name: String,
    /// Its fences, in order.
    pub pieces: Vec<Piece>,
}

/// One fence.
#[derive(Debug)]
pub struct Piece {
    /// The line of the opening fence, counted from 1.
    pub line: usize,
    /// What is to be done with it.
    pub step: Step,
}

/// What a reader does with a fence.
#[derive(Debug)]
pub enum Step {
    /// Reads it; nothing happens.
    Show,
    /// Writes the text into a file of the chapter's folder.
    Write {
        /// The name of the file.
        file: String,
        /// What it holds.
        text: String,
    },
    /// Types the commands and looks at what they answer.
    Run(Vec<Command>),
    /// The same, again and again until the answer is as shown.
    Until(Vec<Command>),
    /// Types the command in a terminal of its own, where it goes on running.
    Serve(Vec<Command>),
    /// Presses Ctrl-C in the terminal of a server.
    Stop {
        /// The program that runs there.
        program: String,
    },
}

/// A command as it stands behind the `$`, with what the chapter shows below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The line it stands on, counted from 1.
    pub line: usize,
    /// The command without its redirection.
    pub text: String,
    /// The file that takes its output: what stands behind `>`.
    pub into: Option<String>,
    /// The lines below, up to the next command, with the `? code` line if there is one.
    pub shown: Vec<String>,
}

impl Command {
    /// The program it runs.
    pub fn program(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    /// Leaves out empty lines at the end: they part it from the next command.
    fn close(&mut self) {
        while self.shown.last().is_some_and(String::is_empty) {
            self.shown.pop();
        }
    }

    /// The exit code and the output that the chapter shows.
    pub fn expected(&self) -> (i32, &[String]) {
        let code = self
            .shown
            .first()
            .and_then(|line| line.strip_prefix("? ")?.trim().parse().ok());
        code.map_or((0, &self.shown), |code| (code, &self.shown[1..]))
    }
}

/// A fence that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line of the fence, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl Chapter {
    /// Reads a chapter, or says of every fence that cannot be read why not.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Unreadable>> {
        let (mut pieces, mut faults) = (Vec::new(), Vec::new());
        for fence in fences(text) {
            match fence.step() {
                Ok(step) => pieces.push(Piece {
                    line: fence.line,
                    step,
                }),
                Err(reason) => faults.push(Unreadable {
                    line: fence.line,
                    reason,
                }),
            }
        }
        if faults.is_empty() {
            let name = name.to_owned();
            Ok(Self { name, pieces })
        } else {
            Err(faults)
        }
    }
}

/// A fence as it stands in the text.
pub struct Fence<'t> {
    /// The line of the opening fence, counted from 1.
    pub line: usize,
    /// The info string.
    pub info: &'t str,
    /// The lines between.
    pub body: Vec<&'t str>,
    /// Whether the fence is closed.
    pub closed: bool,
}

/// The fences of a Markdown text. Fences inside lists are indented; their lines are taken without the indent.
pub fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut found: Vec<Fence<'_>> = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        let ticks = &bare[..bare.len() - bare.trim_start_matches('`').len()];
        match open {
            Some((mark, indent)) => {
                let Some(fence) = found.last_mut() else { continue };
                if ticks.len() >= mark.len() && bare.trim_end() == ticks {
                    fence.closed = true;
                    open = None;
                } else {
                    fence.body.push(line.get(indent..).unwrap_or(bare));
                }
            }
            None if ticks.len() >= 3 => {
                open = Some((ticks, line.len() - bare.len()));
                found.push(Fence {
                    line: number + 1,
                    info: bare[ticks.len()..].trim(),
                    body: Vec::new(),
                    closed: false,
                });
            }
            None => {}
        }
    }
    found
}

/// Languages whose fences are only looked at.
const SHOWN: [&str; 6] = ["text", "toml", "json", "rust", "diff", "mermaid"];

impl Fence<'_> {
    fn step(&self) -> Result<Step, String> {
        if !self.closed {
            return Err("the fence is not closed".to_owned());
        }
        let mut words = self.info.split(',').map(str::trim);
        let language = words.next().unwrap_or_default();
        let order = words.next();
        if words.next().is_some() {
            return Err(format!("`{}` says more than one thing to do", self.info));
        }
        match (
            language,
            order.map(|order| order.split_once('=').unwrap_or((order, ""))),
        ) {
            ("", _) => {
                Err("the fence has no tag: say what it holds, `console` or `text` for instance".to_owned())
            }
            ("console", None) => Ok(Step::Run(self.commands()?)),
            ("console", Some(("until", ""))) => Ok(Step::Until(self.commands()?)),
            ("console", Some(("server", ""))) => Ok(Step::Serve(self.commands()?)),
            ("text", Some(("stop", program))) if !program.is_empty() => {
                let program = program.to_owned();
                Ok(Step::Stop { program })
            }
            (language, Some(("file", file))) if SHOWN.contains(&language) => self.write(file),
            (language, None) if SHOWN.contains(&language) => Ok(Step::Show),
            _ => Err(format!(
                "`{}` is no tag of a chapter: a command that is shown must be run, so write it as `console`",
                self.info
            )),
        }
    }

    fn write(&self, file: &str) -> Result<Step, String> {
        if file.is_empty() || file.contains(['/', '\\']) || file.starts_with('.') {
            return Err(format!("`{file}` is no plain file name"));
        }
        let text = self.body.iter().map(|line| format!("{line}\n")).collect();
        let file = file.to_owned();
        Ok(Step::Write { file, text })
    }

    fn commands(&self) -> Result<Vec<Command>, String> {
        let mut found: Vec<Command> = Vec::new();
        for (offset, line) in self.body.iter().enumerate() {
            if let Some(typed) = line.strip_prefix("$ ") {
                found.iter_mut().for_each(Command::close);
                found.push(command(typed, self.line + 1 + offset));
            } else if let Some(last) = found.last_mut() {
                last.shown.push((*line).to_owned());
            } else {
                return Err(format!(
                    "`{line}` stands where a command should: begin it with `$ `"
                ));
            }
        }
        found.iter_mut().for_each(Command::close);
        if found.is_empty() {
            return Err("a `console` fence without a command runs nothing".to_owned());
        }
        Ok(found)
    }
}

fn command(typed: &str, line: usize) -> Command {
    let plain = |file: &str| {
        file.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let (text, into) = match typed.rsplit_once(" > ") {
        Some((text, file)) if plain(file.trim()) => (text, Some(file.trim().to_owned())),
        _ => (typed, None),
    };
    Command {
        line,
        text: text.trim().to_owned(),
        into,
        shown: Vec::new(),
    }
}
