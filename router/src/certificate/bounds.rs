//! Bounds on a share of which only a sample was seen: how large, or how small, it can be.
//!
//! For certificates and breaches. A ratio of small numbers says little: of ten requests without an error, the true share of
//! errors may well be a quarter. So a certificate asks for the upper bound of what may be wrong (Clopper and Pearson, *The
//! use of confidence or fiducial limits illustrated in the case of the binomial*, Biometrika 26, 1934: never too low, at the
//! price of being careful), and a breach for the lower bound of what surely is wrong (Wilson, *Probable inference, the law of
//! succession, and statistical inference*, JASA 22, 1927: a closed form, asked for each route each second).
//!
//! Every function here gives NaN where there is no answer: nothing was seen, more was found than seen, or a confidence is
//! none. NaN compares false with everything, and nothing may be decided on a comparison that is false.

use statrs::function::beta::checked_beta_reg;

/// Halvings of the interval from 0 to 1; after these, neighbouring numbers are met.
const HALVINGS: u32 = 64;

/// The largest sample that is reckoned with. `statrs` breaks off its continued fraction after 141 terms, which is too soon
/// beyond ten million: of 50 million in 100 million it says that there are surely fewer.
const LARGEST: u64 = 1_000_000;

/// The share that the true one is below with this `confidence` (0 to 1, one-sided), after `found` in `seen`, by Clopper and
/// Pearson. With 0.975 it is the upper end of their two-sided interval of 95 %.
pub fn clopper_pearson_upper(found: u64, seen: u64, confidence: f64) -> f64 {
    if !is_sample(found, seen, confidence) {
        return f64::NAN;
    }
    // Fewer of each say less, so the bound stays a bound; and the found are rounded up.
    let scale = seen.div_ceil(LARGEST);
    let (found, seen) = (found.div_ceil(scale), seen / scale);
    if found >= seen {
        return 1.0;
    }
    beta_quantile(found as f64 + 1.0, (seen - found) as f64, confidence)
}

/// The share that the true one is above with this `confidence`, as [`clopper_pearson_upper`].
pub fn clopper_pearson_lower(found: u64, seen: u64, confidence: f64) -> f64 {
    match is_sample(found, seen, confidence) {
        true => 1.0 - clopper_pearson_upper(seen - found, seen, confidence),
        false => f64::NAN,
    }
}

/// Wilson's score interval around `found` in `seen`, `z` standard deviations of the normal distribution wide to each side:
/// 1.96 for 95 % between the two ends, 3 for 99.87 % on one side of each.
pub fn wilson(found: u64, seen: u64, z: f64) -> (f64, f64) {
    if found > seen || seen == 0 || !z.is_finite() || z < 0.0 {
        return (f64::NAN, f64::NAN);
    }
    wilson_at(found as f64 / seen as f64, seen, z)
}

/// [`wilson`] around a share that need not be a whole number of `seen`. For quantiles: the sample's quantile at the lower
/// (upper) end is below (above) the true quantile at `share` as surely as `z` says, whatever the distribution.
pub fn wilson_at(share: f64, seen: u64, z: f64) -> (f64, f64) {
    let (n, square) = (seen as f64, z * z);
    let middle = share + square / (2.0 * n);
    let reach = z * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    let whole = 1.0 + square / n;
    (
        ((middle - reach) / whole).max(0.0),
        ((middle + reach) / whole).min(1.0),
    )
}

fn is_sample(found: u64, seen: u64, confidence: f64) -> bool {
    seen > 0 && found <= seen && confidence > 0.0 && confidence < 1.0
}

/// Where the distribution function of Beta(a, b) reaches `probability`.
///
/// By halving, since the function only ever rises. `statrs` has an inverse too, by Newton's method, which never comes back
/// if the answer is below a ten-thousandth (0 in 10,000,000 does it).
fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        match checked_beta_reg(a, b, middle) {
            Ok(reached) if reached < probability => low = middle,
            Ok(reached) if reached >= probability => high = middle,
            _ => return f64::NAN,
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use statrs::function::gamma::ln_gamma;

    use super::*;

    fn near(told: f64, published: f64) -> bool {
        (told - published).abs() < 0.000_05
    }

    #[test]
    fn clopper_and_pearson_are_as_published() {
        let published = [
            (0, 10, 0.0, 0.3085),
            (1, 10, 0.0025, 0.4450),
            (5, 10, 0.1871, 0.8129),
            (10, 10, 0.6915, 1.0),
            (5, 100, 0.0164, 0.1128),
            (0, 1, 0.0, 0.975),
        ];
        for (found, seen, lower, upper) in published {
            let told = clopper_pearson_lower(found, seen, 0.975);
            assert!(near(told, lower), "{found}/{seen}: {told}");
            let told = clopper_pearson_upper(found, seen, 0.975);
            assert!(near(told, upper), "{found}/{seen}: {told}");
        }
    }

    #[test]
    fn wilson_is_as_published() {
        // Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17, 1998, table I.
        let published = [
            (1, 10, 0.0179, 0.4042),
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (found, seen, lower, upper) in published {
            let (low, high) = wilson(found, seen, 1.959_964);
            assert!(
                near(low, lower) && near(high, upper),
                "{found}/{seen}: {low} {high}"
            );
        }
    }

    #[test]
    fn what_is_no_sample_has_no_bound() {
        for (found, seen, confidence) in [
            (0, 0, 0.95),
            (2, 1, 0.95),
            (1, 2, f64::NAN),
            (1, 2, 0.0),
            (1, 2, 1.0),
            (1, 2, f64::INFINITY),
        ] {
            assert!(clopper_pearson_upper(found, seen, confidence).is_nan());
            assert!(clopper_pearson_lower(found, seen, confidence).is_nan());
        }
        for (found, seen, z) in [(0, 0, 2.0), (2, 1, 2.0), (1, 2, f64::NAN), (1, 2, f64::INFINITY)] {
            let (low, high) = wilson(found, seen, z);
            assert!(low.is_nan() && high.is_nan());
        }
    }

    /// The probability of at most `found` in `seen`, added up term by term: another way than the incomplete beta function.
    fn binomial_tail(found: u64, seen: u64, share: f64) -> f64 {
        let (x, n) = (found as f64, seen as f64);
        let ways = ln_gamma(n + 1.0) - ln_gamma(x + 1.0) - ln_gamma(n - x + 1.0);
        let (mut term, mut sum, mut k) = (1.0, 1.0, x);
        while k > 0.0 && term > 1e-17 * sum {
            term *= k * (1.0 - share) / ((n - k + 1.0) * share);
            sum += term;
            k -= 1.0;
        }
        (ways + x * share.ln() + (n - x) * (-share).ln_1p()).exp() * sum
    }

    #[test]
    fn the_upper_bound_is_where_so_few_become_unlikely_up_to_a_hundred_million() {
        for seen in (0..9).map(|power| 10u64.pow(power)) {
            for share in [0.0, 0.0001, 0.004, 0.01, 0.05, 0.3, 0.5, 0.9, 0.99, 0.9999] {
                let found = (seen as f64 * share).round() as u64;
                if found == seen {
                    continue;
                }
                let bound = clopper_pearson_upper(found, seen, 0.95);
                let tail = binomial_tail(found, seen, bound);
                // 1 - share has few digits left when the share is nearly all, in this sum and in statrs alike.
                assert!(tail < 0.050_2, "{found}/{seen}: {bound} has {tail}");
                assert!(
                    tail > 0.049_8 || seen > LARGEST,
                    "{found}/{seen}: {bound} has {tail}"
                );
                let reach = 1.7 * (share * (1.0 - share) / 1e6).sqrt() + 5e-6;
                assert!(
                    bound < share + reach || seen <= LARGEST,
                    "{found}/{seen}: {bound}"
                );
                let lower = clopper_pearson_lower(found, seen, 0.95);
                assert!(lower >= 0.0 && lower <= share.max(0.5 / seen as f64) + 1e-9 && bound <= 1.0);
            }
        }
    }

    #[test]
    fn more_found_is_never_a_lower_bound_and_more_seen_never_a_higher_one() {
        for seen in [1, 7, 50, 1_000] {
            for found in 0..seen {
                let upper = clopper_pearson_upper(found, seen, 0.95);
                assert!(upper <= clopper_pearson_upper(found + 1, seen, 0.95));
                assert!(upper >= clopper_pearson_upper(found, seen + 1, 0.95));
                assert!(wilson(found, seen, 3.0).0 <= wilson(found + 1, seen, 3.0).0);
            }
        }
    }
}
