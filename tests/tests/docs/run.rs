//! Does what a chapter says, step by step, in a folder of its own, and compares what the commands answer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use banyan_tests::process::Server;
use snapbox::filter::NormalizeToExpected;
use snapbox::{Data, IntoData};

use super::chapter::{Chapter, Command, Piece, Step};
use super::lint::PROGRAMS;
use super::ports::Ports;

/// How long a `console,until` may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// What goes wrong in a run, ready to read.
pub type Failed = Box<dyn std::error::Error>;

/// Runs a chapter up to the first step that is not as shown. Its servers end with it in every case.
pub fn chapter(name: &str, text: &str, programs: &Path) -> Result<(), Failed> {
    let ports = Ports::of(text)?;
    let chapter = Chapter::parse(name, &ports.apply(text)).map_err(|faults| faults[0].to_string())?;
    let scratch = tempfile::tempdir()?;
    let mut run = Run::prepare(&chapter.name, scratch.path(), programs, &ports)?;
    for piece in &chapter.pieces {
        run.step(piece)
            .map_err(|error| format!("{name}.md:{}: {error}\n{}", piece.line, run.logs()))?;
    }
    if run.executed == 0 {
        return Err("nothing was run".into());
    }
    Ok(())
}

struct Run<'c> {
    name: &'c str,
    /// The reader's folder.
    folder: PathBuf,
    /// Where the scripts for trycmd lie.
    scripts: PathBuf,
    programs: &'c Path,
    environment: Vec<(&'static str, String)>,
    /// Servers run until they are dropped, and are read from meanwhile.
    servers: Vec<Server>,
    runtime: tokio::runtime::Runtime,
    executed: usize,
}

impl<'c> Run<'c> {
    fn prepare(name: &'c str, scratch: &Path, programs: &'c Path, ports: &Ports) -> std::io::Result<Self> {
        let (folder, scripts) = (scratch.join("folder"), scratch.join("scripts"));
        fs::create_dir(&folder)?;
        fs::create_dir(&scripts)?;
        // Log lines go to standard error with a time in each; the chapters are about the answers.
        let mut environment = ports.environment();
        environment.push(("RUST_LOG", "off".to_owned()));
        Ok(Self {
            name,
            folder,
            scripts,
            programs,
            environment,
            servers: Vec::new(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
            executed: 0,
        })
    }

    fn step(&mut self, piece: &Piece) -> Result<(), Failed> {
        match &piece.step {
            Step::Show => {}
            Step::Write { file, text } => fs::write(self.folder.join(file), text)?,
            Step::Run(commands) => match commands.as_slice() {
                [command @ Command { into: Some(file), .. }] => self.save(command, file)?,
                _ => self.compare(piece.line, commands)?,
            },
            Step::Until(commands) => self.until(commands)?,
            Step::Serve(commands) => {
                let server = self.serve(&commands[0])?;
                self.servers.push(server);
            }
            Step::Stop { program } => {
                let at = self.servers.iter().position(|server| server.program() == program);
                let at = at.ok_or_else(|| format!("`{program}` does not run"))?;
                let status = self.runtime.block_on(self.servers.remove(at).stop())?;
                if !status.success() {
                    return Err(format!("`{program}` left with {status}").into());
                }
            }
        }
        Ok(())
    }

    /// Starts a server in the background. Its standard output must begin as shown.
    fn serve(&self, command: &Command) -> Result<Server, Failed> {
        let mut process = self.process(command);
        process.env("RUST_LOG", "info");
        let log = self.scripts.join(format!("{}.log", command.line));
        let server = self.runtime.block_on(Server::start(process, &log))?;
        match command.shown.as_slice() {
            [] => Ok(server),
            [shown] if shown == server.announced() => Ok(server),
            shown => Err(format!("shown is {shown:?}, and it says `{}`", server.announced()).into()),
        }
    }

    /// Runs commands under trycmd, which prints a report and panics if an answer is not as shown.
    fn compare(&mut self, line: usize, commands: &[Command]) -> Result<(), Failed> {
        let path = self
            .scripts
            .join(line.to_string())
            .join(format!("{}.md", self.name));
        self.lay(&path, &script(line, commands))?;
        let cases = trycmd::TestCases::new();
        cases.register_bins(PROGRAMS.map(|program| (program, self.programs.join(program))));
        for (name, value) in &self.environment {
            cases.env(*name, value);
        }
        cases.case(path);
        catch_unwind(AssertUnwindSafe(|| cases.run()))
            .map_err(|_| "an answer is not as shown: see trycmd's report above")?;
        self.executed += commands.len();
        Ok(())
    }

    /// trycmd runs a script `x.md` in the folder `x.in` beside it.
    fn lay(&self, path: &Path, script: &str) -> std::io::Result<()> {
        fs::create_dir(path.parent().unwrap_or(path))?;
        fs::write(path, script)?;
        std::os::unix::fs::symlink(&self.folder, path.with_extension("in"))
    }

    /// Runs a command whose output goes into a file.
    fn save(&mut self, command: &Command, file: &str) -> Result<(), Failed> {
        let output = self.process(command).output()?;
        if !output.status.success() {
            return Err(format!(
                "`{}` failed: {}",
                command.text,
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        fs::write(self.folder.join(file), output.stdout)?;
        self.executed += 1;
        Ok(())
    }

    /// Runs commands until their answers are as shown: a changed file takes effect within a moment, not at once.
    fn until(&mut self, commands: &[Command]) -> Result<(), Failed> {
        for command in commands {
            let began = Instant::now();
            let (code, shown) = command.expected();
            let expected = Data::text(shown.join("\n"));
            loop {
                let output = self.process(command).output()?;
                let both = [output.stdout, output.stderr].concat();
                let answer = String::from_utf8_lossy(&both).trim_end().to_owned();
                let matched = NormalizeToExpected::new()
                    .redact()
                    .normalize(answer.clone().into_data(), &expected);
                if matched == expected && output.status.code() == Some(code) {
                    break;
                }
                if began.elapsed() > PATIENCE {
                    return Err(
                        format!("`{}` still answers\n{answer}\nnot\n{expected}", command.text).into(),
                    );
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            self.executed += 1;
        }
        Ok(())
    }

    fn process(&self, command: &Command) -> std::process::Command {
        let mut words = shlex::Shlex::new(&command.text);
        let program = words.next().unwrap_or_default();
        let mut process = std::process::Command::new(self.programs.join(program));
        process
            .args(words)
            .current_dir(&self.folder)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        process
    }

    fn logs(&self) -> String {
        self.servers.iter().map(Server::log).collect()
    }
}

/// The commands as trycmd reads them. Empty lines in front let its report name the line of the chapter.
fn script(line: usize, commands: &[Command]) -> String {
    let mut script = "\n".repeat(line - 1);
    script.push_str("```console\n");
    for command in commands {
        script.push_str(&format!("$ {}\n", command.text));
        for shown in &command.shown {
            script.push_str(&format!("{shown}\n"));
        }
        // trycmd takes the last line break for the fence's; what our programs print ends with one of its own.
        if !command.expected().1.is_empty() {
            script.push('\n');
        }
    }
    script.push_str("```\n");
    script
}
