//! The rules of the catalog, without HTTP and without SQL.

use chrono::NaiveDateTime;

use crate::money::Money;
use crate::words::{Search, index_entry};

/// A product as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) sku: String,
    pub(crate) version: i64,
    pub(crate) details: Details,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
}

impl Product {
    /// The texts that a search looks at.
    pub(crate) fn texts(&self) -> [&str; 3] {
        [&self.sku, &self.details.name, &self.details.description]
    }
}

/// What a client says about a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Slug of the category.
    pub(crate) category: String,
    pub(crate) price: Money,
    pub(crate) status: Status,
}

impl Details {
    /// What the full-text index keeps of a product with these details.
    pub(crate) fn index_entry(&self, sku: &str) -> String {
        index_entry([sku, &self.name, &self.description])
    }
}

/// Whether a product can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Discontinued,
}

impl Status {
    /// The word that the database keeps.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Discontinued => "discontinued",
        }
    }

    /// Reads the word that the database keeps; a CHECK constraint allows no third one.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            _ => Self::Discontinued,
        }
    }
}

/// One entry of a product's price history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PricePoint {
    pub(crate) price: Money,
    pub(crate) from: NaiveDateTime,
}

/// What a list of products is narrowed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) search: Option<Search>,
    pub(crate) category: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) skus: Option<Vec<String>>,
}

/// A category and how many products it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Category {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) products: i64,
}

/// Which versions a write may find (RFC 9110, section 13.1.1, `If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Whatever version it is.
    None,
    /// One of these entity tags.
    Tags(Vec<String>),
}

impl Precondition {
    /// Whether a product at this version may be written.
    pub(crate) fn holds(&self, version: i64) -> bool {
        match self {
            Self::None => true,
            Self::Tags(tags) => tags.contains(&entity_tag(version)),
        }
    }
}

/// The entity tag of a version (RFC 9110, section 8.8.3).
pub(crate) fn entity_tag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// Whether a SKU can exist: 1 to 64 letters, digits, spaces, dots, underscores or hyphens; no space at either end; not
/// `.` or `..`, which a path cannot carry.
pub(crate) fn is_sku(sku: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c == ' ');
    let bounds = !edge(sku.chars().next()) && !edge(sku.chars().next_back());
    let letters = sku
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-'));
    bounds && letters && sku.len() <= 64 && !matches!(sku, "." | "..")
}

/// Whether a text is the slug of a category: 1 to 64 lower-case letters, digits or hyphens.
pub(crate) fn is_slug(slug: &str) -> bool {
    (1..=64).contains(&slug.len()) && slug.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_what_a_shelf_label_and_a_path_can_carry() {
        for good in [
            "85123A",
            "85123a",
            "BANK CHARGES",
            "gift_0001_40",
            "a.b",
            "-",
            "...",
        ] {
            assert!(is_sku(good), "{good}");
        }
        for bad in [
            "",
            " ",
            " a",
            "a ",
            ".",
            "..",
            "a/b",
            "a;b",
            "ä",
            "a\0",
            &"x".repeat(65),
        ] {
            assert!(!is_sku(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_precondition_holds_for_the_very_tag_alone() {
        let tags = |tag: &str| Precondition::Tags(vec![tag.to_owned()]);
        assert!(tags("\"v3\"").holds(3));
        for other in ["\"v4\"", "W/\"v3\"", "v3", "\"v03\"", ""] {
            assert!(!tags(other).holds(3), "{other}");
        }
        assert!(Precondition::None.holds(7));
    }
}
