//! What an edit promises: the lines concerned say the new thing, and every other byte is as it was.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn percent(text: &str) -> Mode {
    Mode::Canary(Percent::parse(text).unwrap())
}

fn to(route: &str, to: Mode) -> Change {
    Change {
        route: route.to_owned(),
        to,
    }
}

fn edited(text: &str, route: &str, target: Mode) -> String {
    edit(text, &[to(route, target)]).unwrap()
}

/// A route with an alignment, comments at every place, and a neighbour.
const FILE: &str = "\
# The shop.
[modules.catalog]
service = 'catalog'   # port 8101

  # Reads first.
  [[modules.catalog.routes]]
  name    = \"get-product\"
  match   = \"GET /api/products/{sku}\"
  # Ann says: slowly.
  mode    = 'canary'  # since May
  # One in ten.
  percent = 10
  sticky  = \"header:x-customer\"
[[modules.catalog.routes]]
name = \"list-products\"
match = \"GET /api/products\"
mode = \"monolith\"
";

#[test]
fn a_word_and_a_number_change_within_their_quotes_alignment_and_comments() {
    let more = edited(FILE, "get-product", percent("12.50"));
    assert_eq!(more, FILE.replace("percent = 10", "percent = 12.5"));
    assert_eq!(edited(&more, "get-product", percent("10")), FILE);
}

#[test]
fn a_percent_without_meaning_goes_with_its_line_and_leaves_the_comments_above() {
    let expected = FILE
        .replace("'canary'", "'service'")
        .replace("  percent = 10\n", "");
    assert_eq!(edited(FILE, "get-product", Mode::Service), expected);
}

#[test]
fn a_comment_behind_a_percent_that_goes_stays() {
    let file = FILE.replace("percent = 10", "percent = 10  # ticket 7");
    let expected = FILE
        .replace("'canary'", "'shadow'")
        .replace("percent = 10", "# ticket 7");
    assert_eq!(edited(&file, "get-product", Mode::Shadow), expected);
}

#[test]
fn a_new_percent_comes_right_after_the_mode_and_is_aligned_with_it() {
    let without = FILE
        .replace("  percent = 10\n", "")
        .replace("'canary'", "'monolith'");
    let expected = without.replace(
        "'monolith'  # since May\n",
        "'canary'  # since May\n  percent = 0.25\n",
    );
    let canary = edited(&without, "get-product", percent("0.25"));
    assert_eq!(canary, expected);
    assert_eq!(edited(&canary, "get-product", Mode::Monolith), without);
    let tight = without.replace("mode    = ", "\"mode\"=");
    let canary = edited(&tight, "get-product", percent("5"));
    assert!(
        canary.contains("\n  \"mode\"='canary'  # since May\n  percent=5\n"),
        "{canary}"
    );
    let wide = without.replace("mode    = ", "mode          = ");
    let canary = edited(&wide, "get-product", percent("5"));
    assert!(canary.contains("\n  percent       = 5\n"), "{canary}");
}

#[test]
fn line_ends_byte_order_mark_and_a_missing_last_newline_stay() {
    let file = format!("\u{feff}{}", FILE.trim_end().replace('\n', "\r\n"));
    let canary = edited(&file, "list-products", percent("1"));
    let expected = format!(
        "{}mode = \"canary\"\r\npercent = 1",
        file.strip_suffix("mode = \"monolith\"").unwrap()
    );
    assert_eq!(canary, expected);
    assert_eq!(edited(&canary, "list-products", Mode::Monolith), file);
    let back = edited(
        &edited(&file, "get-product", Mode::Monolith),
        "get-product",
        percent("3"),
    );
    assert_eq!(back.replace("\r\n", "").matches('\n').count(), 0);
}

#[test]
fn a_wish_that_is_fulfilled_already_changes_no_byte() {
    let odd = FILE.replace("percent = 10", "percent = 10.00");
    assert_eq!(edited(&odd, "get-product", percent("10")), odd);
    assert_eq!(edited(&odd, "list-products", Mode::Monolith), odd);
    assert_eq!(edit(&odd, &[]).unwrap(), odd);
}

#[test]
fn braces_dotted_keys_and_quoted_keys_are_understood() {
    let file = "modules.\"catalog\".routes = [ # all of them\n  { name = \"a\", mode = \"monolith\", match = \"GET /a\" },\n\
                \t{ percent = 10, 'mode' = 'canary', name = 'b' }, # b\n  {name='c',mode='canary',percent=7}\n]\n";
    let canary = edited(file, "a", percent("2"));
    assert_eq!(canary, file.replace("\"monolith\"", "\"canary\", percent = 2"));
    assert_eq!(edited(&canary, "a", Mode::Monolith), file);
    let expected = file.replace("percent = 10, 'mode' = 'canary'", "'mode' = 'service'");
    assert_eq!(edited(file, "b", Mode::Service), expected);
    assert_eq!(
        edited(file, "c", Mode::Monolith),
        file.replace("'canary',percent=7", "'monolith'")
    );
}

#[test]
fn braces_over_several_lines_lose_the_line_and_one_comma() {
    let file = "[modules.m]\nroutes = [{\n  name = \"a\", # first\n  mode = \"canary\", # who\n  percent = 10, # much\n  x = 1\n}, {\n  \
                name = \"b\",\n  mode = \"canary\", # last but one\n  # alone\n  percent = 5\n}]\n";
    let expected = file
        .replace("\"canary\", # who", "\"service\", # who")
        .replace("  percent = 10, # much\n", "  # much\n");
    assert_eq!(edited(file, "a", Mode::Service), expected);
    let expected = file
        .replace("\"canary\", # last", "\"service\" # last")
        .replace("  percent = 5\n", "");
    assert_eq!(edited(file, "b", Mode::Service), expected);
    let dotted = "modules.m.routes = [{ name = 'a', mode = 'canary', y.z = [1], percent = 10 }]";
    assert_eq!(
        edited(dotted, "a", Mode::Service),
        "modules.m.routes = [{ name = 'a', mode = 'service', y.z = [1] }]"
    );
}

#[test]
fn an_unknown_route_is_refused_with_the_closest_names() {
    let error = edit(FILE, &[to("get-prodct", Mode::Service)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no route `get-prodct`; the closest are: get-product, list-products"
    );
    let none = edit("a = 1\n", &[to("x", Mode::Service)]).unwrap_err();
    assert_eq!(none.to_string(), "there is no route `x`; the file has none");
}

#[test]
fn what_cannot_be_edited_is_refused_with_its_line() {
    let twice = [
        to("get-product", Mode::Service),
        to("get-product", Mode::Monolith),
    ];
    assert!(matches!(edit(FILE, &twice), Err(EditError::Twice { .. })));
    let double = FILE.replace("list-products", "get-product");
    let ambiguous = edit(&double, &twice[..1]).unwrap_err().to_string();
    assert!(ambiguous.contains("line 7 and again on line 15"), "{ambiguous}");
    let bare = FILE.replace("mode = \"monolith\"", "mode = 7");
    let no_mode = edit(&bare, &[to("list-products", Mode::Service)]);
    assert!(matches!(no_mode, Err(EditError::NoMode { line: 15, .. })));
    let broken = edit(&FILE.replace("mode = \"monolith\"", "mode = \"mono"), &twice[..1]);
    assert!(
        matches!(broken, Err(EditError::NotToml { line: 17, .. })),
        "{broken:?}"
    );
}

/// One way to write one route, in the style that the dice choose.
fn random_route(dice: &mut StdRng, name: &str, newline: &str) -> String {
    let pad = " ".repeat(dice.random_range(0..9));
    let indent = ["", "  ", "\t"][dice.random_range(0..3)];
    let quote = ["\"", "'"][dice.random_range(0..2)];
    let comment = |dice: &mut StdRng| match dice.random_range(0..4) {
        0 => format!(" # mode = \"canary\" é {}", dice.random_range(0..99)),
        1 => "\t#".to_owned(),
        _ => String::new(),
    };
    let above = |dice: &mut StdRng| match dice.random_range(0..5) {
        0 => format!("{newline}# percent = 10 {{[\"{newline}"),
        1 => newline.to_owned(),
        _ => String::new(),
    };
    let mut lines = vec![
        format!("name{pad}= {quote}{name}{quote}"),
        format!("match{pad} = {quote}GET /{name}{quote}"),
    ];
    let mode = ["monolith", "service", "canary", "shadow"][dice.random_range(0..4)];
    let key = ["mode", "\"mode\"", "'mode'"][dice.random_range(0..3)];
    lines.push(format!("{key}{pad} = {quote}{mode}{quote}"));
    if mode == "canary" {
        lines.push(format!("percent{pad}= {}", dice.random_range(0..100)));
    }
    for place in 0..lines.len() {
        let other = dice.random_range(0..lines.len());
        lines.swap(place, other);
    }
    let mut text = format!("{indent}[[modules.m.routes]]{}{newline}", comment(dice));
    for line in lines {
        text += &format!("{}{indent}{line}{}{newline}", above(dice), comment(dice));
    }
    text
}

fn random_target(dice: &mut StdRng) -> Mode {
    match dice.random_range(0..4) {
        0 => Mode::Monolith,
        1 => Mode::Service,
        2 => Mode::Shadow,
        _ => percent(&format!(
            "{}.{}",
            dice.random_range(0..100),
            dice.random_range(0..100)
        )),
    }
}

#[test]
fn whatever_the_file_all_other_lines_stay_and_the_way_back_is_the_way_there() {
    for seed in 0..400 {
        let mut dice = StdRng::seed_from_u64(seed);
        let newline = ["\n", "\r\n"][dice.random_range(0..2)];
        let routes: Vec<String> = (0..4)
            .map(|number| random_route(&mut dice, &format!("r{number}"), newline))
            .collect();
        let mut file = format!(
            "{}[modules.m]{newline}",
            ["", "\u{feff}"][dice.random_range(0..2)]
        );
        file += &routes.concat();
        if dice.random_range(0..2) == 0 {
            file.truncate(file.trim_end().len());
        }
        let chosen = dice.random_range(0..4);
        let target = random_target(&mut dice);
        let name = format!("r{chosen}");
        let there = edited(&file, &name, target);
        // Each line of the input is there in the same order, but for those of the pair.
        let concerns = |line: &str| {
            let key = line.split('#').next().unwrap_or_default();
            key.contains("mode") && !key.contains("[[") || key.contains("percent")
        };
        let rest = |text: &str| -> Vec<String> {
            let kept = text.split_inclusive('\n').filter(|line| !concerns(line));
            kept.map(|line| line.trim_end_matches(['\r', '\n']).to_owned())
                .collect()
        };
        let trailing = |line: &String| !line.trim_start().starts_with('#');
        let (was, is) = (rest(&file), rest(&there));
        let (was, is): (Vec<_>, Vec<_>) = (
            was.into_iter().filter(trailing).collect(),
            is.into_iter().filter(trailing).collect(),
        );
        assert_eq!(was, is, "seed {seed}: {target}\n{file}\n---\n{there}");
        assert_eq!(
            file.matches('#').count(),
            there.matches('#').count(),
            "seed {seed}"
        );
        for (other, text) in routes.iter().enumerate().filter(|(other, _)| *other != chosen) {
            assert!(
                there.contains(text.trim_end()),
                "seed {seed}: route r{other} changed"
            );
        }
        assert_eq!(there.ends_with('\n'), file.ends_with('\n'), "seed {seed}");
        way_back(&file, &there, &name, target, seed);
    }
}

fn way_back(file: &str, there: &str, name: &str, target: Mode, seed: u64) {
    let found = read(file).unwrap();
    let entry = &found[name][0];
    let share = entry.percent.as_ref().map(|pair| &file[pair.value.clone()]);
    let origin = match (entry.mode_word.as_str(), share) {
        ("monolith", _) => Mode::Monolith,
        ("service", _) => Mode::Service,
        ("shadow", _) => Mode::Shadow,
        (_, share) => percent(share.unwrap()),
    };
    // Only a percent that stood there and was taken away can come back at another place.
    if origin.percent().is_none() || target.percent().is_some() {
        assert_eq!(
            edited(there, name, origin),
            file,
            "seed {seed}: {target} and back"
        );
    }
}
