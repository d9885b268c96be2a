DROP TABLE psp_events;
DROP TABLE refunds;
DROP TABLE payments;
