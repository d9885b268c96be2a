//! The tables of the catalog, as diesel sees them.

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
        price_amount -> BigInt,
        price_currency -> Text,
        status -> Text,
        search_words -> Text,
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
        amount -> BigInt,
        currency -> Text,
        effective_from -> Timestamp,
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
diesel::joinable!(price_history -> products (product_id));
diesel::allow_tables_to_appear_in_same_query!(categories, products, price_history);
