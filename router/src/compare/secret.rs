//! What must not be shown: which names look secret, and how text that may hold a secret is written down.
//!
//! For `super::print` and `super::headers`, which show what differs, and for [`super::samples`], which keeps targets of
//! requests. Redacting touches what is shown, never what is compared, so it may err on the side of hiding.

use std::borrow::Cow;

use url::form_urlencoded;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Words that make a name secret wherever they stand in it, even glued to others: `accessToken`, `user_password`.
const ANYWHERE: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "signature",
    "sessionid",
    "cookie",
    "creditcard",
];

/// Words that are secret only by themselves, because longer words contain them.
const WHOLE: [&str; 13] = [
    "pwd", "pass", "pin", "otp", "jwt", "cvv", "cvc", "pan", "iban", "ssn", "sid", "sig", "auth",
];

/// Names that say much in a query and nothing in a document.
const IN_QUERY: [&str; 3] = ["code", "key", "state"];

/// Whether a member, a field or a parameter of this name is taken to hold a secret.
pub fn is_secret(name: &str) -> bool {
    let mut plain = String::with_capacity(name.len());
    let mut words = Vec::new();
    let mut word = 0;
    let mut before_was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before_was_lower) {
            words.push(word..plain.len());
            word = plain.len();
        }
        before_was_lower = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        }
    }
    words.push(word..plain.len());
    ANYWHERE.iter().any(|secret| plain.contains(secret))
        || words
            .into_iter()
            .filter_map(|word| plain.get(word))
            .any(|word| WHOLE.contains(&word) || (word.starts_with("card") && !word.starts_with("cardin")))
}

/// Text with the secrets taken out that can be told by their form: parameters with secret names (`?token=…`, `;sid=…`,
/// `#access_token=…`), the user of a URL, and credentials behind their scheme (`Bearer …`).
pub fn redact(text: &str) -> Cow<'_, str> {
    let scheme = text.split_once(' ').map(|(scheme, _)| scheme);
    if let Some(scheme) =
        scheme.filter(|word| ["bearer", "basic", "digest"].contains(&word.to_ascii_lowercase().as_str()))
    {
        return Cow::Owned(format!("{scheme} {REDACTED}"));
    }
    let text = without_user(text);
    if !text.contains('=') {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for piece in text.split_inclusive(['?', '&', ';', '#', ' ', ',']) {
        safe.push_str(&parameter(piece));
    }
    if safe == text { text } else { Cow::Owned(safe) }
}

/// `name=value` and the delimiter behind it, if there is one.
fn parameter(piece: &str) -> Cow<'_, str> {
    let (body, delimiter) = match piece.char_indices().next_back() {
        Some((at, '?' | '&' | ';' | '#' | ' ' | ',')) => piece.split_at(at),
        _ => (piece, ""),
    };
    let Some((name, _)) = body.split_once('=') else {
        return Cow::Borrowed(piece);
    };
    // `a%63cess_token` is the same name to who reads it.
    let decoded = form_urlencoded::parse(name.as_bytes())
        .next()
        .map(|(name, _)| name)
        .unwrap_or_default();
    let bare = decoded.rsplit(['/', '"', '\'']).next().unwrap_or_default();
    if is_secret(&decoded) || IN_QUERY.contains(&bare.to_ascii_lowercase().as_str()) {
        Cow::Owned(format!("{name}={REDACTED}{delimiter}"))
    } else {
        Cow::Borrowed(piece)
    }
}

fn without_user(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find("://").map(|at| at + 3) else {
        return Cow::Borrowed(text);
    };
    let (before, rest) = text.split_at(start);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => Cow::Owned(format!("{before}{REDACTED}{}", &rest[at..])),
        None => Cow::Borrowed(text),
    }
}

/// A `Set-Cookie` value without the cookie's own value: its name and attributes tell enough.
pub fn redact_cookie(value: &str) -> String {
    let (pair, attributes) = value
        .split_once(';')
        .map_or((value, None), |(pair, rest)| (pair, Some(rest)));
    let name = pair.split_once('=').map_or("", |(name, _)| name);
    match attributes {
        Some(attributes) => format!("{name}={REDACTED};{}", redact(attributes)),
        None => format!("{name}={REDACTED}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_secret_are_told_from_those_that_do_not() {
        for name in [
            "password",
            "Password",
            "user_password",
            "newPassword",
            "accessToken",
            "access-token",
            "TOKEN",
            "client_secret",
            "X-Api-Key",
            "apiKey",
            "Authorization",
            "card",
            "card_number",
            "cardNumber",
            "cardnumber",
            "cards",
            "pin",
            "userPin",
            "Set-Cookie",
            "sessionId",
            "iban",
            "CVV",
            "auth",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "",
            "name",
            "price",
            "discard",
            "cardinality",
            "postcard",
            "pinned",
            "author",
            "authored_by",
            "spin",
            "company",
            "passenger",
            "sku",
            "site",
            "expand",
            "code",
            "key",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn parameters_users_and_credentials_are_taken_out_and_the_rest_stays() {
        for (text, safe) in [
            ("/api/products?page=2&q=mug", "/api/products?page=2&q=mug"),
            ("/a?token=abc&page=2", "/a?token=[redacted]&page=2"),
            ("/a?page=2&%74oken=abc", "/a?page=2&%74oken=[redacted]"),
            (
                "/a?X-Amz-Signature=abc#access_token=def",
                "/a?X-Amz-Signature=[redacted]#access_token=[redacted]",
            ),
            ("/a;sid=12/b?code=7", "/a;sid=[redacted]?code=[redacted]"),
            ("/token=abc", "/token=[redacted]"),
            ("https://me:pw@host/a?b=c", "https://[redacted]@host/a?b=c"),
            ("https://host/a@b", "https://host/a@b"),
            ("Bearer abc.def", "Bearer [redacted]"),
            ("plain words", "plain words"),
        ] {
            assert_eq!(redact(text), safe);
        }
    }

    #[test]
    fn a_cookie_keeps_its_name_and_attributes() {
        assert_eq!(
            redact_cookie("sid=abc; Path=/; HttpOnly"),
            "sid=[redacted]; Path=/; HttpOnly"
        );
        assert_eq!(redact_cookie("sid=abc"), "sid=[redacted]");
        assert_eq!(redact_cookie("abc"), "=[redacted]");
    }
}
