-- By whose they are; made after "counterpart" was filled in from the records.
CREATE INDEX subscription_running ON subscription (counterpart, id, side) WHERE state <> 'aborted' AND state <> 'terminated';
