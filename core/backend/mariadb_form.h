/* mariadb_form.h - what the rooms of mariadb_type.h share.
** mariadb_type.c knows the columns and makes the cells, mariadb_time.c those that are dates and times, mariadb_param.c
** the parameters. */
#ifndef MP_MARIADB_FORM_H
#define MP_MARIADB_FORM_H

#include "mariadb_type.h"

/* A cell on its way to a value. */
typedef struct mp_mycell {
  const mp_mycolumn *column;
  mp_arena *arena;
  mp_error *err;
} mp_mycell;

/* False with the error that the server sent no such value; that there is no memory. */
bool mp_mycell_bad(const mp_mycell *cell);
bool mp_mycell_no_memory(const mp_mycell *cell);

/* Dates and times, from both protocols. */
bool mp_mycell_time(const mp_mycell *cell, const MYSQL_TIME *t, mp_value *out);
bool mp_mycell_time_text(const mp_mycell *cell, const char *s, size_t n, mp_value *out);

/* The value (of one of the kinds of dates and times) as the library sends it. */
void mp_mytime(const mp_value *value, MYSQL_TIME *out);

#endif
