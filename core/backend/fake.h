/* fake.h - a database that is played from a script, for tests of everything above it.
** A script has a name; { dialect = "fake", database = name } reaches it, and "fake_file" is the same with a single
** writer, as SQLite has. Lines of a script, "#" begins a comment:
**
**   set depth 4                  requests that one session takes at once (1)
**   set max_sessions 1           connections that are of use (0: any number)
**   set settle 20                milliseconds that a cancel is in flight
**   set kill 1                   what runs is stopped by "kill N" on another session, N being its number; without one by itself
**   set password "x"             connecting with another one is auth_failed
**   select a -> columns id:int, name:text; row 1, "ada"; row 2, null
**   insert *2 -> affected 1; id 7        only for the first two times, then the rules below
**   connect *1 -> error connect_failed "refused"
**
** The rule of a statement is the first one, in order, whose text the statement begins with (in any case) and which is not
** used up. "connect", "ping" and "reset" are the rules of what has no text. Without a rule those three and
** the transaction statements succeed, and anything else is a syntax error. What stands behind the arrow:
**
**   columns n:int, s:text  names and kinds (mp_kind_name)       row 1, "x" *1000   rows; # is the row's number
**   affected 1    id 7    delay 50 (milliseconds)               hang (until it is cancelled or let go)
**   params        the parameters come back as a row             needs_writer    tainted
**   error unique "message" code=2067 table=t columns=a,b constraint=c sqlstate=23505 detail=d hint=h
**         retryable=transaction verdict=destroy sent=false
**   lost          the connection breaks after it was sent        lost unsent     before that
**   dies 5        the connection breaks so many milliseconds after the answer
**   tx open       what the engine says of the transaction afterwards: idle open aborted unknown
*/
#ifndef MP_FAKE_H
#define MP_FAKE_H

#include "backend.h"

/* Register a script; one of that name is replaced and its log begins anew, while sessions go on with the old one.
** On failure why names the line. */
mp_status mp_fake_script(const char *name, const char *text, char *why, size_t why_bytes);
void mp_fake_forget(const char *name);

/* What it was asked, in order: SQL texts, and "(connect)" "(close)" "(cancel)" "(ping)" "(reset)", and "(alone)" of a cancel
** that had to do without another session. NULL: no more. session
** counts from 1; NULL is fine. */
const char *mp_fake_asked(const char *name, size_t index, int *session);

/* Let everything that hangs at this moment go on, so that a test needs no clock to have something run as long as it likes. */
void mp_fake_let_go(const char *name);

typedef struct mp_fake_counts {
  int connects, sessions, sessions_max; /* tried; open now; at once */
  int cancels;
  int writers_max; /* sessions that wrote, or had begun to, at once */
} mp_fake_counts;

/* False: no such script. */
bool mp_fake_count(const char *name, mp_fake_counts *out);

#endif
