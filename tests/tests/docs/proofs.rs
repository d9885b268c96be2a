//! Proves that the lint says no, one small chapter for each rule, wrong in that rule alone; and that a run ends as it should.

use std::path::Path;

use banyan_tests::programs;
use libtest_mimic::Trial;

use super::{lint, run};

const SUMMARY: &str = "- [A](chapters/a.md)";

/// A name, a chapter, and a part of what the lint must say about it.
const WRONG: [(&str, &str, &str); 14] = [
    (
        "an_unregistered_command",
        "```console\n$ curl http://127.0.0.1\n```",
        "line 2: `curl` is not registered",
    ),
    (
        "an_unregistered_server",
        "```console,server\n$ nginx\n```\n```console\n$ banyan check\n```",
        "`nginx` is not registered",
    ),
    (
        "an_untagged_fence",
        "```console\n$ banyan check\n```\n```\nhello\n```",
        "line 4: the fence has no tag",
    ),
    (
        "a_fence_that_is_not_closed",
        "```console\n$ banyan check\n",
        "line 1: the fence is not closed",
    ),
    (
        "a_chapter_without_a_fence",
        "# Only words",
        "nothing in it is run",
    ),
    (
        "a_chapter_that_only_starts_servers",
        "```console,server\n$ monolith serve\n```",
        "nothing in it is run",
    ),
    (
        "a_console_fence_without_a_command",
        "```console\n```",
        "without a command",
    ),
    (
        "output_without_a_command",
        "```console\nvalid\n```",
        "`valid` stands where a command should",
    ),
    (
        "a_fence_that_trycmd_would_skip",
        "```console,ignore\n$ banyan check\n```",
        "`console,ignore` is no tag",
    ),
    (
        "a_shell_fence_that_nobody_runs",
        "```sh\nrm -r data\n```",
        "`sh` is no tag",
    ),
    (
        "a_file_outside_the_folder",
        "```toml,file=../x.toml\n```",
        "`../x.toml` is no plain file name",
    ),
    (
        "a_stop_of_what_does_not_run",
        "```console\n$ banyan check\n```\n```text,stop=catalog\n^C\n```",
        "does not run here",
    ),
    (
        "two_servers_in_one_terminal",
        "```console,server\n$ monolith serve\n$ catalog serve\n```",
        "one command",
    ),
    (
        "a_redirection_with_output",
        "```console\n$ monolith token > t\nabc\n```",
        "fence of its own",
    ),
];

const RIGHT: &str = "```toml,file=banyan.toml\n```\n```console,server\n$ banyan serve\n```\n\
                     ```console\n$ monolith token > t\n```\n```console\n$ banyan check\nvalid\n```\n\
                     ```text,stop=banyan\n^C\n```\n```text\nlook\n```";

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, text, expected) in WRONG {
        trials.push(Trial::test(format!("lint::refuses_{name}"), move || {
            let said = lint::chapter("a", text, SUMMARY).join("\n");
            check(
                said.contains(expected),
                &format!("expected `{expected}`, got:\n{said}"),
            )
        }));
    }
    trials.push(Trial::test(
        "lint::refuses_a_chapter_missing_in_the_summary",
        || {
            let said = lint::chapter("b", RIGHT, SUMMARY).join("\n");
            check(said.contains("not in SUMMARY.md"), &said)
        },
    ));
    trials.push(Trial::test(
        "lint::refuses_an_untagged_fence_and_a_dead_link_on_any_page",
        || {
            let said = lint::page("x", "```\n```\n[gone](nowhere.md)", Path::new(".")).join("\n");
            check(said.contains("no tag") && said.contains("nowhere.md"), &said)
        },
    ));
    trials.push(Trial::test("lint::takes_a_good_chapter", || {
        let said = lint::chapter("a", RIGHT, SUMMARY).join("\n");
        check(said.is_empty(), &said)
    }));
    trials
}

/// Two trials that need the programs.
pub fn of_runs() -> Vec<Trial> {
    vec![
        Trial::test("run::fails_where_a_server_does_not_come_up", || {
            let text = "```console,server\n$ banyan serve --config nowhere.toml\n```\n";
            let said = failure(text)?;
            check(
                said.contains("ended before it listened") && said.contains("nowhere.toml"),
                &said,
            )
        }),
        Trial::test("run::leaves_no_server_behind_when_a_step_fails", || {
            let text = "```toml,file=banyan.toml\n[router]\nlisten = \"127.0.0.1:8080\"\nadmin = \"127.0.0.1:8081\"\n\
                        [upstreams]\nmonolith = \"http://127.0.0.1:8100\"\n```\n\
                        ```console,server\n$ banyan serve\n```\n```console\n$ banyan check nowhere.toml > saved\n```\n";
            let said = failure(text)?;
            check(
                said.contains("chapter.md:11") && said.contains("nowhere.toml"),
                &said,
            )?;
            let address = said
                .split_once("\"router\":\"")
                .and_then(|(_, rest)| rest.split('"').next());
            let address = address.ok_or("the log does not say where the router listened")?;
            check(
                std::net::TcpStream::connect(address).is_err(),
                "the router still listens",
            )
        }),
    ]
}

/// What a run that must fail says.
fn failure(text: &str) -> Result<String, libtest_mimic::Failed> {
    match run::chapter("chapter", text, &programs::folder()) {
        Ok(()) => Err("the run passed".into()),
        Err(error) => Ok(error.to_string()),
    }
}

fn check(holds: bool, otherwise: &str) -> Result<(), libtest_mimic::Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
