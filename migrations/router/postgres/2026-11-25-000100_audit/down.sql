DROP TABLE audit_moves;
DROP TABLE audit;
DROP FUNCTION continue_audit_moves;
DROP FUNCTION continue_audit;
DROP FUNCTION refuse_audit_change;
