DROP TABLE events;
DROP TABLE ledger;
DROP TABLE hung_keys;
DROP TABLE dead_keys;
DROP TABLE refunds;
DROP TABLE charges;
