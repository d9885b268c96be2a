//! Plausible goods, each made of its number alone: so the same number is the same product everywhere and for ever.

use crate::catalog::Imported;
use crate::money::Money;

/// A department: slug, prefix of its SKUs, materials, and things with the price of a plain one in minor units.
type Department = (
    &'static str,
    &'static str,
    [&'static str; 5],
    [(&'static str, i64); 8],
);

const DEPARTMENTS: [Department; 8] = [
    (
        "kitchen",
        "KIT",
        ["enamel", "stoneware", "porcelain", "oak", "bamboo"],
        [
            ("mug", 650),
            ("teapot", 1900),
            ("mixing bowl", 1250),
            ("cake stand", 2200),
            ("storage jar", 850),
            ("egg cup", 350),
            ("serving tray", 1650),
            ("milk jug", 950),
        ],
    ),
    (
        "garden",
        "GAR",
        ["zinc", "terracotta", "willow", "cast iron", "cedar"],
        [
            ("watering can", 1850),
            ("plant pot", 700),
            ("bird feeder", 1400),
            ("herb planter", 1600),
            ("trowel", 900),
            ("hanging basket", 1200),
            ("plant label", 250),
            ("garden lantern", 2400),
        ],
    ),
    (
        "lighting",
        "LIG",
        ["brass", "glass", "paper", "ceramic", "rattan"],
        [
            ("table lamp", 3900),
            ("tea light holder", 295),
            ("fairy lights", 1250),
            ("pendant shade", 2900),
            ("night light", 1100),
            ("candlestick", 850),
            ("lantern", 1750),
            ("wall light", 4500),
        ],
    ),
    (
        "stationery",
        "STA",
        ["recycled", "leather", "linen", "kraft", "marbled"],
        [
            ("notebook", 550),
            ("pencil case", 750),
            ("photo album", 1600),
            ("letter set", 650),
            ("desk tidy", 1300),
            ("card holder", 900),
            ("diary", 1150),
            ("gift wrap", 395),
        ],
    ),
    (
        "textiles",
        "TEX",
        ["cotton", "linen", "wool", "velvet", "jute"],
        [
            ("cushion", 1800),
            ("tea towel", 595),
            ("throw", 3600),
            ("apron", 1500),
            ("doormat", 2100),
            ("shopping bag", 450),
            ("table runner", 1400),
            ("oven glove", 850),
        ],
    ),
    (
        "toys",
        "TOY",
        ["wooden", "felt", "knitted", "tin", "cardboard"],
        [
            ("puzzle", 1100),
            ("spinning top", 395),
            ("skittles", 1450),
            ("train", 1900),
            ("farm animal", 495),
            ("building blocks", 2200),
            ("dolls house", 5500),
            ("finger puppet", 350),
        ],
    ),
    (
        "party",
        "PAR",
        ["paper", "gingham", "spotted", "striped", "floral"],
        [
            ("bunting", 850),
            ("paper plates", 395),
            ("cake cases", 250),
            ("napkins", 350),
            ("invitations", 550),
            ("party bags", 450),
            ("balloons", 295),
            ("pinata", 1600),
        ],
    ),
    (
        "bath",
        "BAT",
        ["cotton", "bamboo", "marble", "enamel", "rattan"],
        [
            ("soap dish", 750),
            ("bath mat", 1950),
            ("towel", 1600),
            ("laundry basket", 3400),
            ("toothbrush holder", 800),
            ("bath caddy", 2600),
            ("sponge bag", 1250),
            ("mirror", 2900),
        ],
    ),
];

const COLOURS: [&str; 12] = [
    "Ivory", "Sage", "Duck egg", "Mustard", "Charcoal", "Rose", "Navy", "Red", "Sky blue", "Forest", "Lilac",
    "Black",
];
const SIZES: [&str; 3] = ["", "small ", "large "];
const OCCASIONS: [&str; 6] = [
    "everyday use",
    "a housewarming",
    "somebody who has everything",
    "rainy afternoons",
    "long summer evenings",
    "the guest room",
];
const CARES: [&str; 4] = [
    "Wipe with a damp cloth.",
    "Comes in a gift box.",
    "Made in small batches, so no two are alike.",
    "Packed without plastic.",
];

/// The product with this number.
pub(super) fn product(number: usize, currency: &str) -> Imported {
    let (category, prefix, materials, things) = pick(&DEPARTMENTS, number);
    let rest = number / DEPARTMENTS.len();
    let (thing, plain) = pick(&things, rest);
    let rest = rest / things.len();
    let colour = pick(&COLOURS, rest);
    // The material moves on with the colour too, so that a small shop has all materials already.
    let material = pick(&materials, rest / COLOURS.len() + rest);
    let size = pick(&SIZES, rest / COLOURS.len() / materials.len());
    let (chance, more) = (
        chance(number),
        rest / (COLOURS.len() * materials.len() * SIZES.len()),
    );
    // Beyond that many goods the names begin again, with a number.
    let series = if more == 0 {
        String::new()
    } else {
        format!(", series {}", more + 1)
    };
    Imported {
        sku: format!("{prefix}-{:05}", number + 1),
        name: format!("{colour} {size}{material} {thing}{series}"),
        description: format!(
            "In {}, for {}. {}",
            colour.to_lowercase(),
            pick(&OCCASIONS, chance),
            pick(&CARES, chance / 8)
        ),
        category: category.to_owned(),
        price: Money::new(price(plain, size, chance), currency),
        on_sale: !chance.is_multiple_of(40),
    }
}

/// Units of the product with this number: mostly plenty, sometimes few.
pub(super) fn stock(number: usize) -> i64 {
    let chance = chance(number) / 64;
    let plenty = if chance.is_multiple_of(12) { 10 } else { 200 };
    1 + (chance / 12 % plenty) as i64
}

/// A price around that of a plain thing, ending as prices do.
fn price(plain: i64, size: &str, chance: usize) -> i64 {
    let sized = match size {
        "small " => plain * 3 / 4,
        "large " => plain * 3 / 2,
        _ => plain,
    };
    let around = sized * (90 + (chance / 512 % 21) as i64) / 100;
    around / 50 * 50 + 45
}

fn pick<T: Copy, const N: usize>(list: &[T; N], number: usize) -> T {
    list[number % N]
}

/// A number that looks like chance and is always the same for the same `number` (splitmix64).
fn chance(number: usize) -> usize {
    let mut z = (number as u64)
        .wrapping_add(1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    // 32 bits, so that it is the same on every machine.
    ((z ^ (z >> 31)) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use garde::Validate;

    use super::*;

    #[test]
    fn goods_are_different_and_allowed_and_some_are_discontinued() {
        let goods: Vec<_> = (0..20_000).map(|i| product(i, "GBP")).collect();
        let names: HashSet<_> = goods.iter().map(|product| &product.name).collect();
        let skus: HashSet<_> = goods.iter().map(|product| &product.sku).collect();
        assert_eq!((names.len(), skus.len()), (20_000, 20_000));
        for product in &goods {
            assert!(
                crate::sku::valid_sku(&product.sku, &()).is_ok(),
                "{}",
                product.sku
            );
            assert!(
                product.price.validate().is_ok() && product.price.amount > 0,
                "{product:?}"
            );
            assert!(product.name.len() <= 200);
        }
        let gone = goods.iter().filter(|product| !product.on_sale).count();
        assert!((200..1000).contains(&gone), "{gone}");
        assert!((0..20_000).all(|i| (1..=200).contains(&stock(i))));
    }

    #[test]
    fn a_number_is_the_same_product_for_ever() {
        let first = product(0, "GBP");
        assert_eq!(
            (first.sku.as_str(), first.name.as_str()),
            ("KIT-00001", "Ivory enamel mug")
        );
        assert_eq!(first.price, Money::new(645, "GBP"));
        assert_eq!(product(4710, "GBP").name, "Sage small floral invitations");
        assert_eq!(product(4710, "GBP").price.amount, 395);
    }
}
