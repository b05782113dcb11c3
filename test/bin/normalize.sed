# What differs from run to run in the outputs of regress and isolation tests.

# shard ids: in names, in options, in columns of their own
s/_1[0-9]{5}\b/_xxxxxx/g
s/(shard_id '?)1[0-9]{5}/\1xxxxxx/g
s/(shard )1[0-9]{5}\b/\1xxxxxx/g

# ports and nodes of the test cluster
s/(127\.0\.0\.1 +\| +)[0-9]{4,5}/\1xxxxx/g
s/(127\.0\.0\.1[:,]? ?|port '?|port=|port )[0-9]{4,5}/\1xxxxx/g
s/\bnode_[0-9]+\b/node_x/g

# the random words of nodes
s/identity=[0-9a-f]{32}/identity=x/g
# of the worker, so that of PostgreSQL here
s/server_version=[0-9]+/server_version=x/g

# costs and times of EXPLAIN
s/\(cost=[0-9.]+ rows=[0-9]+ width=[0-9]+\)/(cost=xxx)/g
s/(Time: |time=)[0-9.]+( ms)?/\1xxx/g

# names of transactions
s/cz_[0-9]+_[0-9]+_[0-9a-f_]+/cz_xxx/g

# table lines that change their width with the above
s/^-[+-]{2,}$/---/
s/ +\|/ |/g
s/\| +/| /g
s/ +$//

# a heading stands in the middle of its column
s/^ +(QUERY PLAN|[a-z_]+)$/ \1/

# a column as pg_dist_partition shows it, 16 and later, 18 and later
s/ :varnullingrels \(b\)//
s/ :varreturningtype 0//

# deparsed writes before 16, numbers of rows since 18
s/\b((UPDATE|DELETE FROM) [^ ]+) AS (r[0-9]+)\b/\1 \3/g
s/(actual rows=[0-9]+)\.00/\1/g

# sub-plans of 17 and later
s/^( *InitPlan [0-9]+) \(returns \$[0-9]+\)/\1/

# names of settings in messages, 17 and later
s/^(WARNING:  |HINT:  Set )"wal_level"( is insufficient to publish| to "logical")/\1wal_level\2/

# who may not VACUUM or ANALYZE, 16 and later
s/^(WARNING:  )permission denied to (vacuum|analyze) (".*"), skipping it/\1skipping \3 --- only table or database owner can \2 it/

# that a table has no partitions, 18 and later
s/^(ERROR:  )ALTER action (ATTACH|DETACH) PARTITION cannot be performed on relation (".*")$/\1table \3 is not partitioned/
/^DETAIL:  This operation is not supported for tables\.$/d

# What VACUUM and ANALYZE VERBOSE took
/^(INFO:  )?(avg read rate|buffer usage|WAL usage|system usage): /d
