/* backend.c - the backends by name.
** A new backend is one line here. */
#include "backend.h"

#include <string.h>

static const mp_backend *const backends[] = {
    &mp_backend_sqlite, &mp_backend_postgres,  &mp_backend_mariadb,
    &mp_backend_fake,   &mp_backend_fake_file,
};

const mp_backend *mp_backend_find(const char *name)
{
  for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
    if (strcmp(backends[i]->name, name) == 0)
      return backends[i];
  return NULL;
}
