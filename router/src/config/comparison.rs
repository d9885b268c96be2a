//! `[compare]` and each route's `compare`: what a comparison of two answers looks at.
//!
//! For the shadow. What the section says holds for every route; a route's own lists come on top of it, and its own words
//! (`headers`, `null_is_absent`) take the place of the section's.

use http::HeaderName;
use toml::de::DeValue;

use super::document::judged;
use super::reader::{At, Reader, Section};
use super::values::{self, Complaint};
use crate::compare::noise::Thresholds;
use crate::compare::{Place, Rules, Tolerance};

/// The section: rules for every route, and what counts as noise.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Comparison {
    pub(super) rules: Rules,
    pub(super) noise: Thresholds,
}

/// Reads `[compare]`.
pub(super) fn section(reader: &Reader<'_>, section: Option<Section<'_>>) -> Comparison {
    let mut comparison = Comparison::default();
    let Some(section) = section else {
        return comparison;
    };
    read_rules(reader, &section, &mut comparison.rules);
    let share = |key| judged(reader, section.number(key), percentage).map(|share| share.value);
    let noise = &mut comparison.noise;
    noise.relative = share("noise_relative").unwrap_or(noise.relative);
    noise.absolute = share("noise_absolute").unwrap_or(noise.absolute);
    let least = judged(reader, section.number("noise_least"), |text| {
        values::whole(text, 1..=1_000_000)
    });
    noise.least = least.map_or(noise.least, |least| least.value as u64);
    section.finish();
    comparison
}

/// Reads a route's `compare`.
pub(super) fn of_route(reader: &Reader<'_>, section: Option<Section<'_>>) -> Option<OfRoute> {
    let section = section?;
    let mut own = Rules {
        headers: Vec::new(),
        ..Rules::default()
    };
    let says_null = section.flag("null_is_absent").map(|flag| flag.value);
    read_rules(reader, &section, &mut own);
    section.finish();
    Some(OfRoute { own, says_null })
}

/// What one route says.
pub(super) struct OfRoute {
    own: Rules,
    says_null: Option<bool>,
}

impl OfRoute {
    /// The rules for the route, given those for all.
    pub(super) fn on_top_of(self, all: &Rules) -> Rules {
        let both = |all: &[Place], own: Vec<Place>| all.iter().cloned().chain(own).collect();
        Rules {
            ignore: both(&all.ignore, self.own.ignore),
            unordered: both(&all.unordered, self.own.unordered),
            redact: both(&all.redact, self.own.redact),
            // The first that matches counts, so a route's own come first.
            tolerance: self
                .own
                .tolerance
                .into_iter()
                .chain(all.tolerance.clone())
                .collect(),
            null_is_absent: self.says_null.unwrap_or(all.null_is_absent),
            headers: match self.own.headers.is_empty() {
                true => all.headers.clone(),
                false => self.own.headers,
            },
        }
    }
}

fn read_rules(reader: &Reader<'_>, section: &Section<'_>, rules: &mut Rules) {
    let places = |key| {
        let texts = section.texts(key).into_iter();
        let places = texts.filter_map(|text| judged(reader, Some(text), Place::parse));
        places.map(|place| place.value).collect()
    };
    rules.ignore = places("ignore");
    rules.unordered = places("unordered");
    rules.redact = places("redact");
    let names = section.texts("headers").into_iter();
    let names = names.filter_map(|text| judged(reader, Some(text), header));
    let names: Vec<HeaderName> = names.map(|name| name.value).collect();
    if !names.is_empty() {
        rules.headers = names;
    }
    if let Some(flag) = section.flag("null_is_absent") {
        rules.null_is_absent = flag.value;
    }
    if let Some(table) = section.section("tolerance") {
        rules.tolerance = read_tolerances(reader, &table);
    }
}

fn read_tolerances(reader: &Reader<'_>, table: &Section<'_>) -> Vec<(Place, Tolerance)> {
    let entries = table.entries().into_iter().filter_map(|(name, value)| {
        let at = |text: String| At {
            value: text,
            key: name.key.clone(),
            span: value.span(),
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            _ => String::new(),
        };
        let text = at(text);
        let place = judged(
            reader,
            Some(At {
                value: name.value.as_str(),
                key: name.key.clone(),
                span: name.span.clone(),
            }),
            Place::parse,
        );
        let tolerance = judged(
            reader,
            Some(At {
                value: text.value.as_str(),
                key: text.key.clone(),
                span: text.span.clone(),
            }),
            tolerance,
        );
        Some((place?.value, tolerance?.value))
    });
    entries.collect()
}

/// Reads `0.01`, in the number's own unit, or `"1%"` of the larger number.
fn tolerance(text: &str) -> Result<Tolerance, Complaint> {
    let (number, is_share) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), true),
        None => (text, false),
    };
    let value = number.parse::<f64>().ok();
    let Some(value) = value.filter(|value| value.is_finite() && *value >= 0.0) else {
        return Err((
            format!("\"{text}\" is not a tolerance"),
            "write a number such as 0.01, or a share such as \"1%\"".to_owned(),
        ));
    };
    Ok(match is_share {
        true => Tolerance {
            absolute: 0.0,
            relative: value / 100.0,
        },
        false => Tolerance {
            absolute: value,
            relative: 0.0,
        },
    })
}

/// Reads a percentage of 0 to 100 with any number of places.
pub(super) fn percentage(text: &str) -> Result<f64, Complaint> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| {
        (
            format!("{text} is not between 0 and 100"),
            "give a percentage such as 0.5".to_owned(),
        )
    })
}

fn header(text: &str) -> Result<HeaderName, Complaint> {
    let name = values::header_name(text)?;
    name.parse().map_err(|_| {
        (
            format!("\"{text}\" cannot name a header"),
            "write such as \"etag\"".to_owned(),
        )
    })
}
