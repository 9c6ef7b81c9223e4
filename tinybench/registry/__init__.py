"""From a run to a registered model: gates, promotion, rollback, and the record of both."""
