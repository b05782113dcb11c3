# cz_fdw: distributed PostgreSQL with vanilla workers.  "make help" lists the targets.
MODULE_big = cz_fdw
EXTENSION = cz_fdw
EXTVERSION = 1.0

SRCS = $(sort $(wildcard src/*.c src/*/*.c))
OBJS = $(SRCS:.c=.o)
SQL_SOURCES = $(sort $(wildcard sql/[0-9][0-9]-*.sql))
DATA_built = sql/cz_fdw--$(EXTVERSION).sql
EXTRA_CLEAN = $(SRCS:.c=.d)

NO_INSTALLCHECK = 1
PG_CPPFLAGS = -Iinclude -I$(libpq_srcdir)
PG_CFLAGS = -MMD -MP
ifdef DEV
PG_CFLAGS += -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Werror -DUSE_ASSERT_CHECKING
endif
SHLIB_LINK = $(libpq) -ljansson

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

sql/cz_fdw--$(EXTVERSION).sql: $(SQL_SOURCES)
	cat $(SQL_SOURCES) > $@

-include $(SRCS:.c=.d)
