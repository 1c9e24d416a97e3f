/*
 * schema.c — the tables of the store and the spool (store/schema.h).
 *
 * A version that was released is never changed here; a change is a new migration at the end.
 *
 * Uses: database.  Used by: sqlite_store, spool, reader.  Never: touches rows of messages.
 */
#include "store/schema.h"

#include "base/error.h"

#include <stdio.h>

/*
 * messages  in the order of arrival, over all streams; appended only, so that the tree grows at its
 *           right edge. No secondary index: one would double the cost of a message. `commits` is
 *           the way to find one: it has the rows of each range of numbers.
 * commits   one row per transaction and stream: index and integrity checkpoint in one. `digest` is
 *           D(last_seq). first_row and last_row enclose the range; rows of other streams may lie
 *           between.
 * streams   the heads, which repeat what the last row of `commits` says: an audit compares them.
 *
 * A view's casts and the join are for people at an sqlite3 prompt; no code of ours reads views.
 */
static const char *const store_migrations[] = {
    "CREATE TABLE streams ("
    "  id INTEGER PRIMARY KEY,"
    "  identity TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  last_seq INTEGER NOT NULL,"
    "  digest BLOB NOT NULL,"
    "  UNIQUE (identity, name));"

    "CREATE TABLE messages ("
    "  id INTEGER PRIMARY KEY,"
    "  stream INTEGER NOT NULL REFERENCES streams (id),"
    "  seq INTEGER NOT NULL,"
    "  body BLOB NOT NULL);"

    "CREATE TABLE commits ("
    "  stream INTEGER NOT NULL REFERENCES streams (id),"
    "  last_seq INTEGER NOT NULL,"
    "  first_seq INTEGER NOT NULL,"
    "  first_row INTEGER NOT NULL,"
    "  last_row INTEGER NOT NULL,"
    "  time_ms INTEGER NOT NULL,"
    "  digest BLOB NOT NULL,"
    "  PRIMARY KEY (stream, last_seq)) WITHOUT ROWID;"

    "CREATE VIEW inbox AS"
    "  SELECT m.id AS id, s.identity AS identity, s.name AS stream, m.seq AS seq,"
    "    strftime('%Y-%m-%dT%H:%M:%fZ', c.time_ms / 1000.0, 'unixepoch') AS time,"
    "    length(m.body) AS bytes, CAST(m.body AS TEXT) AS text"
    "  FROM messages m JOIN streams s ON s.id = m.stream"
    "  JOIN commits c ON c.stream = m.stream AND c.last_seq ="
    "    (SELECT min(last_seq) FROM commits WHERE stream = m.stream AND last_seq >= m.seq)"
    "  ORDER BY m.id;"

    "CREATE VIEW heads AS"
    "  SELECT identity, name AS stream, last_seq, lower(hex(digest)) AS digest FROM streams"
    "  ORDER BY identity, name;",
};

/*
 * messages  what is not acknowledged yet, under its number.
 * state     one row: whose spool it is, and what was acknowledged last, by whom, with which digest
 *           (NULL while nothing is known of the stream).
 */
static const char *const spool_migrations[] = {
    "CREATE TABLE messages ("
    "  seq INTEGER PRIMARY KEY,"
    "  body BLOB NOT NULL);"

    "CREATE TABLE state ("
    "  id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  stream TEXT NOT NULL,"
    "  server TEXT NOT NULL,"
    "  acked_seq INTEGER NOT NULL,"
    "  digest BLOB);"

    "CREATE VIEW outbox AS"
    "  SELECT seq, length(body) AS bytes, CAST(body AS TEXT) AS text FROM messages ORDER BY seq;",
};

#define SCHEMA_COUNT(migrations) ((int64_t)(sizeof(migrations) / sizeof((migrations)[0])))

const struct schema schema_store = {
    .what = "certpost store",
    .application_id = 0x43505354, /* "CPST" */
    .version = SCHEMA_COUNT(store_migrations),
    .migrations = store_migrations,
};

const struct schema schema_spool = {
    .what = "certpost spool",
    .application_id = 0x43505350, /* "CPSP" */
    .version = SCHEMA_COUNT(spool_migrations),
    .migrations = spool_migrations,
};

struct schema_found {
    int64_t application_id;
    int64_t version;
    int64_t objects; /* tables, views and the like */
};

static enum certpost_status schema_look(struct database *db, struct schema_found *ret_found,
                                        struct certpost_error *error)
{
    struct schema_found found = {0};
    enum certpost_status status =
        database_number(db, "PRAGMA application_id", &found.application_id, error);
    if (status == CERTPOST_OK)
        status = database_number(db, "PRAGMA user_version", &found.version, error);
    if (status == CERTPOST_OK)
        status = database_number(db, "SELECT count(*) FROM sqlite_master", &found.objects, error);
    if (status == CERTPOST_OK)
        *ret_found = found;
    return status;
}

static enum certpost_status schema_refuse_foreign(const struct database_place *place,
                                                  const struct schema *schema,
                                                  const struct schema_found *found,
                                                  struct certpost_error *error)
{
    if (found->application_id != schema->application_id)
        return error_set(error, place->status, "%s %s: the file is no %s", place->what, place->path,
                         schema->what);
    if (found->version > schema->version)
        return error_set(error, place->status,
                         "%s %s: it has version %lld of the schema and this program knows versions "
                         "up to %lld: use a newer certpost",
                         place->what, place->path, (long long)found->version,
                         (long long)schema->version);
    return CERTPOST_OK;
}

enum certpost_status schema_check(struct database *db, const struct schema *schema,
                                  struct certpost_error *error)
{
    struct schema_found found = {0};
    enum certpost_status status = schema_look(db, &found, error);
    if (status == CERTPOST_OK)
        status = schema_refuse_foreign(db->place, schema, &found, error);
    if (status == CERTPOST_OK && found.version < schema->version)
        return error_set(
            error, db->place->status,
            "%s %s: it has the older version %lld of the schema: start certpostd on it "
            "once, which brings it up to date",
            db->place->what, db->place->path, (long long)found.version);
    return status;
}

static enum certpost_status schema_migrate_one(struct database *db, const struct schema *schema,
                                               int64_t from, struct certpost_error *error)
{
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA application_id=%lld; PRAGMA user_version=%lld;",
             (long long)schema->application_id, (long long)from + 1);
    enum certpost_status status = database_run(db, "BEGIN IMMEDIATE", error);
    if (status == CERTPOST_OK)
        status = database_run(db, schema->migrations[from], error);
    if (status == CERTPOST_OK)
        status = database_run(db, mark, error);
    if (status == CERTPOST_OK)
        status = database_run(db, "COMMIT", error);
    return status; /* on failure the caller closes, which rolls back */
}

static enum certpost_status schema_migrate(struct database *db, const struct schema *schema,
                                           struct certpost_error *error)
{
    struct schema_found found = {0};
    enum certpost_status status = schema_look(db, &found, error);
    bool is_empty = found.application_id == 0 && found.version == 0 && found.objects == 0;
    if (status == CERTPOST_OK && !is_empty)
        status = schema_refuse_foreign(db->place, schema, &found, error);
    /* Pages of 8 KiB instead of 4 take a fifth off a message of 1 KiB and cost a lone small one
     * nothing that can be measured beside its fsync. */
    if (status == CERTPOST_OK && is_empty)
        status = database_run(db, "PRAGMA page_size=8192", error);
    if (status == CERTPOST_OK)
        status = database_use_log(db, error);
    for (int64_t version = found.version; status == CERTPOST_OK && version < schema->version;
         version++)
        status = schema_migrate_one(db, schema, version, error);
    return status;
}

/* Copies the whole log into the database and empties it: only fresh writes can be synced honestly.
 */
static enum certpost_status schema_force(struct database *db, struct certpost_error *error)
{
    struct database_log log = {0};
    return database_checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE, &log, error);
}

static enum certpost_status schema_settle_in(const struct database_place *place,
                                             const struct schema *schema, enum database_mode mode,
                                             bool *ret_was_locked, struct certpost_error *error)
{
    struct database db = {0};
    enum certpost_status status = database_open(&db, place, mode, error);
    if (status == CERTPOST_OK)
        status = schema_migrate(&db, schema, error);
    if (status == CERTPOST_OK)
        status = schema_force(&db, error);
    database_close(&db, status == CERTPOST_OK);
    *ret_was_locked = db.was_locked;
    return status;
}

enum certpost_status schema_settle(const struct database_place *place, const struct schema *schema,
                                   bool sole, struct certpost_error *error)
{
    bool was_locked = false;
    if (sole)
        return schema_settle_in(place, schema, DATABASE_SOLE, &was_locked, error);
    struct database_place impatient = *place;
    impatient.busy_timeout_ms = 0;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status =
        schema_settle_in(&impatient, schema, DATABASE_SOLE, &was_locked, &cause);
    if (status == CERTPOST_OK || !was_locked)
        return status == CERTPOST_OK ? status : error_adopt(error, status, &cause);
    return schema_settle_in(place, schema, DATABASE_SHARED, &was_locked, error);
}
