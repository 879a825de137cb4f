/* mariadb_error.h - what the server's and the library's error numbers mean.
** The map is chosen by the server's flavour, because numbers differ between MariaDB and MySQL. Messages are without row
** data. */
#ifndef MP_MARIADB_ERROR_H
#define MP_MARIADB_ERROR_H

#include "arena.h"
#include "status.h"

typedef enum mp_myflavour {
  MP_MY_MARIADB,
  MP_MY_MYSQL
} mp_myflavour;

/* number, sqlstate and message as mysql_errno ... or mysql_stmt_errno ... give them; connecting: while the connection was
** being made. Fills kind, code, sqlstate, message (without the row's values: they are cut out, detail has the whole
** text), constraint, table, columns where the message tells, hint, retryable and verdict. sent is true unless connecting:
** who knows that nothing left the process makes it false. The position of a syntax error is mp_mymessage_position's. */
void mp_myerror(mp_myflavour flavour, unsigned number, const char *sqlstate, const char *message,
                bool connecting, mp_arena *arena, mp_error *out);

#endif
