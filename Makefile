# cz_fdw: distributed PostgreSQL with vanilla workers.  "make help" lists the targets.
MODULE_big = cz_fdw
EXTENSION = cz_fdw

# Where the sources are: here, unless make runs in another directory (make -f DIR/Makefile)
SOURCE_DIR := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))
find = $(sort $(patsubst $(SOURCE_DIR)/%,%,$(wildcard $(addprefix $(SOURCE_DIR)/,$(1)))))

EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(SOURCE_DIR)/cz_fdw.control)
# Released versions whose databases can be updated: sql/cz_fdw--VERSION.sql, and the
# directory of what has changed since
OLD_VERSION = 1.0
# (its commit, for make test-update where there is no tag)
OLD_COMMIT = 99bd43554581aa8e667bfeb3e2109a2518b2602f

SRCS = $(call find,src/*.c src/*/*.c src/*/*/*.c)
OBJS = $(SRCS:.c=.o)
SQL_SOURCES = $(call find,sql/[0-9][0-9]-*.sql)
# Topics that are new since then are a part of the update as they are
NEW_TOPICS = 45-coordinators.sql 62-statistics.sql
UPDATE_DIR = sql/$(OLD_VERSION)--$(EXTVERSION)
UPDATE_SOURCES = $(foreach topic,$(sort $(notdir $(call find,$(UPDATE_DIR)/[0-9][0-9]-*.sql)) $(NEW_TOPICS)), \
	$(if $(filter $(topic),$(NEW_TOPICS)),sql,$(UPDATE_DIR))/$(topic))
DATA = sql/cz_fdw--$(OLD_VERSION).sql
DATA_built = sql/cz_fdw--$(EXTVERSION).sql sql/cz_fdw--$(OLD_VERSION)--$(EXTVERSION).sql
EXTRA_CLEAN = $(SRCS:.c=.d) .built_for test/results

# (ours makes a cluster)
NO_INSTALLCHECK = 1
# the server's headers before those of a libpq that may be of another major
PG_CPPFLAGS = -I$(SOURCE_DIR)/include -I$(includedir_server) -I$(libpq_srcdir)
# no bitcode for JIT: there is nothing that expressions could inline
override with_llvm = no
# functions without prototypes in the headers of 15 are none for a compiler whose default is C23
OLDER_C = $(if $(filter 15,$(MAJORVERSION)),$(shell $(CC) -dM -E -x c /dev/null 2>/dev/null | sed -n 's/.*__STDC_VERSION__ 202[0-9]*L/-std=gnu17/p'))
PG_CFLAGS = -MMD -MP $(OLDER_C)
# Debian's flags are gcc's; clang says so at length
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes -Wno-compound-token-split-by-macro
endif
ifdef DEV
PG_CFLAGS += -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Werror -DUSE_ASSERT_CHECKING
endif
SHLIB_LINK = $(libpq) -ljansson

.DEFAULT_GOAL := all

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq (,$(wildcard $(PGXS)))
include $(PGXS)

sql/cz_fdw--$(EXTVERSION).sql: $(SQL_SOURCES)
	cat $^ > $@

sql/cz_fdw--$(OLD_VERSION)--$(EXTVERSION).sql: $(UPDATE_SOURCES)
	cat $^ > $@

.PHONY: installcheck
installcheck:
	@$(SOURCE_DIR)/packaging/debian/tests/cluster $(bindir)

# rules for directories would find those of the sources
ifneq ($(SOURCE_DIR),.)
$(shell mkdir -p sql $(sort $(dir $(OBJS))))
endif

# Objects of another server, compiler or kind of build are made anew
BUILT_FOR = $(VERSION) $(CC) $(DEV)
.PHONY: FORCE
.built_for: FORCE
	@echo '$(BUILT_FOR)' | cmp -s - $@ || echo '$(BUILT_FOR)' >$@
$(OBJS): .built_for

-include $(SRCS:.c=.d)
else
all install:
	@echo "No PostgreSQL development files: run test/bin/install_deps (Debian) or set PG_CONFIG." >&2
	@exit 1
endif

# Everything below goes through scripts in test/bin, which install what is
# missing, build, and run their own servers in a scratch directory.
export PG_CONFIG
TEST_PARTS = lint regress isolation tap differential

# used by the scripts
.PHONY: print-pgxs

.PHONY: differential fuzz load test-all matrix soak pgregress sqlsmith ecosystem help deps test $(addprefix test-,$(TEST_PARTS)) lint demo demo-stop bench dist test-update test-upgrade test-packages test-demo test-majors test-mixed test-matrix

print-pgxs:
	@echo $(PGXS)

help:
	@echo 'make                 build'
	@echo 'make install         install into the server of PG_CONFIG ($(PG_CONFIG))'
	@echo 'make installcheck    a cluster of servers of its own, with what is installed there'
	@echo 'make test            all tests below on servers of its own'
	@echo 'make test-PART       one of: $(TEST_PARTS);'
	@echo '                     TESTS="name ..." runs only these'
	@echo 'make test-all        everything: make test with each failure of each kind in the TAP tests, and'
	@echo '                     each script in each shape of cluster (make test takes two thirds of'
	@echo '                     them, other ones with each commit) and with 32 shards of three'
	@echo '                     placements; test-update; test-matrix; make test on each other'
	@echo '                     PostgreSQL; test-mixed with all scripts; test-upgrade; fuzz; by root test-packages'
	@echo '                     and test-demo; PARTS="majors mixed" runs only these (test/bin/test_all)'
	@echo 'make lint            same as test-lint'
	@echo 'make differential    the differential test with all statements, in more shapes;'
	@echo '                     TESTS="class_cte ..." runs only these'
	@echo 'make fuzz            random statements, compared with plain PostgreSQL, and random'
	@echo '                     transactions of several sessions, placements compared;'
	@echo '                     SEED=n COUNT=n ROUNDS=n for certain ones; then the same while'
	@echo '                     servers and backends are killed, STORM_SECONDS=n'
	@echo 'make soak            the bank test for five minutes, cancelled DDL; SECONDS=n SEED=n'
	@echo 'make load            clients of all kinds while workers are added, drained, frozen and lost;'
	@echo '                     SECONDS=n (300) SEED=n'
	@echo 'make matrix          each failure at each step of a commit, for each kind of write'
	@echo 'make pgregress       scripts of PostgreSQL, tables distributed; TESTS="name ...",'
	@echo '                     PGSRC=dir: its source (fetched from Debian otherwise)'
	@echo 'make sqlsmith        random statements of sqlsmith: no crash, no internal error;'
	@echo '                     SEED=n SQLSMITH_QUERIES=n'
	@echo 'make ecosystem       migrations of ORMs (npm, Debian) here and on plain PostgreSQL;'
	@echo '                     TESTS="knex ..." runs only these'
	@echo 'make demo            start a coordinator and three workers with data and a tour'
	@echo 'make demo-stop       stop them and remove the data'
	@echo 'make bench           compare with plain PostgreSQL and with postgres_fdw'
	@echo 'make test-update     the last release is built from git, makes a cluster, and is updated'
	@echo 'make test-upgrade    pg_upgrade of a coordinator and its workers to each later PostgreSQL that is'
	@echo '                     here, or in a root directory made for it (root, debootstrap)'
	@echo 'make test-packages   Debian packages for 15, 17 and 18, made twice and compared, installed where there'
	@echo '                     is no compiler, purged and installed again under a cluster (root, debootstrap);'
	@echo '                     MAJORS="17" only these'
	@echo 'make test-demo       the demo on a fresh Debian 12, 13 and forky (root, debootstrap); MAJORS="17"'
	@echo 'make test-majors     regression tests on each other PostgreSQL that is installed, named in'
	@echo '                     CZ_PG_CONFIGS (a list of pg_config), or in another Debian (root only;'
	@echo '                     kept in CZ_CACHE, /var/tmp); TARGETS="test ..." makes others'
	@echo 'make test-mixed      workers of PostgreSQL 14, 16 and 18 in one cluster (npm, or CZ_WORKER_BINS)'
	@echo 'make test-matrix     compile against every PostgreSQL that is installed, gcc and clang'
	@echo 'make dist            source archives of what is committed, for packages and PGXN'
	@echo 'DEV=1                warnings are errors, assertions on'

deps:
	@test/bin/install_deps

test: deps
	@test/bin/run_tests $(TEST_PARTS)

$(addprefix test-,$(TEST_PARTS)): test-%: deps
	@test/bin/run_tests $* $(TESTS)

differential: deps
	@test/bin/run_tests classes $(TESTS)

fuzz: deps
	@SEED=$(SEED) COUNT=$(COUNT) ROUNDS=$(ROUNDS) test/bin/run_tests fuzz

soak: deps
	@SOAK_SECONDS=$(or $(SECONDS),300) SOAK_SEED=$(SEED) test/bin/run_tests tap 050_bank 059_cancelled_ddl

load: deps
	@LOAD_SECONDS=$(or $(SECONDS),300) LOAD_SEED=$(SEED) test/bin/run_tests tap 072_load

test-all: deps
	@test/bin/test_all $(PARTS)

matrix: deps
	@MATRIX=all test/bin/run_tests tap 041_commit_matrix

pgregress: deps
	@PGSRC=$(PGSRC) test/bin/run_tests pgregress $(TESTS)

sqlsmith: deps
	@SEED=$(SEED) SQLSMITH_QUERIES=$(SQLSMITH_QUERIES) test/bin/run_tests sqlsmith

ecosystem: deps
	@test/bin/run_tests ecosystem $(TESTS)

lint: test-lint

demo: deps
	@test/demo/run

demo-stop:
	@test/demo/stop

bench: deps
	@test/bench/run $(PARTS)

test-update: deps
	@test/bin/test_update

test-upgrade: deps
	@test/bin/test_upgrade

test-packages:
	@test/bin/test_packages $(MAJORS)

test-demo:
	@test/bin/test_demo $(MAJORS)

test-majors: deps
	@test/bin/test_majors $(TARGETS)

test-mixed: deps
	@test/bin/test_mixed

test-matrix: deps
	@test/bin/compile_matrix

dist:
	git archive --format=tar --prefix=cz_fdw-$(EXTVERSION).0/ HEAD | gzip -n >cz_fdw-$(EXTVERSION).0.tar.gz
	git archive --format=zip --prefix=cz_fdw-$(EXTVERSION).0/ -o cz_fdw-$(EXTVERSION).0.zip HEAD
