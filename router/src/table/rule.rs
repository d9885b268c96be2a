//! What a rule says: methods, a path template and a host, read from their notations.
//!
//! For the config and the [`super::Table`]. Literals are kept decoded, since requests are compared decoded.

use std::fmt;

use crate::path;

/// What is wrong and what to write instead.
type Complaint = (String, String);

/// Methods and path, such as `GET,HEAD /api/products/{sku}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchRule {
    /// Which methods.
    pub methods: Methods,
    /// The path, split at its slashes.
    pub segments: Vec<Segment>,
    text: String,
}

/// Which methods a rule applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// `*`
    Any,
    /// At least one.
    Named(Vec<String>),
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly these bytes, after decoding.
    Literal(Vec<u8>),
    /// `{name}`: any one segment that is not empty.
    Parameter(String),
    /// `{*name}`: all that is left, at least one character.
    Rest(String),
}

/// Which hosts a rule applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host that ends so; starts with a dot.
    Below(String),
}

/// Whether a method asks for no change (RFC 9110, section 9.2.1). TRACE is safe too, but nobody wants it repeated.
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

impl MatchRule {
    /// Reads the notation.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let remedy = "write METHOD PATH, such as \"GET /api/products/{sku}\"";
        let mut words = text.split_whitespace();
        let (Some(methods), Some(path), None) = (words.next(), words.next(), words.next()) else {
            return Err((
                format!("\"{text}\" is not a method and a path"),
                remedy.to_owned(),
            ));
        };
        let segments = parse_template(path)?;
        Ok(Self {
            methods: Methods::parse(methods)?,
            segments,
            text: format!("{methods} {path}"),
        })
    }
}

impl fmt::Display for MatchRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Methods {
    fn parse(text: &str) -> Result<Self, Complaint> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',') {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_uppercase() || c == '-') {
                let upper = name.to_ascii_uppercase();
                let reason = format!("\"{name}\" is not a method (methods are case-sensitive)");
                return Err((
                    reason,
                    format!(
                        "write such as {}, or * for all",
                        if upper.is_empty() { "GET" } else { &upper }
                    ),
                ));
            }
            if name == "CONNECT" {
                return Err((
                    "the method CONNECT cannot be routed".to_owned(),
                    "remove it".to_owned(),
                ));
            }
            if names.iter().any(|known| known == name) {
                return Err((
                    format!("the method {name} is named twice"),
                    "name it once".to_owned(),
                ));
            }
            names.push(name.to_owned());
        }
        Ok(Self::Named(names))
    }

    /// A method among them that may change something (RFC 9110, section 9.2.1), or `*` for any.
    pub fn unsafe_one(&self) -> Option<&str> {
        match self {
            Self::Any => Some("*"),
            Self::Named(names) => names.iter().map(String::as_str).find(|name| !is_safe(name)),
        }
    }

    /// A method that both apply to, with GET's implied HEAD left out: naming HEAD elsewhere is how it is overruled.
    pub(super) fn shared(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Any, Self::Any) => Some("*".to_owned()),
            (Self::Any, Self::Named(names)) | (Self::Named(names), Self::Any) => names.first().cloned(),
            (Self::Named(left), Self::Named(right)) => left.iter().find(|name| right.contains(name)).cloned(),
        }
    }

    /// Whether each method of the other is among these.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Named(_), Self::Any) => false,
            (Self::Named(own), Self::Named(others)) => others.iter().all(|name| own.contains(name)),
        }
    }
}

fn parse_template(path: &str) -> Result<Vec<Segment>, Complaint> {
    let Some(inner) = path.strip_prefix('/') else {
        return Err((
            format!("the path \"{path}\" does not start with a slash"),
            format!("write \"/{path}\""),
        ));
    };
    if let Some(mark) = path.chars().find(|c| matches!(c, '?' | '#' | ';' | '\\')) {
        let reason = format!("the path \"{path}\" contains `{mark}`");
        return Err((reason, "a rule matches the path alone; leave it out".to_owned()));
    }
    let count = inner.split('/').count();
    let mut segments = Vec::with_capacity(count);
    for (number, text) in inner.split('/').enumerate() {
        let is_last = number + 1 == count;
        let segment = parse_segment(path, text, is_last)?;
        let name = |segment: &Segment| match segment {
            Segment::Parameter(name) | Segment::Rest(name) => Some(name.clone()),
            Segment::Literal(_) => None,
        };
        if let Some(own) = name(&segment).filter(|own| segments.iter().any(|s| name(s).as_ref() == Some(own)))
        {
            return Err((
                format!("the path \"{path}\" uses {{{own}}} twice"),
                "give each its own name".to_owned(),
            ));
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn parse_segment(path: &str, text: &str, is_last: bool) -> Result<Segment, Complaint> {
    let bad = |why: &str, remedy: &str| Err((format!("bad template \"{path}\": {why}"), remedy.to_owned()));
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    if let Some(name) = inside.filter(|name| !name.contains(['{', '}'])) {
        let (name, is_rest) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return bad(
                &format!("`{text}` has no proper name"),
                "write such as {sku} or {*rest}",
            );
        }
        return match (is_rest, is_last) {
            (true, false) => bad(&format!("`{text}` is not at the end"), "move it to the end"),
            (true, true) => Ok(Segment::Rest(name.to_owned())),
            (false, _) => Ok(Segment::Parameter(name.to_owned())),
        };
    }
    if text.contains(['{', '}']) {
        return bad(
            &format!("`{text}` mixes braces and text"),
            "let {name} fill the whole segment",
        );
    }
    if text.is_empty() && !is_last {
        return bad("it has an empty segment", "remove the doubled slash");
    }
    match path::literal(text) {
        Ok(bytes) => Ok(Segment::Literal(bytes)),
        Err(why) => bad(&format!("`{text}` {why}"), "write it as clients send it"),
    }
}

impl HostPattern {
    /// Reads `shop.example.com` or `*.example.com`.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let lower = text.to_ascii_lowercase();
        let (name, is_wildcard) = lower
            .strip_prefix("*.")
            .map_or((lower.as_str(), false), |rest| (rest, true));
        let label = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        if !name.split('.').all(label) {
            let remedy = "write a host without port, such as shop.example.com or *.example.com";
            return Err((format!("\"{text}\" is not a host"), remedy.to_owned()));
        }
        Ok(if is_wildcard {
            Self::Below(format!(".{name}"))
        } else {
            Self::Exact(name.to_owned())
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}
