-- What its supplier keeps for us, in the bytes that its document names; empty where there is none.
ALTER TABLE retail_item ADD COLUMN escrow bytea NOT NULL DEFAULT '';

-- "counterpart" is the other side of the deal, also on the retail side, where "partner" is empty; there its records say who it is.
ALTER TABLE subscription ADD COLUMN counterpart text NOT NULL DEFAULT '';
UPDATE subscription SET counterpart = partner WHERE partner <> '';

-- What a subscription keeps sealed under its data key, and under the name '' that key itself, wrapped under the site key: they are written
-- together and lie together. An erased key stays as an empty row, so that nothing is ever written for that subscription again.
INSERT INTO secret (side, partner, subscription_id, name, sealed) SELECT side, partner, subscription_id, '', wrapped FROM data_key;
DROP TABLE data_key;

-- The name on the platform where an operator gave it, else ''.
ALTER TABLE provision_step ADD COLUMN claimed text NOT NULL DEFAULT '';
CREATE INDEX provision_step_claimed ON provision_step (claimed) WHERE claimed <> '';

-- Documents that open a new life of both logs with a partner: proposals of ours and of the partner, and what became of each.
CREATE TABLE life (
  partner text NOT NULL,
  id text NOT NULL,
  ours bigint NOT NULL,
  life bigint NOT NULL,
  round bigint NOT NULL,
  state text NOT NULL,
  payload bytea NOT NULL,
  jws text NOT NULL,
  countersigned text NOT NULL,
  reason text NOT NULL,
  evidence bytea NOT NULL,
  alone bigint NOT NULL,
  changed_at bigint NOT NULL,
  PRIMARY KEY (partner, id, ours)
);

-- When due_at was set, by the clock of that time.
ALTER TABLE job ADD COLUMN set_at bigint NOT NULL DEFAULT 0;

-- What operators decided, for ever: who, when, about what of a partner, and why; place counts those about one subject.
CREATE TABLE operator_act (
  partner text NOT NULL,
  subject text NOT NULL,
  place bigint NOT NULL,
  acted_at bigint NOT NULL,
  acted_by text NOT NULL,
  verb text NOT NULL,
  reason text NOT NULL,
  detail text NOT NULL,
  PRIMARY KEY (partner, subject, place)
);

-- Up to which seq a feed was written between two starts: a stretch, whose name no other store gives to what it writes.
CREATE TABLE feed_stretch (
  partner text NOT NULL,
  ended bigint NOT NULL,
  stretch bigint NOT NULL,
  PRIMARY KEY (partner, ended)
);
