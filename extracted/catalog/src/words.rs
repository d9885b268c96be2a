//! What a word is, and how words go into the full-text index and into questions to it.
//!
//! Both databases have tokenisers of their own, with stems, stop words and ideas about accents. The contract has none:
//! a word is a run of letters and digits, in lower case. So words are cut here, and the index is given them ready.

use std::collections::BTreeSet;

/// Longer words are indexed by their beginning, for a PostgreSQL lexeme holds 2046 bytes; the few candidates that a
/// question with such a word finds are then looked at in full.
const TERM_CHARS: usize = 200;
/// Ends a term that is a beginning. It is no letter, so no whole word is ever equal to such a term.
const CUT: char = '…';

/// The words of a text, in lower case.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|run| !run.is_empty())
        .map(str::to_lowercase)
}

/// What the index keeps of a product: each term once, with spaces between.
pub(crate) fn index_entry(texts: [&str; 3]) -> String {
    let mut terms: Vec<String> = texts.into_iter().flat_map(words).map(term).collect();
    terms.sort_unstable();
    terms.dedup();
    terms.join(" ")
}

fn term(mut word: String) -> String {
    if let Some((end, _)) = word.char_indices().nth(TERM_CHARS) {
        word.truncate(end);
        word.push(CUT);
    }
    word
}

/// A question to the index: all words must be there, the last one at least as a beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    whole: Vec<String>,
    beginning: String,
}

impl Search {
    /// Reads what the client typed; `None` if there is no word in it.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut whole: Vec<String> = words(text).collect();
        let beginning = whole.pop()?;
        Some(Self { whole, beginning })
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.whole.len() + 1
    }

    /// The question in the language of FTS5 (SQLite). Terms hold nothing that quotes would have to be doubled for.
    pub(crate) fn fts5(&self) -> String {
        self.ask("\"", " ", " *")
    }

    /// The question as a tsquery (PostgreSQL), each term already a lexeme.
    pub(crate) fn tsquery(&self) -> String {
        self.ask("'", " & ", ":*")
    }

    fn ask(&self, quote: &str, and: &str, prefix: &str) -> String {
        let quoted = |word: &String| format!("{quote}{}{quote}", term(word.clone()));
        let mut terms: Vec<String> = self.whole.iter().map(quoted).collect();
        let cut = if is_long(&self.beginning) { "" } else { prefix };
        terms.push(format!("{}{cut}", quoted(&self.beginning)));
        terms.join(and)
    }

    /// Whether the index finds more than the question asks for, so that each candidate must be looked at.
    pub(crate) fn is_coarse(&self) -> bool {
        self.whole.iter().any(|word| is_long(word)) || is_long(&self.beginning)
    }

    /// Whether the texts of a product answer the question.
    pub(crate) fn matches(&self, texts: [&str; 3]) -> bool {
        let there: BTreeSet<String> = texts.into_iter().flat_map(words).collect();
        let begins = || there.iter().any(|word| word.starts_with(&self.beginning));
        self.whole.iter().all(|word| there.contains(word)) && begins()
    }
}

fn is_long(word: &str) -> bool {
    word.chars().nth(TERM_CHARS).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> Search {
        Search::of(text).unwrap()
    }

    #[test]
    fn words_are_cut_at_punctuation_and_lowered() {
        let cut: Vec<String> = words("WHITE T-Light £40.00 ÉCLAIR").collect();
        assert_eq!(cut, ["white", "t", "light", "40", "00", "éclair"]);
        assert_eq!(index_entry(["A1", "Red  Mug", "a red one"]), "a a1 mug one red");
    }

    #[test]
    fn each_database_is_asked_in_its_own_language() {
        assert_eq!(search("Red t-li").fts5(), "\"red\" \"t\" \"li\" *");
        assert_eq!(search("Red t-li").tsquery(), "'red' & 't' & 'li':*");
        assert_eq!(Search::of(" - £ "), None);
    }

    #[test]
    fn a_long_word_is_asked_for_by_its_beginning_and_looked_at() {
        let long = "ä".repeat(TERM_CHARS + 1);
        let asked = search(&format!("mug {long}"));
        assert!(asked.is_coarse() && asked.fts5().ends_with("ä…\""));
        assert!(asked.matches(["A1", "mug", &format!("{long}x")]));
        assert!(!asked.matches(["A1", "mug", &"ä".repeat(TERM_CHARS)]));
        assert!(!search(&"ä".repeat(TERM_CHARS)).is_coarse());
    }
}
