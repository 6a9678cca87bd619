-- A store as gocche wrote it when a time carried the sequence number: dumped with sqlite3 (.dump), its user_version added.
BEGIN TRANSACTION;
CREATE TABLE channel (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (gateway, name));
INSERT INTO "channel" VALUES(1,'sg-01','soil-1');
INSERT INTO "channel" VALUES(2,'sg-01','gnss-1');
INSERT INTO "channel" VALUES(3,'sg-01','modem');
INSERT INTO "channel" VALUES(4,'sg-01','air-1');
CREATE TABLE dirty_hour (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, touched_ms INTEGER NOT NULL,
        PRIMARY KEY (hour, channel)
    ) WITHOUT ROWID;
INSERT INTO "dirty_hour" VALUES(489964,1,1763870409000);
INSERT INTO "dirty_hour" VALUES(489964,2,1763870409000);
INSERT INTO "dirty_hour" VALUES(489964,3,1763870409000);
INSERT INTO "dirty_hour" VALUES(489964,4,1763870409000);
CREATE TABLE epoch (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (gateway, name));
INSERT INTO "epoch" VALUES(1,'sg-01','0000000000000000');
CREATE TABLE hourly (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, quantity TEXT NOT NULL,
        n INTEGER NOT NULL, mean REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
        PRIMARY KEY (hour, channel, quantity)
    ) WITHOUT ROWID;
CREATE TABLE latest (
        channel INTEGER NOT NULL, quantities TEXT NOT NULL, time INTEGER NOT NULL, texts TEXT NOT NULL,
        PRIMARY KEY (channel, quantities)
    ) WITHOUT ROWID;
INSERT INTO "latest" VALUES(1,'soil_moisture,soil_temperature,soil_ec,soil_ph,soil_nitrogen,soil_potassium',1763870403000000004,'0.00,18.40,412,4.85,31,12');
INSERT INTO "latest" VALUES(2,'lat,lon,alt',1763870400000999999,'21.5551234,104.5060001,1371.50');
INSERT INTO "latest" VALUES(3,'cell',1763870401000000001,'68719476735');
INSERT INTO "latest" VALUES(3,'lte_rsrp',1763870403000000005,'-99.0');
INSERT INTO "latest" VALUES(4,'air_temperature',1763870402000000003,'-3.05');
CREATE TABLE ledger (
        epoch INTEGER NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL, verdict INTEGER NOT NULL,
        arrival_ms INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, words TEXT NOT NULL,
        PRIMARY KEY (epoch, first, n)
    ) WITHOUT ROWID;
INSERT INTO "ledger" VALUES(1,999998,8,0,1763870409000,1763870400000999998,1763870403000000005,'');
CREATE TABLE missing (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, time INTEGER NOT NULL,
        quantity TEXT NOT NULL, reason INTEGER NOT NULL, raw REAL,
        PRIMARY KEY (hour, channel, time, quantity)
    ) WITHOUT ROWID;
INSERT INTO "missing" VALUES(489964,1,1763870401000000000,'soil_ph',7,NULL);
INSERT INTO "missing" VALUES(489964,1,1763870402000000002,'soil_ec',1,NULL);
INSERT INTO "missing" VALUES(489964,1,1763870402000000002,'soil_moisture',1,NULL);
INSERT INTO "missing" VALUES(489964,1,1763870402000000002,'soil_nitrogen',1,NULL);
INSERT INTO "missing" VALUES(489964,1,1763870402000000002,'soil_ph',1,NULL);
INSERT INTO "missing" VALUES(489964,1,1763870402000000002,'soil_potassium',1,NULL);
INSERT INTO "missing" VALUES(489964,1,1763870402000000002,'soil_temperature',1,NULL);
INSERT INTO "missing" VALUES(489964,3,1763870403000000005,'cell',9,NULL);
CREATE TABLE reading (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, time INTEGER NOT NULL,
        shape INTEGER NOT NULL, texts TEXT NOT NULL,
        PRIMARY KEY (hour, channel, time)
    ) WITHOUT ROWID;
INSERT INTO "reading" VALUES(489964,1,1763870400000999998,1,'31.27,18.40,412,4.85,31,12');
INSERT INTO "reading" VALUES(489964,1,1763870401000000000,1,'31.27,18.40,412,,31,12');
INSERT INTO "reading" VALUES(489964,1,1763870402000000002,1,',,,,,');
INSERT INTO "reading" VALUES(489964,1,1763870403000000004,1,'0.00,18.40,412,4.85,31,12');
INSERT INTO "reading" VALUES(489964,2,1763870400000999999,2,'21.5551234,104.5060001,1371.50');
INSERT INTO "reading" VALUES(489964,3,1763870401000000001,3,'68719476735,-140.5');
INSERT INTO "reading" VALUES(489964,3,1763870403000000005,3,',-99.0');
INSERT INTO "reading" VALUES(489964,4,1763870402000000003,4,'-3.05');
CREATE TABLE shape (
        id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, quantities TEXT NOT NULL, UNIQUE (epoch, quantities)
    );
INSERT INTO "shape" VALUES(1,1,'soil_moisture,soil_temperature,soil_ec,soil_ph,soil_nitrogen,soil_potassium');
INSERT INTO "shape" VALUES(2,1,'lat,lon,alt');
INSERT INTO "shape" VALUES(3,1,'cell,lte_rsrp');
INSERT INTO "shape" VALUES(4,1,'air_temperature');
CREATE TABLE status (
        gateway TEXT NOT NULL, epoch TEXT NOT NULL, arrival_ms INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (gateway, epoch)
    ) WITHOUT ROWID;
CREATE INDEX ledger_arrival ON ledger (arrival_ms);
COMMIT;
PRAGMA user_version = 2;
