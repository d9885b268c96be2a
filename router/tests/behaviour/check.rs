//! `banyan check`: every kind of mistake is refused, with its line and with what to do about it.

use crate::support::router::run;

const GOOD: &str = r#"[router]
listen  = "127.0.0.1:8080"
admin   = "127.0.0.1:8081"
workers = 2

[upstreams]
monolith = "http://127.0.0.1:8100"
catalog  = "http://127.0.0.1:8101"

[modules.catalog]
service = "catalog"

[[modules.catalog.routes]]
name    = "get-product"
match   = "GET /api/products/{sku}"
mode    = "canary"
percent = 10
sticky  = "header:x-customer"

[flags]
catalog = "local"
"#;

struct Checked {
    code: Option<i32>,
    complaints: String,
}

fn check(text: &[u8]) -> Checked {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("banyan.toml");
    std::fs::write(&file, text).unwrap();
    let output = run(&["check", file.to_str().unwrap()]);
    let complaints = String::from_utf8(output.stderr)
        .unwrap()
        .replace(&format!("{}/", folder.path().display()), "");
    Checked {
        code: output.status.code(),
        complaints,
    }
}

#[test]
fn a_good_file_is_valid() {
    let checked = check(GOOD.as_bytes());
    assert_eq!((checked.code, checked.complaints.as_str()), (Some(0), ""));
}

/// It is read by a program that no other test builds, and a fuzz target that cannot start finds nothing.
#[test]
fn the_file_of_the_fuzz_target_is_valid() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fuzz/fuzz_targets/matcher.toml"
    );
    let checked = check(&std::fs::read(file).unwrap());
    assert_eq!((checked.code, checked.complaints.as_str()), (Some(0), ""));
}

/// What is changed in the good file, into what, and what must be said of it.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "workers = 2",
        "wrokers = 2",
        "banyan.toml:4:1: router.wrokers: unknown key `wrokers`; did you mean `workers`?",
    ),
    (
        "workers = 2",
        "workers = 0",
        ":4:11: router.workers: 0 is out of range",
    ),
    (
        "workers = 2",
        "workers = \"2\"",
        ":4:11: router.workers: expected a decimal number",
    ),
    (
        "workers = 2",
        "connect_timeout = \"2 s\"",
        ":4:19: router.connect_timeout: \"2 s\" has no known unit",
    ),
    (
        "workers = 2",
        "trusted_proxies = [\"10.0.0.0/99\"]",
        ":4:20: router.trusted_proxies",
    ),
    (
        "127.0.0.1:8081",
        "127.0.0.1:8080",
        ":3:11: router.admin: listen and admin are both",
    ),
    (
        "127.0.0.1:8081",
        "8081",
        ":3:11: router.admin: \"8081\" is not an address",
    ),
    (
        "http://127.0.0.1:8100",
        "http://127.0.0.1:8100/base",
        ":7:12: upstreams.monolith",
    ),
    (
        "http://127.0.0.1:8100",
        "ftp://x",
        ":7:12: upstreams.monolith: \"ftp://x\" is not http",
    ),
    (
        "monolith = \"http",
        "monolit = \"http",
        ":6:1: upstreams: there is no upstream `monolith`",
    ),
    (
        "service = \"catalog\"",
        "service = \"catalogue\"",
        ":11:11: modules.catalog.service: unknown upstream \"catalogue\"",
    ),
    (
        "service = \"catalog\"",
        "",
        ":16:11: modules.catalog.routes[0].mode: mode \"canary\", but the module catalog has no service",
    ),
    (
        "percent = 10",
        "percent = 101",
        ":17:11: modules.catalog.routes[0].percent: percent 101 is above 100",
    ),
    ("percent = 10", "percent = -1", "percent -1 is below 0"),
    (
        "percent = 10",
        "percent = 1.005",
        "percent 1.005 has more than two places",
    ),
    (
        "percent = 10",
        "percent = nan",
        "percent nan is not a plain decimal",
    ),
    (
        "percent = 10",
        "",
        ":16:11: modules.catalog.routes[0].mode: mode \"canary\" without percent",
    ),
    (
        "\"canary\"",
        "\"service\"",
        ":17:11: modules.catalog.routes[0].percent: percent has no meaning in mode \"service\"",
    ),
    (
        "\"canary\"",
        "\"by-owner\"",
        ":17:11: modules.catalog.routes[0].percent: percent has no meaning in mode \"by-owner\"",
    ),
    (
        "\"GET /api/products/{sku}\"\nmode    = \"canary\"\npercent = 10",
        "\"POST /api/products\"\nmode    = \"service\"",
        ":16:11: modules.catalog.routes[0].mode: mode \"service\" on a route that matches POST: the service does not \
         accept the writes of module catalog; hand the data over first and say writes = \"service\"",
    ),
    (
        "\"GET /api/products/{sku}\"\nmode    = \"canary\"\npercent = 10",
        "\"GET,PUT /api/products\"\nmode    = \"shadow\"",
        "mode \"shadow\" on a route that matches PUT: only safe methods can be served by two sides",
    ),
    (
        "\"GET /api/products/{sku}\"",
        "\"* /api/products\"",
        "mode \"canary\" on a route that matches *: only safe methods",
    ),
    (
        "service = \"catalog\"",
        "service = \"catalog\"\nwrites = \"catalog\"",
        ":12:10: modules.catalog.writes: unknown owner \"catalog\"; write \"monolith\" or \"service\"",
    ),
    ("workers = 2", "state = \"postgre:typo\"", ":4:9: router.state"),
    (
        "[flags]",
        "[shadow]\nmemory = \"2MB\"\n[flags]",
        ":21:10: shadow.memory: \"2MB\" has no known unit; write a size such as 512KiB or 2MiB",
    ),
    (
        "[flags]",
        "[fallback]\ncircuit_failures = 0\n[flags]",
        ":21:20: fallback.circuit_failures: 0 is out of range",
    ),
    (
        "\"canary\"",
        "\"canry\"",
        ":16:11: modules.catalog.routes[0].mode: unknown mode \"canry\"",
    ),
    (
        "header:x-customer",
        "header:",
        ":18:11: modules.catalog.routes[0].sticky",
    ),
    ("header:x-customer", "ip", "sticky \"ip\" is not understood"),
    (
        "GET /api/products/{sku}",
        "GET api",
        ":15:11: modules.catalog.routes[0].match: the path \"api\" does not start",
    ),
    (
        "GET /api/products/{sku}",
        "GET /a/{sku",
        "bad template \"/a/{sku\"",
    ),
    (
        "GET /api/products/{sku}",
        "GET /a/{*rest}/b",
        "`{*rest}` is not at the end",
    ),
    (
        "GET /api/products/{sku}",
        "GET /a/../b",
        "`..` is unusual (dot-segment)",
    ),
    ("GET /api/products/{sku}", "GET /{a}/{a}", "uses {a} twice"),
    ("GET /api/products/{sku}", "get /a", "\"get\" is not a method"),
    (
        "GET /api/products/{sku}",
        "/a",
        "\"/a\" is not a method and a path",
    ),
    (
        "\"get-product\"",
        "\"get product\"",
        ":14:11: modules.catalog.routes[0].name",
    ),
    (
        "name    =",
        "nmae    =",
        ":14:1: modules.catalog.routes[0].nmae: unknown key `nmae`; did you mean `name`?",
    ),
    ("[router]\n", "[rooter]\n", "the section [router] is missing"),
    (
        "[flags]",
        "[flag]",
        ":20:2: flag: unknown key `flag`; did you mean `flags`?",
    ),
    ("workers = 2", "workers = = 2", ":4:11: not valid TOML"),
    ("[flags]", "[router]", ":20:2: not valid TOML: duplicate key"),
];

#[test]
fn each_mistake_is_refused_with_its_line() {
    for (from, to, expected) in MISTAKES {
        assert!(GOOD.contains(from), "{from}");
        let checked = check(GOOD.replacen(from, to, 1).as_bytes());
        assert_eq!(checked.code, Some(1), "{to} was taken");
        assert!(
            checked.complaints.contains(expected),
            "for {to}\nwanted {expected}\ngot {}",
            checked.complaints
        );
    }
}

#[test]
fn routes_that_claim_the_same_are_refused_naming_both_lines() {
    let add = |rule: &str, name: &str| {
        let route = format!(
            "[[modules.catalog.routes]]\nname = \"{name}\"\nmatch = \"{rule}\"\nmode = \"monolith\"\n[flags]"
        );
        check(GOOD.replace("[flags]", &route).as_bytes())
    };
    let equal = add("GET /api/products/{id}", "other");
    assert_eq!(equal.code, Some(1));
    assert!(
        equal.complaints.contains(":22:9: ") && equal.complaints.contains("on line 15"),
        "{}",
        equal.complaints
    );
    let crossing = add("GET /api/{kind}/ABC", "other");
    assert!(
        crossing.complaints.contains("both match GET /api/products/ABC"),
        "{}",
        crossing.complaints
    );
    let named_twice = add("GET /other", "get-product");
    assert!(
        named_twice.complaints.contains(":21:8: "),
        "{}",
        named_twice.complaints
    );
    assert!(
        named_twice.complaints.contains("already used on line 14"),
        "{}",
        named_twice.complaints
    );
    assert_eq!(add("POST /api/products/{sku}", "other").code, Some(0));
    assert_eq!(add("GET /api/products/ABC", "other").code, Some(0));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = GOOD
        .replace("workers = 2", "wrokers = 2")
        .replace("= 10", "= 101")
        .replace("\"catalog\"\n\n[[", "\"x\"\n\n[[");
    let checked = check(text.as_bytes());
    assert_eq!(checked.complaints.lines().count(), 4, "{}", checked.complaints);
    assert!(checked.complaints.ends_with("refused, 3 mistakes\n"));
}

#[test]
fn files_that_are_none_are_refused() {
    let empty = check(b"");
    assert_eq!(empty.code, Some(1));
    assert!(
        empty.complaints.contains("[router] is missing")
            && empty.complaints.contains("[upstreams] is missing")
    );
    assert!(
        check(b"[router]\n# caf\xe9\n")
            .complaints
            .contains(":2:6: the file is not UTF-8")
    );
    let missing = run(&["check", "/nonexistent/banyan.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&missing.stderr)
            .contains("/nonexistent/banyan.toml:1:1: cannot read the file")
    );
}

#[test]
fn answers_as_json_and_exit_codes_for_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("banyan.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, GOOD.replace("= 10", "= 101")).unwrap();
    let output = run(&["check", "--json", path]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        (&answer["valid"], &answer["faults"][0]["line"]),
        (&false.into(), &17.into())
    );
    for command in [
        &["serve", "--config", path][..],
        &["routes", "--config", path],
        &["why", "GET", "/", "--config", path],
    ] {
        assert_eq!(run(command).status.code(), Some(1), "{command:?}");
    }
    std::fs::write(&file, GOOD).unwrap();
    let routes = run(&["routes", "--config", path]);
    let table = String::from_utf8(routes.stdout).unwrap();
    assert!(
        table.contains("get-product") && table.contains("canary 10 %") && table.contains("everything else")
    );
    assert_eq!(run(&["why"]).status.code(), Some(2));
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2));
}
