//! The provider's tables, as diesel sees them.

diesel::table! {
    charges (id) {
        id -> Text,
        key -> Text,
        reference -> Text,
        amount -> BigInt,
        currency -> Text,
        payment_method -> Text,
        capture -> Bool,
        state -> Text,
        refunded -> BigInt,
        due_ms -> Nullable<BigInt>,
        created_ms -> BigInt,
    }
}

diesel::table! {
    refunds (key) {
        key -> Text,
        charge_id -> Text,
        amount -> BigInt,
    }
}

diesel::table! {
    dead_keys (key) {
        key -> Text,
    }
}

diesel::table! {
    hung_keys (key) {
        key -> Text,
    }
}

diesel::table! {
    ledger (seq) {
        seq -> BigInt,
        kind -> Text,
        charge_id -> Text,
        key -> Text,
        reference -> Text,
        amount -> BigInt,
        currency -> Text,
        at_ms -> BigInt,
    }
}

diesel::table! {
    events (seq) {
        seq -> BigInt,
        body -> Text,
        due_ms -> BigInt,
        attempts -> BigInt,
        sent -> Bool,
    }
}
