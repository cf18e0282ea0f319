-- One schema for SQLite and PostgreSQL: bigint, text and bytea mean the same to both; a flag is a bigint of 0 or 1; a time is
-- a bigint of nanoseconds since 1970, 0 for none. "record" is the protobuf record; the columns beside it are what queries
-- need, and they win where they repeat it.

-- Facts about this store itself: which life of the feeds this is, and whether the site key fits.
CREATE TABLE site (
  name text PRIMARY KEY,
  value bytea NOT NULL
);

CREATE TABLE member_key (
  purpose text NOT NULL,
  kid text NOT NULL,
  state text NOT NULL,
  created_at bigint NOT NULL,
  not_after bigint NOT NULL,
  sealed bytea NOT NULL,
  PRIMARY KEY (purpose, kid)
);
CREATE UNIQUE INDEX member_key_current ON member_key (purpose) WHERE state = 'current';

CREATE TABLE partner (
  origin text PRIMARY KEY,
  version bigint NOT NULL,
  record bytea NOT NULL
);

CREATE TABLE agreement (
  supplier text NOT NULL,
  id text NOT NULL,
  reseller text NOT NULL,
  created_at bigint NOT NULL,
  version bigint NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (supplier, id)
);
CREATE INDEX agreement_pair ON agreement (supplier, reseller, created_at);

CREATE TABLE offering (
  id text NOT NULL,
  revision bigint NOT NULL,
  superseded_at bigint NOT NULL,
  on_offer bigint NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (id, revision)
);
CREATE UNIQUE INDEX offering_current ON offering (id) WHERE superseded_at = 0;

CREATE TABLE feed_head (
  partner text PRIMARY KEY,
  seq bigint NOT NULL
);

CREATE TABLE feed_item (
  partner text NOT NULL,
  offering_id text NOT NULL,
  seq bigint NOT NULL,
  revision bigint NOT NULL,
  tombstone bigint NOT NULL,
  PRIMARY KEY (partner, offering_id)
);
CREATE UNIQUE INDEX feed_item_seq ON feed_item (partner, seq);

CREATE TABLE feed_cursor (
  partner text NOT NULL,
  feed text NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (partner, feed)
);

CREATE TABLE foreign_offering (
  partner text NOT NULL,
  id text NOT NULL,
  listing text NOT NULL,
  revision bigint NOT NULL,
  tombstone bigint NOT NULL,
  sweep bigint NOT NULL,
  change bigint NOT NULL,
  updated_at bigint NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (partner, id)
);
CREATE INDEX foreign_offering_listing ON foreign_offering (listing);
CREATE UNIQUE INDEX foreign_offering_change ON foreign_offering (change);
CREATE INDEX foreign_offering_gone ON foreign_offering (partner, change) WHERE tombstone = 1;

-- What is kept of a partner's offerings, so that nobody counts them: those that are there and the bytes of their documents, the tombstones
-- of those that are gone; and the changes that found no room since its catalog was last read from the beginning, the bytes of their
-- documents and of the smallest.
CREATE TABLE foreign_partner (
  partner text PRIMARY KEY,
  offerings bigint NOT NULL,
  bytes bigint NOT NULL,
  gone bigint NOT NULL,
  left_out bigint NOT NULL,
  left_bytes bigint NOT NULL,
  left_least bigint NOT NULL
);

-- The last change number given out for foreign_offering; whoever writes there holds the row until the commit, so that the
-- numbers are in commit order. And the greatest one of which the row was deleted.
CREATE TABLE foreign_change (
  name text PRIMARY KEY,
  last bigint NOT NULL,
  forgotten bigint NOT NULL
);
INSERT INTO foreign_change (name, last, forgotten) VALUES ('foreign_offering', 0, 0);

CREATE TABLE listing_override (
  listing_id text PRIMARY KEY,
  version bigint NOT NULL,
  record bytea NOT NULL
);

CREATE TABLE listing_rule (
  partner text NOT NULL,
  category text NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (partner, category)
);

-- Orders are also looked for by their id alone, whosever they are: it comes first in the key, so that this needs no index of its own.
CREATE TABLE retail_order (
  portal text NOT NULL,
  id text NOT NULL,
  customer text NOT NULL,
  state text NOT NULL,
  ended bigint NOT NULL,
  placed_at bigint NOT NULL,
  version bigint NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (id, portal)
);
CREATE INDEX retail_order_placed ON retail_order (placed_at, portal, id);
CREATE INDEX retail_order_portal ON retail_order (portal, placed_at, id);
CREATE INDEX retail_order_customer ON retail_order (portal, customer, placed_at, id);
CREATE INDEX retail_order_open ON retail_order (placed_at, portal, id, state) WHERE ended = 0;
CREATE INDEX retail_order_ended ON retail_order (state) WHERE ended = 1;

-- Where the items of retail orders are, by correlation id; the items themselves are in their order's record.
CREATE TABLE retail_item (
  correlation_id text PRIMARY KEY,
  portal text NOT NULL,
  order_id text NOT NULL,
  position bigint NOT NULL
);

CREATE TABLE resale_order (
  partner text NOT NULL,
  id text NOT NULL,
  state text NOT NULL,
  ended bigint NOT NULL,
  placed_at bigint NOT NULL,
  version bigint NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (id, partner)
);
CREATE INDEX resale_order_placed ON resale_order (placed_at, partner, id);
CREATE INDEX resale_order_open ON resale_order (placed_at, partner, id, state) WHERE ended = 0;
CREATE INDEX resale_order_ended ON resale_order (state) WHERE ended = 1;

-- "partner" is part of the key on the resale side and empty on the retail side: partners choose their ids, we ours. No index
-- begins with side: SQLite would take it for a list of one side and sort all of them.
CREATE TABLE subscription (
  side text NOT NULL,
  partner text NOT NULL,
  id text NOT NULL,
  portal text NOT NULL,
  customer text NOT NULL,
  state text NOT NULL,
  created_at bigint NOT NULL,
  version bigint NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (id, partner, side)
);
CREATE INDEX subscription_created ON subscription (created_at, side, id, partner);
CREATE INDEX subscription_portal ON subscription (portal, created_at, side, id, partner) WHERE portal <> '';
CREATE INDEX subscription_customer ON subscription (portal, customer, created_at, side, id, partner) WHERE portal <> '';
CREATE INDEX subscription_state ON subscription (state, side);

-- The data key of a subscription, wrapped under the site key. An erased one stays as an empty row, so that nothing is ever
-- written for that subscription again.
CREATE TABLE data_key (
  side text NOT NULL,
  partner text NOT NULL,
  subscription_id text NOT NULL,
  wrapped bytea NOT NULL,
  PRIMARY KEY (subscription_id, partner, side)
);

CREATE TABLE secret (
  side text NOT NULL,
  partner text NOT NULL,
  subscription_id text NOT NULL,
  name text NOT NULL,
  sealed bytea NOT NULL,
  PRIMARY KEY (subscription_id, partner, side, name)
);

-- The steps of recipes for the subscriptions that partners resell. What the adapter kept and gave is a secret of the subscription.
CREATE TABLE provision_step (
  partner text NOT NULL,
  subscription_id text NOT NULL,
  name text NOT NULL,
  generation bigint NOT NULL,
  phase text NOT NULL,
  version bigint NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (partner, subscription_id, name, generation)
);

CREATE TABLE ledger_head (
  partner text NOT NULL,
  direction text NOT NULL,
  life bigint NOT NULL,
  seq bigint NOT NULL,
  hash bytea NOT NULL,
  tick bigint NOT NULL,
  checkpoint text NOT NULL,
  seen_life bigint NOT NULL,
  seen_seq bigint NOT NULL,
  seen_checkpoint text NOT NULL,
  PRIMARY KEY (partner, direction)
);

CREATE TABLE ledger_entry (
  partner text NOT NULL,
  direction text NOT NULL,
  life bigint NOT NULL,
  seq bigint NOT NULL,
  subject text NOT NULL,
  record bytea NOT NULL,
  PRIMARY KEY (partner, direction, life, seq)
);

CREATE TABLE parked_entry (
  partner text NOT NULL,
  subject text NOT NULL,
  life bigint NOT NULL,
  seq bigint NOT NULL,
  reason text NOT NULL,
  parked_at bigint NOT NULL,
  PRIMARY KEY (partner, subject, life, seq)
);

-- What is known about both logs of a partnership; no row is level.
CREATE TABLE books (
  partner text PRIMARY KEY,
  version bigint NOT NULL,
  record bytea NOT NULL
);

-- What proves that books are forked, up to a few megabytes; the books themselves are read with every call.
CREATE TABLE fork_evidence (
  partner text PRIMARY KEY,
  evidence bytea NOT NULL
);

-- What became of the documents that partners submitted, for ever. held_* is the partner's own checkpoint that came with one; an
-- empty digest is a cancel's that came before its order.
CREATE TABLE peer_decision (
  partner text NOT NULL,
  type text NOT NULL,
  id text NOT NULL,
  digest bytea NOT NULL,
  life bigint NOT NULL,
  seq bigint NOT NULL,
  checkpoint text NOT NULL,
  held_life bigint NOT NULL,
  held_seq bigint NOT NULL,
  held_tick bigint NOT NULL,
  document text NOT NULL,
  escrow bytea NOT NULL,
  PRIMARY KEY (id, type, partner)
);
CREATE INDEX peer_decision_held ON peer_decision (partner, held_life, held_seq, held_tick);

-- How many cancels of a partner came before their orders, since a time.
CREATE TABLE early_cancel (
  partner text PRIMARY KEY,
  since bigint NOT NULL,
  count bigint NOT NULL
);

-- Jobs that send documents name the subject, of which one is on its way at a time by ascending place; the others have ''.
CREATE TABLE job (
  id bigint PRIMARY KEY,
  kind text NOT NULL,
  key text NOT NULL,
  partner text NOT NULL,
  subject text NOT NULL,
  place bigint NOT NULL,
  aside bigint NOT NULL,
  state text NOT NULL,
  attempts bigint NOT NULL,
  due_at bigint NOT NULL,
  lease_owner text NOT NULL,
  lease_until bigint NOT NULL,
  crashes bigint NOT NULL,
  nowhere bigint NOT NULL,
  begun bigint NOT NULL,
  last_error text NOT NULL,
  created_at bigint NOT NULL,
  UNIQUE (key, kind, partner)
);
CREATE INDEX job_due ON job (state, partner, due_at) WHERE subject = '';
CREATE INDEX job_document ON job (partner, subject, place) WHERE subject <> '';

CREATE TABLE portal_client (
  name text PRIMARY KEY,
  key_hash bytea NOT NULL,
  old_key_hash bytea NOT NULL,
  version bigint NOT NULL,
  record bytea NOT NULL
);
CREATE INDEX portal_client_key ON portal_client (key_hash);
CREATE INDEX portal_client_old_key ON portal_client (old_key_hash);
