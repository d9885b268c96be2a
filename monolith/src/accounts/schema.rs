//! The tables of the accounts module, as diesel sees them.

diesel::table! {
    customers (id) {
        id -> BigInt,
        email -> Text,
        login -> Nullable<Text>,
        name -> Text,
        password_hash -> Nullable<Text>,
        reference -> Nullable<Text>,
        version -> BigInt,
        created_at -> Timestamp,
        deleted_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    addresses (id) {
        id -> BigInt,
        customer_id -> BigInt,
        line1 -> Text,
        line2 -> Nullable<Text>,
        city -> Text,
        postcode -> Nullable<Text>,
        country -> Text,
    }
}

diesel::table! {
    sessions (id) {
        id -> BigInt,
        customer_id -> BigInt,
        expires_at -> Timestamp,
        ended_at -> Nullable<Timestamp>,
    }
}
