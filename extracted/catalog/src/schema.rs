//! The tables of the service, as diesel sees them.

diesel::table! {
    categories (id) {
        id -> BigInt,
        slug -> Text,
        name -> Text,
    }
}

diesel::table! {
    products (id) {
        id -> BigInt,
        sku -> Text,
        name -> Text,
        description -> Text,
        category_id -> BigInt,
        status -> Text,
        price_seq -> BigInt,
        version -> BigInt,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        deleted_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    price_history (id) {
        id -> BigInt,
        product_id -> BigInt,
        seq -> BigInt,
        amount -> BigInt,
        currency -> Text,
        effective_from -> Timestamp,
    }
}

diesel::table! {
    /// The full-text index as SQLite has it; on PostgreSQL `words` is a tsvector and written by other statements.
    product_search (rowid) {
        rowid -> BigInt,
        words -> Text,
    }
}

diesel::table! {
    catalog_keys (scope, key) {
        scope -> Text,
        key -> Text,
        body_hash -> Text,
        location -> Text,
        etag -> Text,
        body -> Text,
        created_at -> Timestamp,
    }
}

diesel::joinable!(products -> categories (category_id));
diesel::allow_tables_to_appear_in_same_query!(categories, products, price_history);
