/* mariadb_message.h - what the texts of the server's errors tell beside their number.
** The server sends no fields: names and values stand in a sentence, in English (the session asks for no other
** language). Any text is taken, also one that no server would send. */
#ifndef MP_MARIADB_MESSAGE_H
#define MP_MARIADB_MESSAGE_H

#include "status.h"

/* Fill constraint, table and columns of *err, as far as text tells them, and cut what it quotes of a row's values out of
** err->message; the whole text is then in detail. */
void mp_mymessage_read(unsigned number, const char *text, mp_arena *arena, mp_error *err);

/* Of 1292: is the value that it complains of a date or time? */
bool mp_mymessage_is_temporal(const char *text);

/* Where in sql a syntax error (1064) is, in bytes from 1; 0 if the text does not tell. */
int mp_mymessage_position(const char *text, const char *sql);

#endif
