package sidecar_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// copies are rows to add to a table: copies of one that is there, but for what set says. In set, i counts from 1 in the order of the
// primary key, so that rows are appended, and ago is a time of none of the others, in no order.
type copies struct {
	table, where string
	set          map[string]string
}

// Ids of the past are as long as those that are given, and begin anywhere.
const pastID = `printf('%08x', i * 4000) || substr(%s, 9)`

// past are the rows of an order that was completed long ago. What it signed and said is that of the order that is copied, so past
// orders are as large as that one, and no ledger with them verifies.
func past() []copies {
	id := func(column string) string { return strings.Replace(pastID, "%s", column, 1) }
	sub := func(column string) string {
		return `'sub-' || ` + strings.Replace(pastID, "%s", "substr("+column+", 5)", 1)
	}
	return []copies{
		{"retail_order", "true", map[string]string{
			"id": `printf('past-%08d', i)`, "customer": `'past-' || i / 10`, "state": `'completed'`, "ended": "1", "placed_at": "placed_at - 100000000000000 + i * 1000",
		}},
		{"retail_item", "true", map[string]string{"correlation_id": id("correlation_id"), "order_id": `printf('past-%08d', ago)`}},
		{"resale_order", "true", map[string]string{"id": id("id"), "state": `'completed'`, "ended": "1", "placed_at": "placed_at - 100000000000000 + ago * 1000"}},
		{"subscription", "true", map[string]string{"id": sub("id"), "customer": `CASE customer WHEN '' THEN '' ELSE 'past-' || ago / 10 END`, "state": `'active'`, "created_at": "created_at - 100000000000000 + ago * 1000"}},
		{"secret", "name = ''", map[string]string{"subscription_id": sub("subscription_id")}},
		{"secret", "name <> ''", map[string]string{"subscription_id": sub("subscription_id")}},
		{"ledger_entry", "direction = 'own' AND subject LIKE 'sub-%'", map[string]string{"life": "-1", "seq": "i", "subject": sub("subject")}},
		{"ledger_entry", "direction = 'theirs' AND subject LIKE 'sub-%'", map[string]string{"life": "-1", "seq": "i", "subject": sub("subject")}},
		{"peer_decision", "type LIKE '%order%'", map[string]string{"id": id("id"), "held_life": "-1", "held_seq": "ago"}},
	}
}

// add adds n copies. Indexes are dropped and made anew, which a database does ten times faster than keeping them.
func (c copies) add(ctx context.Context, db *sql.DB, n int) error {
	var columns, values []string
	var indexes, drop []string
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for query, into := range map[string]*[]string{
		`SELECT name FROM pragma_table_info('` + c.table + `')`:                                                               &columns,
		`SELECT sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name = '` + c.table + `'`:                   &indexes,
		`SELECT 'DROP INDEX ' || name FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name = '` + c.table + `'`: &drop,
	} {
		rows, err := tx.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			*into = append(*into, text)
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	for _, column := range columns {
		if value, ok := c.set[column]; ok {
			values = append(values, value)
		} else {
			values = append(values, column)
		}
	}
	insert := fmt.Sprintf(`WITH RECURSIVE n(i, ago) AS (SELECT 1, 7919 %% %[1]d UNION ALL SELECT i + 1, (i + 1) * 7919 %% %[1]d FROM n WHERE i < %[1]d)
		INSERT INTO %[2]s (%[3]s) SELECT %[4]s FROM n, one`, n, c.table, strings.Join(columns, ", "), strings.Join(values, ", "))
	// A table of its own, or the database would first make all rows in memory.
	one := `CREATE TEMP TABLE one AS SELECT * FROM ` + c.table + ` WHERE ` + c.where + ` LIMIT 1`
	for _, statement := range slices.Concat(drop, []string{one, insert, "DROP TABLE one"}, indexes) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%w in %s", err, statement)
		}
	}
	return tx.Commit()
}

// age gives the members of a pipe, which have done one order at least, n past orders.
func (p *realPipe) age(b *testing.B, n int) {
	b.Helper()
	all, ctx := errgroup.WithContext(b.Context())
	for _, m := range p.members {
		db := beside(b, m)
		all.Go(func() error {
			for _, pragma := range []string{"synchronous=OFF", "cache_size=-400000", "temp_store=MEMORY"} {
				if _, err := db.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
					return err
				}
			}
			for _, c := range past() {
				if err := c.add(ctx, db, n); err != nil {
					return err
				}
			}
			_, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
			return err
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
}
