//! The tables of the carts, as diesel sees them.

diesel::table! {
    carts (id) {
        id -> BigInt,
        customer_id -> BigInt,
        state -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    cart_items (id) {
        id -> BigInt,
        cart_id -> BigInt,
        sku -> Text,
        name -> Text,
        currency -> Text,
        quantity -> BigInt,
    }
}
