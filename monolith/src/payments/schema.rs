//! The tables of the payments module, as diesel sees them.

diesel::table! {
    payments (id) {
        id -> BigInt,
        order_id -> BigInt,
        customer_id -> Nullable<BigInt>,
        psp_key -> Text,
        psp_reference -> Nullable<Text>,
        payment_method -> Text,
        capture -> Bool,
        amount -> BigInt,
        currency -> Text,
        state -> Text,
        refunded -> BigInt,
        failure -> Nullable<Text>,
        attempts -> BigInt,
        next_at -> Timestamp,
        give_up_at -> Timestamp,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    refunds (id) {
        id -> BigInt,
        payment_id -> BigInt,
        psp_key -> Text,
        request_key -> Nullable<Text>,
        amount -> BigInt,
        reason -> Text,
        state -> Text,
        attempts -> BigInt,
        next_at -> Timestamp,
        created_at -> Timestamp,
    }
}

diesel::table! {
    psp_events (id) {
        id -> Text,
        kind -> Text,
        received_at -> Timestamp,
    }
}
