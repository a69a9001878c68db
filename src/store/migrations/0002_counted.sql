-- What counts for the caps, by recipient and by domain, told by the index alone: in a row `state` stands behind the mail's
-- bytes, on pages of their own.
DROP INDEX outbox_recipient;
DROP INDEX outbox_domain;
CREATE INDEX outbox_recipient ON outbox (recipient, created, state, kind, domain);
CREATE INDEX outbox_domain ON outbox (domain, created, state, kind);
