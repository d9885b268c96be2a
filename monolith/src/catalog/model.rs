//! The rules of the catalog, without HTTP and without SQL.

use chrono::NaiveDateTime;

use crate::money::Money;

/// A product with everything that the catalog knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) price: Money,
    pub(crate) status: Status,
    pub(crate) version: i64,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
    pub(crate) deleted_at: Option<NaiveDateTime>,
}

/// What a client says about a product when it creates or replaces one.
#[derive(Clone, Debug)]
pub(crate) struct NewProduct {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) price: Money,
    pub(crate) status: Status,
}

/// Whether a product can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Discontinued,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Discontinued => "discontinued",
        }
    }

    pub(crate) fn of(on_sale: bool) -> Self {
        if on_sale { Self::Active } else { Self::Discontinued }
    }

    /// Reads what the database holds; a CHECK constraint keeps it to the two words.
    pub(crate) fn stored(word: &str) -> Self {
        if word == "active" {
            Self::Active
        } else {
            Self::Discontinued
        }
    }
}

/// What a list of products is narrowed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) words: Vec<String>,
    pub(crate) category: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) skus: Option<Vec<String>>,
}

/// The words of a text, for searching: lower case, split at everything that is neither letter nor digit.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The searchable words of a product in one string, each with a space on both sides, so that `LIKE '% word %'` finds
/// whole words and `LIKE '% wor%'` prefixes.
pub(crate) fn search_words(sku: &str, name: &str, description: &str) -> String {
    format!(" {} ", words(&format!("{sku} {name} {description}")).join(" "))
}

/// What a write asks of the version (RFC 9110, section 13.1.1, `If-Match`).
#[derive(Clone, Debug, Default)]
pub(crate) enum Expected {
    /// No condition, or `*`.
    #[default]
    Any,
    /// One of these versions; entity tags that are not ours match nothing and are left out.
    OneOf(Vec<i64>),
}

impl Expected {
    pub(crate) fn admits(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_punctuation_and_lowered() {
        assert_eq!(words("WHITE T-Light £40.00"), ["white", "t", "light", "40", "00"]);
        assert_eq!(search_words("A1", "Red  Mug", ""), " a1 red mug ");
    }
}
