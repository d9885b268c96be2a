//! The tables of the inventory, as diesel sees them.

diesel::table! {
    stock_levels (sku) {
        sku -> Text,
        on_hand -> BigInt,
        reserved -> BigInt,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    reservations (id) {
        id -> BigInt,
        state -> Text,
        reference -> Text,
        expires_at -> Timestamp,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    reservation_lines (reservation_id, position) {
        reservation_id -> BigInt,
        position -> BigInt,
        sku -> Text,
        quantity -> BigInt,
    }
}

diesel::table! {
    movements (id) {
        id -> BigInt,
        sku -> Text,
        kind -> Text,
        quantity -> BigInt,
        reference -> Text,
        created_at -> Timestamp,
    }
}
