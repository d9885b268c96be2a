DROP TABLE audit_moves;
DROP TABLE audit;
