//! The tables of the orders module, as diesel sees them.

diesel::table! {
    orders (id) {
        id -> BigInt,
        number -> Nullable<Text>,
        kind -> Text,
        state -> Text,
        payment -> Text,
        customer_id -> Nullable<BigInt>,
        currency -> Text,
        total -> BigInt,
        cancel_reason -> Nullable<Text>,
        country -> Nullable<Text>,
        placed_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    order_lines (order_id, line_no) {
        order_id -> BigInt,
        line_no -> BigInt,
        sku -> Text,
        name -> Text,
        quantity -> BigInt,
        unit_amount -> BigInt,
    }
}

diesel::table! {
    checkout_sagas (order_id) {
        order_id -> BigInt,
        step -> Text,
        cart_id -> BigInt,
        reservation_id -> BigInt,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    idempotency_keys (scope, key) {
        scope -> Text,
        key -> Text,
        body_hash -> Text,
        order_id -> BigInt,
        status -> Nullable<BigInt>,
        body -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::joinable!(order_lines -> orders (order_id));
diesel::allow_tables_to_appear_in_same_query!(orders, order_lines);
