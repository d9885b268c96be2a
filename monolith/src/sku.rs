//! The stock-keeping unit: how every module addresses a product. Case counts, for real shops have `85123A` and `85123a`.

/// Garde rule: 1 to 64 letters, digits, spaces, dots, underscores or hyphens; no space at either end; not `.` or `..`,
/// which a path cannot carry.
pub fn valid_sku(sku: &str, _: &()) -> garde::Result {
    let letters = sku
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b" ._-".contains(&b));
    let fits = (1..=64).contains(&sku.len()) && sku.trim() == sku && sku != "." && sku != "..";
    if letters && fits {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be 1 to 64 letters, digits, spaces, `.`, `_` or `-`, with no space at either end",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_codes_are_taken_and_path_tricks_are_not() {
        for good in ["85123A", "85123a", "BANK CHARGES", "gift_0001_40", "a.b"] {
            assert!(valid_sku(good, &()).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", ".", "..", "a/b", "a;b", "ä", &"x".repeat(65)] {
            assert!(valid_sku(bad, &()).is_err(), "{bad}");
        }
    }
}
