-- The whole schema of 0.1. Times are Unix milliseconds, UTC. Every column is NOT NULL unless absence means something.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Words of reasons; a look-up table, because a CHECK would mean rebuilding the biggest table.
CREATE TABLE reason (
    code TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- One row per folder and UIDVALIDITY: the cursor.
CREATE TABLE folder (
    id               INTEGER PRIMARY KEY,
    mailbox          TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    uidvalidity      INTEGER NOT NULL,           -- negative: put aside, since the server gave its UIDs anew
    last_uid         INTEGER NOT NULL DEFAULT 0, -- every UID up to it has an arrival row
    enrolled_uidnext INTEGER NOT NULL,           -- UIDs below it were there at enrolment: no ack (I18)
    backlog_before   INTEGER NOT NULL,           -- at enrolment: what arrived before is ignored
    silent_before    INTEGER NOT NULL,           -- what arrived before gets no ack, whatever its UID
    enrolled_at      INTEGER NOT NULL,
    last_poll        INTEGER NOT NULL,           -- the last pass that ended well
    UNIQUE (mailbox, name, uidvalidity)
) STRICT;

-- A row per policy and time in force. Rules, plans, calendar and texts have one hash.
CREATE TABLE policy (
    generation INTEGER PRIMARY KEY,
    hash       TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    origin     TEXT    NOT NULL CHECK (origin IN ('start', 'reload', 'signal', 'command')) -- 'command': no daemon's
) STRICT;
CREATE INDEX policy_hash ON policy (hash);

-- A row per `acuse reload`, in which the daemon answers.
CREATE TABLE reload (
    id         INTEGER PRIMARY KEY,
    asked      INTEGER NOT NULL,
    answered   INTEGER,                          -- absent: the daemon has not read the files yet
    generation INTEGER REFERENCES policy,        -- what they say is in force; absent: not answered, or refused
    report     TEXT                              -- why it was refused; absent: it was not
) STRICT;
CREATE INDEX reload_waits ON reload (id) WHERE answered IS NULL;

-- The exact bytes, by their own hash.
CREATE TABLE raw (
    hash BLOB    PRIMARY KEY,
    size INTEGER NOT NULL,
    zstd BLOB    NOT NULL
) STRICT;

CREATE TABLE customer (
    id       INTEGER PRIMARY KEY,
    code     TEXT    UNIQUE                      -- the id in the shop's own directory
) STRICT;

CREATE TABLE customer_key (
    key         TEXT    NOT NULL,                -- an address, or a domain
    kind        TEXT    NOT NULL CHECK (kind IN ('address', 'domain')),
    customer    INTEGER NOT NULL REFERENCES customer ON DELETE CASCADE,
    plan        TEXT    NOT NULL,
    name        TEXT,                            -- whom the acknowledgement greets: a customer has several people
    language    TEXT    CHECK (language IN ('es', 'en')),
    valid_from  INTEGER,                         -- absent: always was
    valid_until INTEGER,                         -- exclusive; absent: no end
    imported    INTEGER NOT NULL CHECK (imported IN (0, 1)) -- 0: a person set it, and no import touches it
) STRICT;
CREATE UNIQUE INDEX customer_key_period ON customer_key (key, customer, plan, coalesce(valid_from, 0)); -- a plan may be renewed
CREATE INDEX customer_key_customer ON customer_key (customer);

CREATE TABLE ticket (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- the number of ACU-1042; never given twice
    subject      TEXT    NOT NULL,
    requester    TEXT,                           -- absent: no single usable From
    customer     INTEGER REFERENCES customer ON DELETE SET NULL,
    plan         TEXT    NOT NULL,
    plan_because TEXT    NOT NULL,
    impact       TEXT    NOT NULL CHECK (impact IN ('low', 'medium', 'high')),
    case_id      TEXT,                           -- absent: unclassified
    rule         TEXT,
    policy       INTEGER NOT NULL REFERENCES policy, -- the generation that gave it impact and rule
    language     TEXT    NOT NULL CHECK (language IN ('es', 'en')),
    state        TEXT    NOT NULL CHECK (state IN ('open', 'answered', 'closed')),
    flags        TEXT    NOT NULL,               -- words, separated by blanks
    mentions     INTEGER,                        -- a ticket it named without a right to it
    opened       INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    answered_at  INTEGER,
    closed_at    INTEGER
) STRICT;
CREATE INDEX ticket_state ON ticket (state, changed);

CREATE TABLE message (
    id           INTEGER PRIMARY KEY,
    content_hash BLOB    NOT NULL,
    raw          BLOB    REFERENCES raw,         -- absent: erased
    message_id   TEXT,
    sender       TEXT,
    subject      TEXT    NOT NULL,
    sent         INTEGER,                        -- the Date that the sender claims
    received     INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    outcome      TEXT    NOT NULL CHECK (outcome IN ('opened', 'appended', 'ignored', 'quarantined')),
    reason       TEXT    NOT NULL REFERENCES reason,
    decision     TEXT,                           -- versioned JSON (I15); absent: erased
    policy       INTEGER NOT NULL REFERENCES policy, -- the generation that it was decided under
    ticket       INTEGER REFERENCES ticket ON DELETE SET NULL,
    role         TEXT    CHECK (role IN ('message', 'note', 'staff')),
    stored       INTEGER NOT NULL,
    erased       INTEGER                         -- its ticket was deleted: the hash alone is left, so that it does not come back
) STRICT;
CREATE UNIQUE INDEX message_content ON message (content_hash);
CREATE INDEX message_message_id ON message (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX message_sender ON message (sender, received);
CREATE INDEX message_ticket ON message (ticket) WHERE ticket IS NOT NULL;
CREATE INDEX message_raw ON message (raw) WHERE raw IS NOT NULL;

-- One row per UID that a mailbox listed, and one per mail from stdin: its one outcome (I1).
CREATE TABLE arrival (
    id       INTEGER PRIMARY KEY,
    folder   INTEGER REFERENCES folder,          -- absent: not from IMAP
    uid      INTEGER,
    intake   TEXT    NOT NULL CHECK (intake IN ('imap', 'stdin', 'lmtp', 'import')),
    listed   INTEGER NOT NULL,
    received INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    alone    INTEGER NOT NULL DEFAULT 0,         -- unclean ends while it was processed alone
    outcome  TEXT    CHECK (outcome IN ('opened', 'appended', 'duplicate', 'ignored', 'quarantined')),
    reason   TEXT    REFERENCES reason,
    message  INTEGER REFERENCES message ON DELETE SET NULL,
    settled  INTEGER NOT NULL DEFAULT 0 CHECK (settled IN (0, 1)),
    UNIQUE (folder, uid)
) STRICT;
CREATE INDEX arrival_pending ON arrival (folder, uid) WHERE outcome IS NULL;
CREATE INDEX arrival_unsettled ON arrival (folder, uid) WHERE settled = 0;
CREATE INDEX arrival_message ON arrival (message);

CREATE TABLE participant (
    ticket  INTEGER NOT NULL REFERENCES ticket ON DELETE CASCADE,
    address TEXT    NOT NULL,
    PRIMARY KEY (ticket, address)
) STRICT, WITHOUT ROWID;

-- Immutable, but for how it ended. "When it was mailed" is read from the outbox.
CREATE TABLE promise (
    id            INTEGER PRIMARY KEY,
    ticket        INTEGER NOT NULL REFERENCES ticket ON DELETE CASCADE,
    plan          TEXT    NOT NULL,
    impact        TEXT    NOT NULL CHECK (impact IN ('low', 'medium', 'high')),
    window        TEXT    NOT NULL,              -- JSON of the window
    received      INTEGER NOT NULL,
    clock_starts  INTEGER NOT NULL,
    expected_from INTEGER,
    due_by        INTEGER NOT NULL,
    policy        INTEGER NOT NULL REFERENCES policy,
    made          INTEGER NOT NULL,
    ended         INTEGER,                       -- absent: it runs
    ended_by      TEXT CHECK (ended_by IN ('answered', 'superseded', 'closed'))
) STRICT;
CREATE INDEX promise_ticket ON promise (ticket);
CREATE UNIQUE INDEX promise_runs ON promise (ticket) WHERE ended IS NULL; -- one at a time
CREATE INDEX promise_due ON promise (due_by) WHERE ended IS NULL;

-- What a person says of the mail that opened a ticket; their last word. The words before it are events.
CREATE TABLE correction (
    ticket  INTEGER PRIMARY KEY REFERENCES ticket ON DELETE CASCADE,
    impact  TEXT    NOT NULL CHECK (impact IN ('low', 'medium', 'high')),
    case_id TEXT,                                -- absent: the impact alone was said
    by      TEXT    NOT NULL,                    -- the user who ran the command
    because TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

-- Every decision and act, append-only.
CREATE TABLE event (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    ticket  INTEGER,
    message INTEGER,
    kind    TEXT    NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX event_ticket ON event (ticket) WHERE ticket IS NOT NULL;

CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY,
    ticket       INTEGER REFERENCES ticket ON DELETE CASCADE, -- absent: a notification to staff
    message      INTEGER REFERENCES message ON DELETE CASCADE, -- the mail that it answers; absent: the same
    promise      INTEGER REFERENCES promise,
    kind         TEXT    NOT NULL CHECK (kind IN ('ack', 'unclassified', 'late', 'raised', 'reopened', 'notify')),
    recipient    TEXT    NOT NULL,
    domain       TEXT    NOT NULL,
    sender       TEXT,                           -- the envelope's; absent: <>
    serial       INTEGER NOT NULL,               -- what our tokens in it are signed with, beside the ticket
    message_id   TEXT    NOT NULL UNIQUE,
    bytes        BLOB    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('due', 'sending', 'sent', 'held', 'refused', 'expired')),
    attempts     INTEGER NOT NULL DEFAULT 0,     -- counted before each (I5)
    offered      INTEGER NOT NULL DEFAULT 0 CHECK (offered IN (0, 1)), -- DATA was begun: the bytes are frozen
    created      INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    sent         INTEGER,
    tried        INTEGER,                        -- when the relay last heard of it; absent: never
    last_error   TEXT,
    known        INTEGER NOT NULL CHECK (known IN (0, 1)), -- to an address of the customer directory
    held_by      TEXT CHECK (held_by IN ('breaker', 'undeliverable', 'restored', 'unwritable', 'person')), -- stays when it is released; absent: never held
    reported     INTEGER,                        -- when the last delivery report on it came
    report       TEXT,                           -- what that said
    UNIQUE (message, kind),                      -- one acknowledgement per cause (I5)
    UNIQUE (ticket, serial),
    CHECK ((kind = 'notify') = (ticket IS NULL) AND (kind = 'notify') = (message IS NULL))
) STRICT;
CREATE INDEX outbox_due ON outbox (next_attempt) WHERE state = 'due';
CREATE INDEX outbox_expires ON outbox (expires) WHERE state IN ('due', 'held');
CREATE INDEX outbox_sending ON outbox (id) WHERE state = 'sending';
CREATE INDEX outbox_recipient ON outbox (recipient, created);
CREATE INDEX outbox_domain ON outbox (domain, created);
CREATE INDEX outbox_held ON outbox (id) WHERE state = 'held';
CREATE INDEX outbox_created ON outbox (created, held_by, kind);
CREATE INDEX outbox_tried ON outbox (tried) WHERE tried IS NOT NULL;
CREATE INDEX outbox_promise ON outbox (promise) WHERE promise IS NOT NULL;

CREATE TABLE quarantine (
    id       INTEGER PRIMARY KEY,
    arrival  INTEGER NOT NULL REFERENCES arrival,
    message  INTEGER REFERENCES message ON DELETE SET NULL, -- absent: it could not be stored with a decision
    raw      BLOB    REFERENCES raw,             -- absent: its bytes never came
    mailbox  TEXT    NOT NULL,
    reason   TEXT    NOT NULL REFERENCES reason,
    sender   TEXT,
    subject  TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    ended    INTEGER,                            -- absent: it waits for a person
    ended_by TEXT CHECK (ended_by IN ('released', 'dropped'))
) STRICT;
CREATE INDEX quarantine_arrival ON quarantine (arrival);
CREATE INDEX quarantine_raw ON quarantine (raw) WHERE raw IS NOT NULL;

CREATE TABLE suppression (
    address TEXT    PRIMARY KEY,
    until   INTEGER NOT NULL,
    because TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- What an administrator asked of a mailbox; no row: nothing.
CREATE TABLE mailbox (
    name   TEXT PRIMARY KEY,
    paused INTEGER,                              -- absent: it is watched
    rescan INTEGER                               -- what arrived since then is to be listed again; absent: nothing
) STRICT, WITHOUT ROWID;

-- What the administrator should know; one row per kind and subject, counted.
CREATE TABLE alert (
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    count   INTEGER NOT NULL DEFAULT 1,
    ended   INTEGER,
    told    INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)), -- that it stands is news already; that it ended is not yet
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_untold ON alert (kind, subject) WHERE told != (ended IS NULL);

-- What the people of [[notify]] are to hear of, in its order, written with its cause: a ticket, or an alert.
CREATE TABLE news (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    topic   TEXT    NOT NULL,
    ticket  INTEGER REFERENCES ticket ON DELETE CASCADE,
    alert   TEXT,                                -- its kind
    subject TEXT,
    detail  TEXT,
    since   INTEGER,
    ended   INTEGER,                             -- absent: it stood; or it is a ticket's
    CHECK ((ticket IS NULL) = (alert IS NOT NULL AND subject IS NOT NULL AND detail IS NOT NULL AND since IS NOT NULL))
) STRICT;
CREATE INDEX news_topic ON news (topic, id);
CREATE INDEX news_ticket ON news (ticket) WHERE ticket IS NOT NULL;

-- How far each of them has heard: a row per mail, which told what is after the row before it.
CREATE TABLE notified (
    address TEXT    NOT NULL,
    upto    INTEGER NOT NULL,                    -- of news
    at      INTEGER NOT NULL,
    outbox  INTEGER REFERENCES outbox ON DELETE CASCADE, -- absent: the first row, before which nothing is told
    PRIMARY KEY (address, upto)
) STRICT, WITHOUT ROWID;
CREATE INDEX notified_outbox ON notified (outbox);

CREATE VIRTUAL TABLE message_text USING fts5 (
    subject, text,
    content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
