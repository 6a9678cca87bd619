"""What the journal's file looks like, version by version: each step brings a file of the one before forward."""

from __future__ import annotations

_V1 = """
CREATE TABLE journal (
  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, incident INTEGER NOT NULL, event TEXT NOT NULL,
  who TEXT NOT NULL, what TEXT NOT NULL, inputs TEXT NOT NULL);
CREATE TRIGGER journal_keeps_rows BEFORE UPDATE ON journal
  BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_keeps_all BEFORE DELETE ON journal
  BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_keeps_order BEFORE INSERT ON journal
  WHEN NEW.id IS NOT NULL AND EXISTS (SELECT 1 FROM journal WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TABLE incident (
  id INTEGER PRIMARY KEY, rule TEXT NOT NULL, kind TEXT NOT NULL, gateway TEXT NOT NULL, channel TEXT NOT NULL,
  quantity TEXT NOT NULL, what_vi TEXT NOT NULL, what_en TEXT NOT NULL,
  place TEXT NOT NULL, place_vi TEXT NOT NULL, place_en TEXT NOT NULL, lat REAL, lon REAL,
  since_ms INTEGER NOT NULL, opened_ms INTEGER NOT NULL, bad_ms INTEGER NOT NULL, touched_ms INTEGER NOT NULL,
  until_ms INTEGER, ended_ms INTEGER, value REAL, peak REAL,
  late INTEGER NOT NULL, basis TEXT NOT NULL, undated INTEGER NOT NULL, untold INTEGER NOT NULL);
CREATE INDEX incident_key ON incident (rule, gateway, channel, ended_ms);
CREATE TABLE series (
  rule TEXT NOT NULL, gateway TEXT NOT NULL, channel TEXT NOT NULL, look_ms INTEGER, state TEXT NOT NULL,
  PRIMARY KEY (rule, gateway, channel)) WITHOUT ROWID;
CREATE TABLE processed (
  gateway TEXT NOT NULL, epoch TEXT NOT NULL, ranges TEXT NOT NULL, PRIMARY KEY (gateway, epoch)) WITHOUT ROWID;
CREATE TABLE presence (gateway TEXT PRIMARY KEY, heard_ms INTEGER NOT NULL, silent_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('uid', lower(hex(randomblob(6))));
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, incident INTEGER NOT NULL, kind TEXT NOT NULL, channel TEXT NOT NULL, who TEXT NOT NULL,
  message TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, next_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL, follows INTEGER NOT NULL, words TEXT NOT NULL);
CREATE INDEX outbox_due ON outbox (state, next_ms);
"""
_V2 = """
CREATE TABLE intent (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, incident INTEGER NOT NULL, tell TEXT NOT NULL,
  grade TEXT NOT NULL, due_s REAL NOT NULL, fresh_s REAL NOT NULL);
"""
_V3 = """
ALTER TABLE processed RENAME TO processed_v1;
CREATE TABLE processed (
  gateway TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, past INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY (gateway, epoch, first)) WITHOUT ROWID;
INSERT INTO processed
  SELECT gateway, epoch, json_extract(value, '$[0]'), json_extract(value, '$[1]'), 1000 * strftime('%s', 'now')
  FROM processed_v1, json_each(ranges);
DROP TABLE processed_v1;
CREATE INDEX processed_age ON processed (at_ms);
CREATE INDEX series_look ON series (look_ms) WHERE look_ms IS NOT NULL;
CREATE INDEX incident_open ON incident (gateway) WHERE ended_ms IS NULL;
"""
_V4 = """
CREATE TABLE letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, grp TEXT NOT NULL, level INTEGER NOT NULL,
  person TEXT NOT NULL, lang TEXT NOT NULL, channel TEXT NOT NULL, address TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, waited_s REAL NOT NULL, lifetime_s REAL NOT NULL, name TEXT NOT NULL,
  words TEXT NOT NULL DEFAULT '', copy_of INTEGER, told_event INTEGER, done_ms INTEGER);
CREATE INDEX letter_waits ON letter (level, id) WHERE state IN ('waiting', 'sending');
CREATE INDEX letter_group ON letter (grp, at_ms);
CREATE INDEX letter_lost ON letter (done_ms) WHERE state = 'given up';
CREATE INDEX letter_copies ON letter (copy_of);
CREATE TABLE about (
  letter INTEGER NOT NULL, incident INTEGER NOT NULL, tell TEXT NOT NULL, said TEXT NOT NULL,
  PRIMARY KEY (letter, incident)) WITHOUT ROWID;
CREATE INDEX about_incident ON about (incident);
INSERT INTO letter
  (id, at_ms, grp, level, person, lang, channel, address, state, attempts, waited_s, lifetime_s, name, words,
   told_event, done_ms)
  SELECT id, created_ms, '', 0, who, 'vi', channel, who,
    CASE state WHEN 'sent' THEN 'told' WHEN 'replaced' THEN 'overtaken' ELSE state END,
    attempts, 0, 86400, json_extract(message, '$.id'), words, id, created_ms
  FROM outbox WHERE channel = 'email';
INSERT INTO about SELECT id, incident, kind, CASE state WHEN 'sent' THEN kind ELSE '' END FROM outbox
  WHERE channel = 'email';
DROP TABLE outbox;
DELETE FROM intent WHERE id <= (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = 'posted');
"""
_V5 = """
ALTER TABLE presence RENAME TO presence_v1;
CREATE TABLE presence (
  gateway TEXT PRIMARY KEY, heard_ms INTEGER NOT NULL, back_ms INTEGER NOT NULL,
  heard_at INTEGER NOT NULL, back_at INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO presence SELECT gateway, heard_ms, heard_ms, -silent_ms, -silent_ms FROM presence_v1;
DROP TABLE presence_v1;
CREATE INDEX presence_heard ON presence (heard_at);
CREATE TABLE sensor (
  gateway TEXT NOT NULL, channel TEXT NOT NULL, quantity TEXT NOT NULL, value_ms INTEGER NOT NULL, value REAL,
  changed_ms INTEGER NOT NULL, back_ms INTEGER NOT NULL, heard_at INTEGER NOT NULL, back_at INTEGER NOT NULL,
  PRIMARY KEY (gateway, channel, quantity)) WITHOUT ROWID;
CREATE INDEX sensor_heard ON sensor (quantity, heard_at);
ALTER TABLE incident ADD COLUMN silent_ms INTEGER;
"""
_V6 = """
CREATE INDEX incident_ended ON incident (ended_ms);
"""
_V7 = """
ALTER TABLE sensor ADD COLUMN intervals TEXT NOT NULL DEFAULT '[]';
"""
_V8 = ""  # the state of a series may be MessagePack, which a gocche before this cannot read
_V9 = """
ALTER TABLE incident ADD COLUMN grade TEXT NOT NULL DEFAULT 'upkeep';
ALTER TABLE incident ADD COLUMN stage TEXT NOT NULL DEFAULT 'suspected';
ALTER TABLE incident ADD COLUMN part_of INTEGER;
ALTER TABLE incident ADD COLUMN closed_ms INTEGER;
ALTER TABLE incident ADD COLUMN closed_as TEXT NOT NULL DEFAULT '';
ALTER TABLE incident ADD COLUMN closed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE incident ADD COLUMN acked_ms INTEGER;
ALTER TABLE incident ADD COLUMN acked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE incident ADD COLUMN assignee TEXT NOT NULL DEFAULT '';
ALTER TABLE incident ADD COLUMN exercise INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN muted TEXT NOT NULL DEFAULT '';
ALTER TABLE incident ADD COLUMN claim TEXT NOT NULL DEFAULT '';
UPDATE incident SET closed_ms = ended_ms, closed_as = 'unknown', stage = 'closed' WHERE ended_ms IS NOT NULL;
CREATE INDEX incident_going ON incident (grade) WHERE closed_ms IS NULL;
CREATE INDEX incident_parts ON incident (part_of) WHERE part_of IS NOT NULL;
ALTER TABLE intent ADD COLUMN rung INTEGER NOT NULL DEFAULT 0;
ALTER TABLE letter ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE letter ADD COLUMN receipt TEXT NOT NULL DEFAULT '';
CREATE INDEX letter_code ON letter (code) WHERE code != '';
CREATE INDEX letter_person ON letter (person, done_ms) WHERE level = 0 AND state = 'told';
CREATE INDEX letter_name ON letter (name);
CREATE INDEX letter_undelivered ON letter (id) WHERE state = 'undelivered';
CREATE TABLE step (incident INTEGER PRIMARY KEY, rung INTEGER NOT NULL, due_ms INTEGER NOT NULL);
CREATE TABLE silence (
  id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL,
  from_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, ended_by TEXT NOT NULL DEFAULT '');
CREATE TABLE act (key TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID;
"""
_V10 = """
CREATE TABLE node (
  rule TEXT NOT NULL, gateway TEXT NOT NULL, node TEXT NOT NULL, smoke_ms INTEGER NOT NULL, state BLOB NOT NULL,
  PRIMARY KEY (rule, gateway, node)) WITHOUT ROWID;
CREATE INDEX node_smoke ON node (smoke_ms) WHERE smoke_ms > 0;
"""
_V11 = """
ALTER TABLE letter ADD COLUMN says TEXT NOT NULL DEFAULT '';
"""
_V12 = """
ALTER TABLE incident ADD COLUMN above TEXT NOT NULL DEFAULT '';
"""
_V13 = """
ALTER TABLE incident ADD COLUMN may_burn INTEGER NOT NULL DEFAULT 1;
UPDATE incident SET may_burn = 0 WHERE kind IN ('sum', 'absence', 'sensor');
"""
_V14 = """
CREATE INDEX journal_incident ON journal (incident);
"""
_V15 = """
ALTER TABLE node ADD COLUMN faults TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN patient_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX node_ill ON node (gateway, node, faults, patient_ms) WHERE faults != '' OR patient_ms > 300000;
"""
_V16 = """
ALTER TABLE incident ADD COLUMN cause TEXT NOT NULL DEFAULT '';
CREATE TABLE report (
  week TEXT NOT NULL, commune TEXT NOT NULL, at_ms INTEGER NOT NULL, told INTEGER NOT NULL, said BLOB NOT NULL,
  PRIMARY KEY (week, commune)) WITHOUT ROWID;
"""
# The n-th reaches version n; they are only added.
STEPS = (_V1, _V2, _V3, _V4, _V5, _V6, _V7, _V8, _V9, _V10, _V11, _V12, _V13, _V14, _V15, _V16)
