DROP TABLE webhook_deliveries;
DROP TABLE webhook_subscriptions;
DROP TABLE notification_preferences;
DROP TABLE notifications;
