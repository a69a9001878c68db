-- An acknowledgement whose final dot nobody answered is offered once more, and not for ever: the relay may have it.
ALTER TABLE outbox ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0 CHECK (unanswered IN (0, 1));
ALTER TABLE outbox ADD COLUMN holder TEXT
    CHECK (holder IN ('breaker', 'undeliverable', 'restored', 'unwritable', 'unanswered', 'person'));
UPDATE outbox SET holder = held_by WHERE held_by IS NOT NULL;
DROP INDEX outbox_created;
ALTER TABLE outbox DROP COLUMN held_by;
ALTER TABLE outbox RENAME COLUMN holder TO held_by;
CREATE INDEX outbox_created ON outbox (created, held_by, kind);
