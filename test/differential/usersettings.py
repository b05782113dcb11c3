"""Settings that a user may change, changed at random before statements, alike on both sides.

What input, output, the parser, deparsing and planning read: answers must stay those of plain
PostgreSQL, whose session has the same.  The same seed and script make the same changes.
"""
import random

ON_OFF = ['on', 'off']
SETTINGS = {
    'DateStyle': ['ISO, MDY', 'ISO, DMY', 'SQL, DMY', 'SQL, MDY', 'German', 'Postgres, DMY', 'ISO, YMD'],
    'IntervalStyle': ['postgres', 'postgres_verbose', 'sql_standard', 'iso_8601'],
    'extra_float_digits': ['-10', '-1', '0', '1', '3'],
    'bytea_output': ['hex', 'escape'],
    'array_nulls': ON_OFF,
    'xmloption': ['content', 'document'],
    'xmlbinary': ['base64', 'hex'],
    'quote_all_identifiers': ON_OFF,
    'standard_conforming_strings': ON_OFF,
    'backslash_quote': ['on', 'off', 'safe_encoding'],
    'escape_string_warning': ON_OFF,
    'transform_null_equals': ON_OFF,
    'TimeZone': ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', '<+0130>-1:30'],
    'timezone_abbreviations': ['Default', 'Australia', 'India'],
    'default_text_search_config': ['pg_catalog.simple', 'pg_catalog.english', 'pg_catalog.german'],
    'lc_monetary': ['C', 'C.utf8', 'POSIX'],
    'lc_numeric': ['C', 'C.utf8'],
    'lc_time': ['C', 'C.utf8'],
    'default_transaction_isolation': ['read committed', 'repeatable read', 'serializable'],
    'check_function_bodies': ON_OFF,
    'constraint_exclusion': ['on', 'off', 'partition'],
    'enable_partition_pruning': ON_OFF,
    'enable_partitionwise_join': ON_OFF,
    'enable_partitionwise_aggregate': ON_OFF,
    'enable_hashjoin': ON_OFF, 'enable_mergejoin': ON_OFF, 'enable_nestloop': ON_OFF, 'enable_hashagg': ON_OFF, 'enable_sort': ON_OFF,
    'enable_incremental_sort': ON_OFF, 'enable_material': ON_OFF, 'enable_memoize': ON_OFF, 'enable_seqscan': ON_OFF, 'enable_indexscan': ON_OFF,
    'enable_bitmapscan': ON_OFF, 'enable_tidscan': ON_OFF, 'enable_gathermerge': ON_OFF,
    'from_collapse_limit': ['1', '8'], 'join_collapse_limit': ['1', '8'], 'geqo_threshold': ['2', '12'], 'geqo': ON_OFF,
    'plan_cache_mode': ['auto', 'force_generic_plan', 'force_custom_plan'],
    'cursor_tuple_fraction': ['0', '0.1', '1'],
    'work_mem': ['64kB', '4MB'], 'hash_mem_multiplier': ['1', '4'],
    'force_parallel_mode': ['off', 'on', 'regress'],
    'parallel_setup_cost': ['0', '1000'], 'parallel_tuple_cost': ['0', '0.1'], 'min_parallel_table_scan_size': ['0', '8MB'],
    'max_parallel_workers_per_gather': ['0', '2'], 'parallel_leader_participation': ON_OFF,
    'client_min_messages': ['notice', 'warning', 'debug1'],
    'synchronous_commit': ON_OFF, 'jit': ON_OFF, 'row_security': ['on'], 'gin_fuzzy_search_limit': ['0'],
    'default_statistics_target': ['10', '100'],
}
TEXT = list(SETTINGS)[:18]      # what texts and values depend on comes as often as all the others


class UserSettings:
    def __init__(self, seed, name, sides):
        self.random, self.sides, self.current = random.Random('%s %s' % (seed, name)), sides, {}

    def change(self):
        """Before a statement: a few changes, or none."""
        while self.random.random() < 0.4:
            name = self.random.choice(TEXT if self.random.random() < 0.5 else sorted(SETTINGS))
            local = 'LOCAL ' if self.random.random() < 0.2 else ''
            sql = "SET %s%s = '%s'" % (local, name, self.random.choice(SETTINGS[name]))
            if self.random.random() < 0.25:
                sql = 'RESET ' + name
            for side in self.sides:
                side.run(sql)
            self.current[name] = sql

    def text(self):
        return '; '.join(self.current.values())
