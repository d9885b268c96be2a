//! The tables of the notifications module, as diesel sees them.

diesel::table! {
    notifications (id) {
        id -> BigInt,
        customer_id -> BigInt,
        kind -> Text,
        email -> Text,
        subject -> Text,
        body -> Text,
        state -> Text,
        attempts -> BigInt,
        resend_of -> Nullable<BigInt>,
        next_at -> Timestamp,
        created_at -> Timestamp,
        sent_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    notification_preferences (customer_id) {
        customer_id -> BigInt,
        order_updates -> Bool,
        marketing -> Bool,
    }
}

diesel::table! {
    webhook_subscriptions (id) {
        id -> BigInt,
        url -> Text,
        events -> Text,
        secret -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> BigInt,
        subscription_id -> BigInt,
        event -> Text,
        body -> Text,
        state -> Text,
        attempts -> BigInt,
        next_at -> Timestamp,
    }
}

diesel::joinable!(webhook_deliveries -> webhook_subscriptions (subscription_id));
diesel::allow_tables_to_appear_in_same_query!(webhook_deliveries, webhook_subscriptions);
