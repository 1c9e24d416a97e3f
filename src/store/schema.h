/*
 * store/schema.h — the tables, their versions, and the way into a file.
 *
 * Private to store/. PRAGMA application_id says which kind of file it is, PRAGMA user_version which
 * version of its schema it has. A newer program brings an older file up to date, each version in a
 * transaction of its own; an older program refuses a newer file.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/database.h"

struct schema {
    const char *what; /* "certpost store", for people */
    int64_t application_id;
    int64_t version; /* the number of migrations */
    const char *const
        *migrations; /* [n] makes version n + 1 out of version n; 0 is an empty file */
};

extern const struct schema schema_store;
extern const struct schema schema_spool;

/* CERTPOST_OK when the file is of this kind and exactly this version. Writes nothing. */
CERTPOST_MUST_CHECK
enum certpost_status schema_check(struct database *db, const struct schema *schema,
                                  struct certpost_error *error);

/*
 * The way to trust a file that exists, possibly empty (docs/durability.md, Opening): opens it,
 * alone if that can be had, brings the schema up to date, and forces everything that can be read
 * from it to the disk. Closes it again. With `sole`, which is needed after an I/O error, it fails
 * rather than share the file. `place` must be free of connections of this process.
 */
CERTPOST_MUST_CHECK
enum certpost_status schema_settle(const struct database_place *place, const struct schema *schema,
                                   bool sole, struct certpost_error *error);

#endif
